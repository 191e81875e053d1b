"""Objects (companies, courses, …) and the people related to them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from trackrelay.sandbox import published_limits
from trackrelay.sandbox.parsed_operations import JsonObject, ObjectRef

from .people import Person


def update_plain(attributes: JsonObject, changes: JsonObject) -> None:
    """Change the attributes of an object or a relationship; None and "" remove one."""
    for name, value in changes.items():
        if value is None or value == "":
            attributes.pop(name, None)
        elif name in attributes or len(attributes) < published_limits.ATTRIBUTES:
            attributes[name] = value


class Object:
    """An object: anything that is not a person."""

    __slots__ = ("attributes", "cio_object_id", "object_id", "people", "type_id")

    def __init__(self, type_id: str, object_id: str, cio_object_id: str) -> None:
        self.type_id = type_id
        self.object_id = object_id
        self.cio_object_id = cio_object_id
        self.attributes: JsonObject = {}
        #: By the person's cio_id: the attributes of the relationship.
        self.people: dict[str, JsonObject] = {}

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

    def find_or_create(self, ref: ObjectRef) -> Object | None:
        """Return the object, created if needed; None only for an unknown cio_object_id."""
        found = self._by_key.get(ref.key)
        if found is None and ref.type_id is not None and ref.object_id is not None:
            found = Object(ref.type_id, ref.object_id, f"o{next(self._numbers):x}")
            self._by_key[ref.key] = self._by_key[f"cio_object:{found.cio_object_id}"] = found
            self._by_cio_id[found.cio_object_id] = found
        return found

    def remove(self, gone: Object) -> None:
        """Delete an object."""
        del self._by_cio_id[gone.cio_object_id]
        del self._by_key[gone.key]
        del self._by_key[f"cio_object:{gone.cio_object_id}"]

    def relate(self, person: Person, other: Object, attributes: JsonObject) -> None:
        """Relate a person and an object, or update their relationship."""
        shared = other.people.setdefault(person.cio_id, {})
        update_plain(shared, attributes)
        person.relationships[other.cio_object_id] = shared

    def part(self, person: Person, other: Object) -> None:
        """End a relationship."""
        other.people.pop(person.cio_id, None)
        person.relationships.pop(other.cio_object_id, None)

    def part_all(self, person: Person) -> None:
        """End all relationships of a person."""
        for cio_object_id in list(person.relationships):
            self.part(person, self._by_cio_id[cio_object_id])
