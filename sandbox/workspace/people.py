"""People and the identifiers they are found by."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from trackrelay.sandbox.parsed_operations import JsonObject, PersonRef, person_ref

from .attributes import TimedAttributes

#: In the order in which they are tried to find somebody by what an identify carries.
IDENTIFIERS = ("id", "email", "phone")


class StoredEvent(msgspec.Struct, gc=False):
    """An event in a person's history; `seq` finds the rest of it among the effects."""

    seq: int
    at: float
    action: str
    name: str
    id: str | None


class Device(msgspec.Struct, gc=False):
    """A device of a person."""

    token: str
    platform: str
    last_used: int
    attributes: dict[str, str]


class Person:
    """Somebody: identifiers, attributes, and what belongs to them."""

    __slots__ = (
        "anonymous_ids",
        "attributes",
        "cio_id",
        "devices",
        "events",
        "identifiers",
        "relationships",
        "segments",
    )

    def __init__(self, cio_id: str) -> None:
        self.cio_id = cio_id
        #: id, email, phone, as far as they are set; an email as it was written.
        self.identifiers: dict[str, str] = {}
        self.anonymous_ids: list[str] = []
        self.attributes = TimedAttributes()
        self.events: list[StoredEvent] = []
        self.devices: dict[str, Device] = {}
        #: By cio_object_id: the relationship's attributes, shared with the object.
        self.relationships: dict[str, JsonObject] = {}
        self.segments: set[int] = set()

    @property
    def keys(self) -> tuple[str, ...]:
        """Every name the person answers to."""
        named = [person_ref(kind, value).key for kind, value in self.identifiers.items()]
        anonymous = [person_ref("anonymous_id", value).key for value in self.anonymous_ids]
        return (*named, f"cio_id:{self.cio_id}", *anonymous)

    @property
    def unsubscribed(self) -> bool:
        """True in any case, 1 and "1" count; anything else does not."""
        return str(self.attributes.values.get("unsubscribed", "")).lower() in ("true", "1")

    def all_attributes(self) -> JsonObject:
        """Attributes with the identifiers among them."""
        return {**self.identifiers, "cio_id": self.cio_id, **self.attributes.values}


class People:
    """Everybody, by each of their keys."""

    def __init__(self) -> None:
        self._by_key: dict[str, Person] = {}
        self._by_cio_id: dict[str, Person] = {}
        self._numbers = itertools.count(0xA3000001)

    def __len__(self) -> int:
        return len(self._by_cio_id)

    def __iter__(self) -> Iterator[Person]:
        return iter(self._by_cio_id.values())

    def find(self, key: str) -> Person | None:
        """Whoever has this key: `id:42`, `email:…`, `phone:…`, `cio_id:…`, `anonymous:…`."""
        return self._by_key.get(key)

    def by_cio_ids(self, cio_ids: Iterable[str]) -> list[Person]:
        """Those who are still there."""
        return [self._by_cio_id[cio_id] for cio_id in cio_ids if cio_id in self._by_cio_id]

    def create(self, ref: PersonRef, at: float) -> Person:
        """Somebody new."""
        person = Person(f"{next(self._numbers):x}")
        self._by_cio_id[person.cio_id] = self._by_key[f"cio_id:{person.cio_id}"] = person
        person.attributes.times["cio_id"] = at
        self.give(person, ref, at)
        return person

    def find_or_create(self, ref: PersonRef, at: float) -> Person | None:
        """Whoever it is; None only for a cio_id, which nobody but Customer.io can hand out."""
        person = self._by_key.get(ref.key)
        if person is None and ref.kind != "cio_id":
            return self.create(ref, at)
        return person

    def somebody_named_in(self, attributes: JsonObject) -> Person | None:
        """Whom the identifiers among the attributes belong to; the first one decides."""
        for ref in refs_in(attributes):
            if (person := self._by_key.get(ref.key)) is not None:
                return person
        return None

    def give(self, person: Person, ref: PersonRef, at: float) -> None:
        """Give a person an identifier in place of the one of this kind they had."""
        previous = person.identifiers.get(ref.kind)
        if previous is not None:
            self._by_key.pop(person_ref(ref.kind, previous).key, None)
        person.identifiers[ref.kind] = ref.value
        person.attributes.times[ref.kind] = at
        self._by_key[ref.key] = person

    def take(self, person: Person, kind: str) -> None:
        """Take an identifier from a person."""
        self._by_key.pop(person_ref(kind, person.identifiers.pop(kind)).key, None)

    def join_anonymous(self, person: Person, ref: PersonRef) -> bool:
        """Make an anonymous id this person's; False if it already is somebody else's, for it is not reusable."""
        holder = self._by_key.setdefault(ref.key, person)
        if holder is person and ref.value not in person.anonymous_ids:
            person.anonymous_ids.append(ref.value)
        return holder is person

    def remove(self, person: Person) -> None:
        """Forget a person and all their keys."""
        for key in person.keys:
            self._by_key.pop(key, None)
        del self._by_cio_id[person.cio_id]


def refs_in(attributes: JsonObject) -> Iterator[PersonRef]:
    """The identifiers among attributes."""
    for kind in IDENTIFIERS:
        value: Any = attributes.get(kind)
        if isinstance(value, str) and value:
            yield person_ref(kind, value)
