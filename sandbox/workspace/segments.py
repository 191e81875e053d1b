"""Segments: manual ones, and those that conditions on data define."""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec

from trackrelay.sandbox.parsed_operations import JsonObject

from .people import Person


class Segment(msgspec.Struct):
    """A segment; without ``conditions`` it is a manual one."""

    id: int
    name: str
    description: str = ""
    conditions: JsonObject | None = None
    tags: list[str] | None = None
    created_at: int = 0
    updated_at: int = 0
    #: The cio_ids of the members of a manual segment, in the order they joined.
    members: dict[str, None] = msgspec.field(default_factory=dict)

    @property
    def is_manual(self) -> bool:
        """Whether people are added by hand, or by the Track API."""
        return self.conditions is None


class Segments:
    """All segments by id."""

    def __init__(self) -> None:
        self._by_id: dict[int, Segment] = {}

    def __iter__(self) -> Iterator[Segment]:
        return iter(sorted(self._by_id.values(), key=lambda segment: segment.id))

    def find(self, segment_id: int) -> Segment | None:
        """Return the segment with an id."""
        return self._by_id.get(segment_id)

    def manual(self, segment_id: int) -> Segment | None:
        """Return a manual segment, created if needed; None if conditions define the segment."""
        found = self._by_id.get(segment_id)
        if found is None:
            segment = Segment(segment_id, f"Manual segment {segment_id}")
            found = self.put(segment, int(time.time()))
        return found if found.is_manual else None

    def named(self, name: object) -> Segment | None:
        """Return the segment with a name."""
        return next((each for each in self if each.name == name), None)

    def put(self, segment: Segment, now: int) -> Segment:
        """Add a segment, or replace the one with its id."""
        previous = self._by_id.get(segment.id)
        segment.created_at = previous.created_at if previous else now
        segment.updated_at = now
        if previous is not None:
            segment.members = previous.members
        self._by_id[segment.id] = segment
        return segment

    def free_id(self) -> int:
        """Return an id that no segment has."""
        return max(self._by_id, default=0) + 1

    def enter(self, person: Person, segment_id: int) -> None:
        """Add a person to a manual segment."""
        if (segment := self.manual(segment_id)) is not None:
            segment.members[person.cio_id] = None
            person.segments.add(segment_id)

    def leave(self, person: Person, segment_id: int) -> None:
        """Remove a person from a manual segment."""
        if (segment := self.manual(segment_id)) is not None:
            segment.members.pop(person.cio_id, None)
            person.segments.discard(segment_id)
