"""The activity log of a workspace: what happened to people and objects, events included."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Iterator, Reversible
from typing import Any

import msgspec

from trackrelay.sandbox.parsed_operations import Arrival, JsonObject

#: How many events the log lists, and how many other activities it keeps.
MAX_LISTED = 100_000
#: How many activities, besides events, are kept of one person.
MAX_OF_PERSON = 100
EVENT_TYPES = ("event", "page", "screen")
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class EventDetails(msgspec.Struct, gc=False):
    """What a rehearsal needs to know of an event: when it arrived, and its data."""

    arrived: float
    data: JsonObject


class StoredEvent(msgspec.Struct, gc=False):
    """An event in a person's history; ``seq`` is the number of its effect."""

    seq: int
    at: float
    type: str
    name: str
    id: str | None
    #: None while nobody has claimed an anonymous event.
    cio_id: str | None = None
    #: None unless the workspace keeps them.
    details: EventDetails | None = None

    @property
    def order(self) -> tuple[int, int]:
        """The place in the log."""
        return self.seq, 0

    def concerns(self, name: str) -> bool:
        """Return whether the event has this name."""
        return self.name == name


class Activity(msgspec.Struct, gc=False):
    """Anything but an event that happened to a person or an object."""

    seq: int
    at: float
    type: str
    cio_id: str | None
    #: Further activities of one operation have higher numbers.
    number: int
    #: An object, or the name, the old and the new value of each attribute in a row.
    data: JsonObject | tuple[Any, ...] | None = None
    #: More fields of the answer: the name, an event's id, an object, a person whom nobody knows.
    fields: JsonObject | None = None

    @property
    def name(self) -> str | None:
        """The name of an event that failed."""
        return (self.fields or {}).get("name")

    @property
    def id(self) -> str | None:
        """The ULID of an event that failed."""
        return (self.fields or {}).get("id")

    @property
    def order(self) -> tuple[int, int]:
        """The place in the log."""
        return self.seq, self.number

    def concerns(self, name: str) -> bool:
        """Return whether the activity has this name, or is about this attribute."""
        if isinstance(self.data, tuple):
            return name in self.data[::3]
        return name == self.name or (self.name is None and name in (self.data or ()))


Entry = StoredEvent | Activity


def entry_id(entry: Entry) -> str:
    """Return the id of an activity: a ULID, for an event its own if it has one."""
    if entry.id is not None:
        return entry.id
    seq, number = entry.order
    bits = (max(0, int(entry.at * 1000)) % 2**48) << 80 | seq % 2**40 << 40 | number % 2**40
    return "".join(_CROCKFORD[bits >> shift & 31] for shift in range(125, -1, -5))


class ActivityLog:
    """The latest activities of the workspace, and those of each person."""

    def __init__(self) -> None:
        self._events: deque[StoredEvent] = deque(maxlen=MAX_LISTED)
        self._others: deque[Activity] = deque(maxlen=MAX_LISTED)
        self._next = 1
        #: By cio_id: the activities from one number to another.
        self._by_person: dict[str, list[Activity]] = {}
        self._first_indexed, self._indexed = 1, 0
        #: Adds an event to the log.
        self.add_event = self._events.append

    def add(
        self,
        arrival: Arrival,
        type: str,
        cio_id: str | None,
        data: JsonObject | tuple[Any, ...] | None = None,
        fields: JsonObject | None = None,
    ) -> None:
        """Record an activity; the oldest is dropped if there are too many."""
        number = self._next
        self._next = number + 1
        self._others.append(Activity(arrival.seq, arrival.at, type, cio_id, number, data, fields))

    def latest(self, type: str) -> Iterator[Entry]:
        """Return the activities of a type, or all if it is empty, the newest first."""
        return _newest_first(self._events, self._others, type)

    def of_person(self, cio_id: str, events: list[StoredEvent], type: str) -> Iterator[Entry]:
        """Return such activities of a person, among them these events, the newest first."""
        self._update_index()
        own = self._by_person.get(cio_id, [])[-MAX_OF_PERSON:]
        return _newest_first(events, own, type)

    def _update_index(self) -> None:
        """Add what is new to the index of people: it is made when somebody reads, not before."""
        if self._next - self._first_indexed > 2 * MAX_LISTED:
            # Most of what is in the index was dropped from the log.
            self._by_person.clear()
            self._first_indexed = self._next - len(self._others)
            self._indexed = 0
        new = itertools.takewhile(
            lambda activity: activity.number > self._indexed, reversed(self._others)
        )
        for activity in reversed(list(new)):
            if activity.cio_id is not None:
                self._by_person.setdefault(activity.cio_id, []).append(activity)
        self._indexed = self._next - 1


def _newest_first(
    events: Reversible[StoredEvent], others: Reversible[Activity], type: str
) -> Iterator[Entry]:
    # Merging two logs costs much more than choosing from one of them.
    if type in EVENT_TYPES:
        return (event for event in reversed(events) if event.type == type)
    if type:
        return (activity for activity in reversed(others) if activity.type == type)
    return heapq.merge(reversed(events), reversed(others), key=_order, reverse=True)


def _order(entry: Entry) -> tuple[int, int]:
    return entry.order
