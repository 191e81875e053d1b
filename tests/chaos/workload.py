"""The calls that producers make: people with histories, and every operation. The seed decides."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from trackrelay import ObjectRef, Person
from trackrelay import operations as make
from trackrelay.operations.operation import Operation
from trackrelay.queue.redis_keys import Lane

from . import marks
from .calls import Fate


@dataclass(frozen=True, slots=True)
class Planned:
    """One call to make."""

    operation: Operation
    mark: str
    lane: Lane = "live"
    fate: Fate = "delivered"
    #: Whether the caller may give up when the queue is away. Only where no later call depends on
    #: it.
    may_give_up: bool = False

    @property
    def companion_mark(self) -> str:
        """The mark of the identify that travels with it."""
        return f"{self.mark}:companion"


@dataclass(slots=True)
class _Somebody:
    id: str
    anonymous: int = 0
    segments: int = 0
    devices: int = 0

    @property
    def anonymous_id(self) -> str:
        return f"{self.id}-cookie-{self.anonymous}"


#: Parts of a thousand.
MIXED = {
    "event": 470,
    "identify": 180,
    "event_with_attributes": 80,
    "repeated_with_key": 30,
    "shared_key": 30,
    "anonymous": 60,
    "join": 20,
    "merge": 8,
    "delete": 15,
    "suppression": 4,
    "device": 20,
    "segment": 30,
    "relationship": 10,
    "object": 12,
    "form": 10,
    "metric": 12,
    "by_email": 20,
    "large": 3,
    "bulk": 40,
}

#: As many as fit in few batches: what a large import, or a busy campaign, looks like.
EVENTS_AND_IDENTIFIES = {"event": 700, "identify": 300}

#: With jobs that the endpoint refuses, or that do worse to it.
POISONED = {"event": 700, "identify": 250, "delete": 30, "poison": 10}
#: As many of a producer's, and no more.
POISONS = 6

#: Large enough together to fill a small Redis.
SIZABLE = {"event": 850, "identify": 100, "large": 50}

#: Without jobs that wait in two shards until both have them: one half may be lost, and then the
#: other waits a quarter of an hour.
ONE_KEY = {kind: weight for kind, weight in MIXED.items() if kind not in ("join", "merge")}

#: One key each, and nothing that only v1 carries: no neighbour of another form holds a job up.
EVENTS_OF_MANY = {"event": 800, "identify": 200}

#: Forms and messages' metrics among events: what Customer.io knows by no id.
WITHOUT_IDS = {"event": 600, "identify": 200, "form": 120, "metric": 80}

#: All producers send the same calls at the same time.
SHARED_KEYS = {"shared_key": 1000}

#: Jobs that two shards must agree about, among others of the same people.
TWO_KEYS = {"event": 350, "identify": 250, "merge": 150, "anonymous": 100, "join": 150}

#: People who go and come back.
NEW_LIVES = {
    "event": 400,
    "identify": 250,
    "delete": 200,
    "suppression": 50,
    "device": 50,
    "segment": 50,
}

MIXES = {
    "mixed": MIXED,
    "simple": EVENTS_AND_IDENTIFIES,
    "one key": ONE_KEY,
    "events of many": EVENTS_OF_MANY,
    "without ids": WITHOUT_IDS,
    "poisoned": POISONED,
    "sizable": SIZABLE,
    "shared keys": SHARED_KEYS,
    "two keys": TWO_KEYS,
    "new lives": NEW_LIVES,
}


class Workload:
    """The endless calls of one producer process.

    No two processes share a person, so each person's calls have one order.

    Args:
        seed: the run's.
        process: which producer this is; its people's ids begin with it.
        mix: what it asks for, by weight.
    """

    def __init__(self, seed: int, process: str, mix: str = "mixed") -> None:
        self._process = process
        self._chance = random.Random(f"{seed} {process} calls")
        self._count = 0
        self._shared = 0
        self._born = 0
        self._poisons = 0
        self._people: list[_Somebody] = []
        weights = MIXES[mix]
        self._kinds: list[Callable[[], Iterator[Planned]]] = [
            getattr(self, f"_{kind}") for kind in weights
        ]
        self._weights = list(weights.values())

    def burst(self) -> list[Planned]:
        """The next calls: one, or several that belong together."""
        (kind,) = self._chance.choices(self._kinds, self._weights)
        return list(kind())

    def ghost(self) -> Planned:
        """A call whose transaction is rolled back."""
        (event,) = self._event()
        return event

    # -- people

    def _somebody(self) -> _Somebody:
        # A few are busy all the time, most come back now and then, and there is always a new one.
        draw = self._chance.random()
        if draw < 0.25 and self._people:
            return self._people[self._chance.randrange(min(3, len(self._people)))]
        if draw < 0.75 and self._people:
            return self._chance.choice(self._people[-200:])
        return self._somebody_new()

    def _somebody_new(self) -> _Somebody:
        self._born += 1
        somebody = _Somebody(f"{self._process}-u{self._born}")
        self._people.append(somebody)
        return somebody

    def _number(self) -> str:
        self._count += 1
        return f"{self._process}-{self._count}"

    def _data(self, number: str) -> dict[str, str]:
        return {"n": number, "about": "x" * self._chance.randrange(0, 300)}

    # -- the kinds of calls

    def _event(self) -> Iterator[Planned]:
        number, who = self._number(), self._somebody()
        yield Planned(
            make.track(who.id, "looked", self._data(number)),
            marks.numbered(number),
            may_give_up=self._chance.random() < 0.5,
        )

    def _identify(self) -> Iterator[Planned]:
        number, who = self._number(), self._somebody()
        yield Planned(make.identify(who.id, self._data(number)), marks.numbered(number))

    def _event_with_attributes(self) -> Iterator[Planned]:
        number, who = self._number(), self._somebody()
        operation = make.track(
            who.id, "bought", {"n": number}, person_attributes={"n": f"{number}:companion"}
        )
        yield Planned(operation, marks.numbered(number))

    def _repeated_with_key(self) -> Iterator[Planned]:
        number, who = self._number(), self._somebody()
        for _ in range(2):
            operation = make.track(
                who.id, "paid", {"n": number}, idempotency_key=f"payment-{number}"
            )
            yield Planned(operation, marks.numbered(number))

    def _shared_key(self) -> Iterator[Planned]:
        # Every producer sends the same, about as often, in the same order: one webhook, several
        # hosts.
        self._shared += 1
        number = f"shared-{self._shared}"
        operation = make.track(
            number, "ordered", {"n": number}, idempotency_key=f"order-{self._shared}"
        )
        yield Planned(operation, marks.numbered(number))

    def _anonymous(self) -> Iterator[Planned]:
        number, who = self._number(), self._somebody()
        yield Planned(
            make.track_anonymous(who.anonymous_id, "visited", {"n": number}), marks.numbered(number)
        )

    def _join(self) -> Iterator[Planned]:
        who = self._somebody()
        first, second = self._number(), self._number()
        yield Planned(
            make.track_anonymous(who.anonymous_id, "visited", {"n": first}), marks.numbered(first)
        )
        operation = make.identify(who.id, {"n": second}, anonymous_id=who.anonymous_id)
        yield Planned(operation, marks.numbered(second))
        who.anonymous += 1

    def _merge(self) -> Iterator[Planned]:
        primary, secondary = self._somebody(), self._somebody_new()
        for who in (primary, secondary, secondary):
            number = self._number()
            yield Planned(make.identify(who.id, {"n": number}), marks.numbered(number))
        operation = make.merge(primary=primary.id, secondary=secondary.id)
        yield Planned(operation, marks.plain("merge", f"id:{primary.id}", f"id:{secondary.id}"))
        number = self._number()
        yield Planned(make.track(primary.id, "merged", {"n": number}), marks.numbered(number))
        self._people.remove(secondary)

    def _delete(self) -> Iterator[Planned]:
        who = self._somebody()
        key = f"id:{who.id}"
        yield Planned(make.delete_person(who.id), marks.plain("delete", key))
        for _ in range(self._chance.randrange(3)):
            number = self._number()
            yield Planned(make.identify(who.id, self._data(number)), marks.numbered(number))

    def _suppression(self) -> Iterator[Planned]:
        who = self._somebody()
        key = f"id:{who.id}"
        yield Planned(make.suppress(who.id), marks.plain("suppress", key))
        number = self._number()
        yield Planned(make.track(who.id, "unheard", {"n": number}), marks.numbered(number))
        yield Planned(make.unsuppress(who.id), marks.plain("unsuppress", key))
        number = self._number()
        yield Planned(make.identify(who.id, {"n": number}), marks.numbered(number))

    def _device(self) -> Iterator[Planned]:
        who = self._somebody()
        who.devices += 1
        token = f"{who.id}-device-{who.devices}"
        yield Planned(make.add_device(who.id, token, "ios"), marks.device("add_device", token))
        if self._chance.random() < 0.5:
            yield Planned(make.delete_device(who.id, token), marks.device("delete_device", token))

    def _segment(self) -> Iterator[Planned]:
        who = self._somebody()
        who.segments += 1
        key, segment_id = f"id:{who.id}", who.segments
        for operation in make.add_to_segment(segment_id, who.id):
            yield Planned(operation, marks.segment("add", segment_id, key))
        if self._chance.random() < 0.3:
            for operation in make.remove_from_segment(segment_id, who.id):
                yield Planned(operation, marks.segment("remove", segment_id, key))

    def _relationship(self) -> Iterator[Planned]:
        number, who = self._number(), self._somebody()
        operation = make.add_relationships(
            who.id, (ObjectRef(1, f"{self._process}-company"), {"n": number})
        )
        yield Planned(operation, marks.numbered(number))

    def _object(self) -> Iterator[Planned]:
        number = self._number()
        company = ObjectRef(1, f"{self._process}-company-{self._chance.randrange(5)}")
        yield Planned(make.identify_object(company, {"n": number}), marks.numbered(number))

    def _form(self) -> Iterator[Planned]:
        # Its name differs from the attributes of an identify: a form takes the time of its arrival,
        # which is later than that of an identify enqueued behind it.
        number, who = self._number(), self._somebody()
        yield Planned(
            make.submit_form("contact", who.id, {"form_n": number}), marks.numbered(number)
        )

    def _metric(self) -> Iterator[Planned]:
        message = f"{self._number()}-message"
        yield Planned(make.report_metric(message, "delivered"), marks.delivery("metric", message))
        if self._chance.random() < 0.3:
            yield Planned(make.unsubscribe(message), marks.delivery("unsubscribe", message))

    def _by_email(self) -> Iterator[Planned]:
        number = self._number()
        who = Person(email=f"{self._process}-{self._chance.randrange(20)}@example.com")
        yield Planned(make.track(who, "read", {"n": number}), marks.numbered(number))

    def _large(self) -> Iterator[Planned]:
        # Too large for v2: it goes to another endpoint than its neighbours, and must keep its
        # order.
        who = self._somebody()
        for size in (10, 40_000, 10):
            number = self._number()
            yield Planned(
                make.track(who.id, "uploaded", {"n": number, "text": "y" * size}),
                marks.numbered(number),
            )

    def _poison(self) -> Iterator[Planned]:
        # A few, early: one that fails alone is known for what it is only while others succeed.
        self._poisons += 1
        if self._poisons > POISONS:
            yield from self._event()
            return
        number, who = self._number(), self._somebody()
        yield Planned(
            make.track(who.id, "poison", {"n": number}), marks.numbered(number), fate="dead"
        )
        number = self._number()
        yield Planned(make.track(who.id, "after", {"n": number}), marks.numbered(number))

    def _bulk(self) -> Iterator[Planned]:
        number, who = self._number(), f"{self._process}-import-{self._chance.randrange(30)}"
        kind = (
            make.identify(who, {"n": number})
            if self._chance.random() < 0.5
            else make.track(who, "was", {"n": number})
        )
        yield Planned(kind, marks.numbered(number), lane="bulk")
