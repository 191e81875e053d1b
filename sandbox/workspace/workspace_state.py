"""The state of a workspace, its settings, and the outcome of an operation."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import NamedTuple

import msgspec

from trackrelay.sandbox import published_limits
from trackrelay.sandbox.parsed_operations import JsonObject, PersonRef

from .objects import Objects
from .people import People, Person, StoredEvent


class Settings(msgspec.Struct, forbid_unknown_fields=True):
    """The settings that can be changed while the sandbox runs."""

    #: Delay of every answer.
    latency_s: float = 0.0
    #: Requests per second; further requests get a 429. None: no limit.
    rate_limit: int | None = None
    #: Retry-After header of 429 and 5xx answers.
    retry_after: str | None = None
    region: str = "us"
    environment_id: int = 123
    #: Maximum number of operations in a batch.
    batch_operations: int = 1_000
    #: Customer.io's workspace setting "Allow updates to email using ID".
    email_updates_with_id: bool = False
    #: Whether anonymous events join the person who is identified later.
    event_merging: bool = True

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: A value is out of range.
        """
        if self.region not in ("us", "eu"):
            raise ValueError(f"region is {self.region!r}; it must be us or eu")
        if not 0 <= self.latency_s <= 3_600:
            raise ValueError(f"latency_s is {self.latency_s}; it must be between 0 and 3,600")
        if self.retry_after is not None and not (
            self.retry_after.isascii() and self.retry_after.isprintable()
        ):
            raise ValueError("retry_after must be printable ASCII")
        if self.rate_limit is not None and self.rate_limit < 1:
            raise ValueError(
                f"rate_limit is {self.rate_limit}; it must be at least 1, or null for no limit"
            )


class Outcome(NamedTuple):
    """The outcome of an accepted operation.

    Attributes:
        ignored: Whether the operation changed nothing.
        note: Why it was ignored, or what failed although the rest took effect.
    """

    ignored: bool = False
    note: str | None = None


DONE = Outcome()
#: An event with a ULID that was seen before.
DUPLICATE = Outcome(True, "duplicate")
#: The person is suppressed.
SUPPRESSED = Outcome(True, "suppressed")
UNKNOWN_CIO_ID = Outcome(True, "nobody has this cio_id")
UNKNOWN_CIO_OBJECT = Outcome(True, "no object has this cio_object_id")
NOBODY_TO_UPDATE = Outcome(True, "nobody to update")
NO_PRIMARY = Outcome(True, "the primary does not exist")
NO_SECONDARY = Outcome(True, "the secondary does not exist")


def done(failures: list[str]) -> Outcome:
    """Return the outcome of an operation that took effect except for ``failures``."""
    return Outcome(False, "; ".join(failures)) if failures else DONE


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """When an operation was accepted: its place in the order, and the time in unix seconds."""

    seq: int
    at: float


class Anonymous:
    """Events and relationships of anonymous ids that no identify has claimed yet."""

    def __init__(self) -> None:
        self._events: dict[str, list[StoredEvent]] = defaultdict(list)
        self._relationships: dict[str, dict[str, JsonObject]] = defaultdict(dict)

    def add_event(self, anonymous_id: str, event: StoredEvent) -> None:
        """Store an event."""
        self._events[anonymous_id].append(event)

    def relate(self, anonymous_id: str, cio_object_id: str, attributes: JsonObject) -> None:
        """Store a relationship."""
        self._relationships[anonymous_id][cio_object_id] = attributes

    def take_events(self, anonymous_id: str, now: float) -> list[StoredEvent]:
        """Remove the events of an anonymous id; return those of the last 30 days."""
        since = now - published_limits.EVENT_HISTORY_S
        return [event for event in self._events.pop(anonymous_id, []) if event.at >= since]

    def take_relationships(self, anonymous_id: str) -> dict[str, JsonObject]:
        """Remove the relationships of an anonymous id; return them by cio_object_id."""
        return self._relationships.pop(anonymous_id, {})

    def event_counts(self) -> dict[str, int]:
        """Return the number of unclaimed events by anonymous id."""
        return {anonymous_id: len(events) for anonymous_id, events in self._events.items()}


class Delivery(msgspec.Struct):
    """What was reported about one message. The sandbox itself sends no messages."""

    metrics: Counter[str]
    unsubscribed: bool = False
    #: Key of the recipient, if the sandbox was told: an unsubscribe then reaches this person.
    person_key: str | None = None


class Suppressions:
    """Suppressed keys. The keys of one person are suppressed and released together."""

    def __init__(self) -> None:
        self._groups: dict[str, frozenset[str]] = {}

    def covers(self, key: str) -> bool:
        """Return whether a key is suppressed."""
        return key in self._groups

    def add(self, keys: frozenset[str]) -> None:
        """Suppress the keys of one person."""
        self._groups.update(dict.fromkeys(keys, keys))

    def release(self, key: str) -> bool:
        """Release a key and those suppressed with it; return whether it was suppressed."""
        group = self._groups.get(key, frozenset())
        for each in group:
            self._groups.pop(each, None)
        return bool(group)

    def all(self) -> list[str]:
        """Return every suppressed key."""
        return sorted(self._groups)


class State:
    """Everything a workspace holds; the rules change it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.people = People()
        self.objects = Objects()
        self.anonymous = Anonymous()
        self.suppressions = Suppressions()
        #: By delivery id.
        self.deliveries: dict[str, Delivery] = defaultdict(lambda: Delivery(Counter()))
        #: By segment id: the cio_ids of its members.
        self.segments: dict[int, set[str]] = defaultdict(set)
        #: By form id: the number of submissions.
        self.forms: Counter[str] = Counter()
        #: By ULID: how many events with it were accepted. All but the first were ignored.
        self.event_ids: dict[str, int] = {}

    def find(self, ref: PersonRef) -> Person | None:
        """Return the person who has this identifier."""
        return self.people.find(ref.key)

    def remove(self, person: Person) -> None:
        """Delete a person with all relationships and segment memberships."""
        self.objects.part_all(person)
        for segment_id in person.segments:
            self.segments[segment_id].discard(person.cio_id)
        self.people.remove(person)
