"""Objects (companies, courses, …) and the people related to them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from trackrelay.sandbox.parsed_operations import JsonObject

from .people import Person
from .timed_attributes import Changes, TimedAttributes


class Object:
    """An object: anything that is not a person."""

    __slots__ = ("attributes", "cio_object_id", "object_id", "people", "type_id")

    def __init__(self, type_id: str, object_id: str, cio_object_id: str) -> None:
        self.type_id = type_id
        self.object_id = object_id
        self.cio_object_id = cio_object_id
        self.attributes = TimedAttributes()
        #: By the person's cio_id: the attributes of the relationship.
        self.people: dict[str, TimedAttributes] = {}

    @property
    def key(self) -> str:
        """The key by which the sandbox shows the object."""
        return f"object:{self.type_id}:{self.object_id}"


class Objects:
    """All objects, by key and by cio_object_id."""

    def __init__(self) -> None:
        self._by_key: dict[str, Object] = {}
        self._by_cio_id: dict[str, Object] = {}
        self._numbers = itertools.count(0xB7FD05_0101)

    def __len__(self) -> int:
        return len(self._by_cio_id)

    def __iter__(self) -> Iterator[Object]:
        return iter(self._by_cio_id.values())

    def find(self, key: str) -> Object | None:
        """Return the object with a key."""
        return self._by_key.get(key)

    def by_cio_id(self, cio_object_id: str) -> Object | None:
        """Return the object with a cio_object_id."""
        return self._by_cio_id.get(cio_object_id)

    def create(self, type_id: str, object_id: str) -> Object:
        """Create an object."""
        made = Object(type_id, object_id, f"o{next(self._numbers):x}")
        self._by_key[made.key] = self._by_key[f"cio_object:{made.cio_object_id}"] = made
        self._by_cio_id[made.cio_object_id] = made
        return made

    def remove(self, gone: Object) -> None:
        """Delete an object."""
        del self._by_cio_id[gone.cio_object_id]
        del self._by_key[gone.key]
        del self._by_key[f"cio_object:{gone.cio_object_id}"]

    def relate(
        self, person: Person, other: Object, attributes: JsonObject, at: float
    ) -> tuple[bool, Changes]:
        """Relate a person and an object, or update their relationship.

        Returns:
            Whether the relationship is new, and the changes of its attributes.
        """
        shared = other.people.get(person.cio_id)
        is_new = shared is None
        if shared is None:
            shared = other.people[person.cio_id] = TimedAttributes()
            person.relationships[other.cio_object_id] = shared
        changes = Changes()
        shared.update(attributes, at, changes)
        return is_new, changes

    def part(self, person: Person, other: Object) -> bool:
        """End a relationship; return whether there was one."""
        person.relationships.pop(other.cio_object_id, None)
        return other.people.pop(person.cio_id, None) is not None

    def part_all(self, person: Person) -> None:
        """End all relationships of a person."""
        for cio_object_id in list(person.relationships):
            self.part(person, self._by_cio_id[cio_object_id])
