"""People, their attributes, and the identifiers that find them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from trackrelay.sandbox.parsed_operations import JsonObject, PersonRef, person_ref

from .activities import StoredEvent
from .timed_attributes import TimedAttributes

#: How many deleted people are remembered, to list their activities.
MAX_DELETED = 10_000
#: In the order in which an identify tries them to find an existing person.
IDENTIFIERS = ("id", "email", "phone")


class Device(msgspec.Struct, gc=False):
    """A device of a person."""

    token: str
    platform: str
    last_used: int
    attributes: dict[str, str]


class Person:
    """A person: identifiers, attributes, events, devices, relationships and segments."""

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
        #: The values of id, email and phone that are set; an email as it was written.
        self.identifiers: dict[str, str] = {}
        self.anonymous_ids: list[str] = []
        self.attributes = TimedAttributes()
        self.events: list[StoredEvent] = []
        self.devices: dict[str, Device] = {}
        #: By cio_object_id: the attributes of the relationship, shared with the object.
        self.relationships: dict[str, TimedAttributes] = {}
        self.segments: set[int] = set()

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key that finds this person."""
        named = [person_ref(kind, value).key for kind, value in self.identifiers.items()]
        anonymous = [person_ref("anonymous_id", value).key for value in self.anonymous_ids]
        return (*named, f"cio_id:{self.cio_id}", *anonymous)

    @property
    def unsubscribed(self) -> bool:
        """Whether the attribute ``unsubscribed`` is true: "true" in any case, or 1."""
        return str(self.attributes.values.get("unsubscribed", "")).lower() in ("true", "1")

    def all_attributes(self) -> JsonObject:
        """Return the attributes together with the identifiers."""
        return {**self.identifiers, "cio_id": self.cio_id, **self.attributes.values}


class People:
    """All people, by each of their keys."""

    def __init__(self) -> None:
        self._by_key: dict[str, Person] = {}
        self._by_cio_id: dict[str, Person] = {}
        #: By cio_id: the identifiers of the people who were deleted last.
        self.deleted: dict[str, dict[str, str]] = {}
        self._numbers = itertools.count(0xA3000001)

    def __len__(self) -> int:
        return len(self._by_cio_id)

    def __iter__(self) -> Iterator[Person]:
        return iter(self._by_cio_id.values())

    def find(self, key: str) -> Person | None:
        """Return the person with a key: ``id:42``, ``email:…``, ``cio_id:…``, ``anonymous:…``."""
        return self._by_key.get(key)

    def by_cio_id(self, cio_id: str) -> Person | None:
        """Return the person with a cio_id."""
        return self._by_cio_id.get(cio_id)

    def by_cio_ids(self, cio_ids: Iterable[str]) -> list[Person]:
        """Return the people with these cio_ids who still exist."""
        return [self._by_cio_id[cio_id] for cio_id in cio_ids if cio_id in self._by_cio_id]

    def create(self, ref: PersonRef, at: float) -> Person:
        """Create a person."""
        person = Person(f"{next(self._numbers):x}")
        self._by_cio_id[person.cio_id] = self._by_key[f"cio_id:{person.cio_id}"] = person
        person.attributes.times["cio_id"] = at
        self.give(person, ref, at)
        return person

    def find_by_attributes(self, attributes: JsonObject) -> Person | None:
        """Return the person whom the first known identifier among the attributes names."""
        for kind in IDENTIFIERS:
            value: Any = attributes.get(kind)
            if isinstance(value, str) and value:
                person = self._by_key.get(person_ref(kind, value).key)
                if person is not None:
                    return person
        return None

    def give(self, person: Person, ref: PersonRef, at: float) -> None:
        """Give a person an identifier; it replaces the previous one of the same kind."""
        previous = person.identifiers.get(ref.kind)
        if previous is not None:
            self._by_key.pop(person_ref(ref.kind, previous).key, None)
        person.identifiers[ref.kind] = ref.value
        person.attributes.times[ref.kind] = at
        self._by_key[ref.key] = person

    def take(self, person: Person, kind: str) -> None:
        """Remove an identifier from a person."""
        self._by_key.pop(person_ref(kind, person.identifiers.pop(kind)).key, None)

    def join_anonymous(self, person: Person, ref: PersonRef) -> bool:
        """Give a person an anonymous id; return False if another person has it already."""
        holder = self._by_key.setdefault(ref.key, person)
        if holder is person and ref.value not in person.anonymous_ids:
            person.anonymous_ids.append(ref.value)
        return holder is person

    def forget_cio_id(self, cio_id: str) -> bool:
        """Let nobody be found by a cio_id any more; return whether somebody was."""
        return self._by_key.pop(f"cio_id:{cio_id}", None) is not None

    def remove(self, person: Person) -> None:
        """Delete a person with all keys."""
        for key in person.keys:
            self._by_key.pop(key, None)
        del self._by_cio_id[person.cio_id]
        self.deleted[person.cio_id] = person.identifiers
        if len(self.deleted) > MAX_DELETED:
            del self.deleted[next(iter(self.deleted))]
