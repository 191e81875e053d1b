"""A shop's people over three weeks: visitors, sign-ups and orders, clean or with accidents."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from tests.support.retention_traffic import NOW, Call
from trackrelay.operations.keys import is_private

DAYS = 21.0
#: Turns a key into the form in which a job has it.
Stored = Callable[[str], str]


@dataclass(frozen=True)
class Accident:
    """One thing that goes wrong with the names of people.

    Args:
        name: names it.
        finding: the beginning of the finding's key.
        every: it happens to one person in so many.
        after: how much of the traffic passes before it happens, from 0 to 1.
    """

    name: str
    finding: str
    every: int = 1
    after: float = 0.0


ACCIDENTS = [
    Accident("guest checkout", "Q801 emails", every=500),
    Accident("addressed by email", "Q802 people", every=500),
    Accident("ids of the CRM", "Q803 ids of people"),
    Accident("email as id", "Q804 ids of people from web", every=500),
    Accident("guest as id", "Q805 id guest from web", every=500),
    Accident("join lost", "Q806 anonymous visitors", after=0.5),
    Accident("no logout", "Q807 devices", every=3),
    Accident("shared visitor", "Q807 anonymous visitors", every=8),
    Accident("orders of the pixel", "Q206 order_completed from backend and order_completed"),
    Accident("conversion", "Q206 order_completed from backend and conversion from web"),
    Accident("orders again", "Q206 order_completed from backend", every=500),
    Accident("state lost", "Q308 order_completed without orders_count", after=0.5),
    Accident("kiosk without state", "Q308 order_completed without orders_count from kiosk"),
]  # fmt: skip


@dataclass
class _Person:
    """Somebody, known or not yet."""

    id: str
    email: str
    visitor: str
    device: str
    orders: int = 0


@dataclass
class People:
    """What the calls are drawn from.

    Args:
        count: the calls, about.
        stored: turns a key into the form in which a job has it.
        accidents: what goes wrong.
        seed: makes the draws repeatable.
    """

    count: int
    stored: Stored
    accidents: tuple[Accident, ...] = ()
    seed: int = 1
    _people: list[_Person] = field(default_factory=list)
    _number: int = 0

    def calls(self) -> Iterator[Call]:
        """Yield the calls, in the order of their times."""
        self.random = random.Random(self.seed)
        self._wrong = {each.name: each for each in self.accidents}
        made = 0
        while made < self.count:
            self._number += 1
            at = NOW - DAYS * 86_400 * (1 - made / self.count)
            for call in self._visit(made / self.count):
                made += 1
                at += 1.0
                yield replace(call, at=at, key=self._key(call.key))

    def _key(self, key: str) -> str:
        return self.stored(key) if is_private(key) else key

    def _happens(self, name: str, passed: float) -> bool:
        accident = self._wrong.get(name)
        if accident is None or passed < accident.after:
            return False
        # Also in short traffic the rarest happens a few times; no two of them to the same person.
        every = min(accident.every, max(1, self.count // 120))
        return self._number % every == ACCIDENTS.index(accident) % every

    def _visit(self, passed: float) -> Iterator[Call]:
        chance = self.random.random()
        if not self._people or chance < 0.3:
            yield from self._visitor(passed)
        elif chance < 0.36:
            yield from self._changes(self.random.choice(self._people))
        else:
            yield from self._returns(self.random.choice(self._people), passed)

    # -- visitors and sign-ups

    def _visitor(self, passed: float) -> Iterator[Call]:
        person = _Person(
            id=str(100_000 + self._number),
            email=f"p{self._number}@example.com",
            visitor=f"visitor-{self._number}",
            device=f"device-{self._number}",
        )
        for _ in range(self.random.choice([1, 1, 2])):
            yield self._event("web", "product_viewed", f"anonymous:{person.visitor}", sku="A-1")
        if self.random.random() > 0.4:
            return
        if self._people and self._happens("shared visitor", passed):
            person.visitor = self.random.choice(self._people).visitor
        if (self._people and self._happens("no logout", passed)) or (
            self._people and self.random.random() < 0.02
        ):
            person.device = self.random.choice(self._people).device
        self._people.append(person)
        yield self._identify(person, is_joined=not self._happens("join lost", passed))
        yield self._event("backend", "signed_up", f"id:{person.id}", method="email")
        if self.random.random() < 0.6:
            key = f"id:{person.id}"
            yield Call("mobile", "person.add_device", "", {}, key=key, device=person.device)

    def _identify(self, person: _Person, is_joined: bool = False) -> Call:
        attributes: dict[str, Any] = {"email": person.email, "orders_count": person.orders}
        if self.random.random() < 0.4:
            # People of one household have one number.
            attributes["phone"] = f"+4930{int(person.id) % 5_000:06}"
        if is_joined:
            attributes["anonymous_id"] = person.visitor
        return Call("backend", "person.identify", "", attributes, key=f"id:{person.id}")

    # -- people who change

    def _changes(self, person: _Person) -> Iterator[Call]:
        chance, old = self.random.random(), person.email
        if chance < 0.6:
            person.email = f"new{self._number}@example.com"
            yield self._identify(person)
            if chance < 0.1:
                # Another person takes the address later.
                other = self._anew(old)
                yield self._identify(other)
        elif chance < 0.8:
            # Deleted, and signed up again.
            self._people.remove(person)
            yield Call("backend", "person.delete", "", {}, key=f"id:{person.id}")
            yield self._identify(self._anew(old))
        else:
            # Two accounts become one.
            self._people.remove(person)
            other = self._anew(old)
            yield Call(
                "backend", "person.merge", "", {}, key=f"id:{other.id}", other_key=f"id:{person.id}"
            )
            yield self._identify(other)

    def _anew(self, email: str) -> _Person:
        number = self._number
        person = _Person(str(500_000 + number), email, f"again-{number}", f"other-{number}")
        self._people.append(person)
        return person

    # -- people who come back

    def _returns(self, person: _Person, passed: float) -> Iterator[Call]:
        if self.random.random() < 0.5:
            key = f"id:{person.id}"
            if self._happens("addressed by email", passed):
                key = f"email:{person.email}"
            if "ids of the CRM" in self._wrong:
                key = f"id:cus_{person.id}"
            yield self._event("crm-sync", "email_opened", key, campaign="spring")
            return
        key = f"id:{person.id}"
        if self._happens("guest as id", passed):
            key = "id:guest"
        if self._happens("email as id", passed):
            key = f"id:{person.email}"
        yield self._event("web", "product_viewed", key, sku="A-1")
        if self.random.random() < 0.5:
            yield from self._order(person, passed)

    def _order(self, person: _Person, passed: float) -> Iterator[Call]:
        person.orders += 1
        order = {"order_id": f"O-{self._number}", "total": 12.5, "currency": "EUR", "items": []}
        key = f"id:{person.id}"
        at_kiosk = "kiosk without state" in self._wrong and self._number % 3 == 0
        source = "kiosk" if at_kiosk else "backend"
        yield self._event(source, "order_completed", key, **order)
        if self._happens("orders again", passed):
            yield self._event(source, "order_completed", key, **order)
        if "orders of the pixel" in self._wrong:
            yield self._event("web", "order_completed", key, **order)
        if "conversion" in self._wrong:
            yield self._event("web", "conversion", key, **order)
        if self._happens("guest checkout", passed):
            yield replace(self._identify(person), key=f"id:9{person.id}")
        # One in ten has the counts an hour later.
        if not at_kiosk and not self._happens("state lost", passed) and self.random.random() < 0.9:
            yield self._identify(person)

    def _event(self, source: str, name: str, key: str, **attributes: Any) -> Call:
        kind = "anonymous" if key.startswith("anonymous:") else "person"
        return Call(source, f"{kind}.event", name, attributes, key=key)
