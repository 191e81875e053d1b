"""The state of a workspace, its settings, and the outcome of an operation."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from trackrelay.sandbox import published_limits
from trackrelay.sandbox.parsed_operations import (
    Arrival,
    JsonObject,
    ObjectRef,
    Operation,
    PersonRef,
)
from trackrelay.sandbox.sandbox_clock import Clock

from .account import MESSAGE_ACTIVITIES, Account
from .activities import ActivityLog, StoredEvent
from .objects import Object, Objects
from .people import People, Person
from .segments import Segments
from .timed_attributes import Changes, Failures


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
    #: Requests per second to the App API; further requests get a 429. None: no limit.
    app_rate_limit: int | None = 10
    #: Whether a page of the App API begins with the last entry of the page before.
    repeat_across_pages: bool = False
    #: What the App API's last page has as ``next``; repeated: the start of that page.
    next_at_end: Literal["empty", "absent", "repeated"] = "empty"
    #: The identifiers of people in the workspace: the App API refuses others as ``id_type``.
    identifiers: tuple[Literal["id", "email", "phone"], ...] = ("id", "email", "phone")

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
        for name in ("rate_limit", "app_rate_limit"):
            limit = getattr(self, name)
            if limit is not None and limit < 1:
                raise ValueError(f"{name} is {limit}; it must be at least 1, or null for no limit")


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

    def take_events(self, anonymous_id: str) -> list[StoredEvent]:
        """Remove the events of an anonymous id; return them."""
        return self._events.pop(anonymous_id, [])

    def take_relationships(self, anonymous_id: str) -> dict[str, JsonObject]:
        """Remove the relationships of an anonymous id; return them by cio_object_id."""
        return self._relationships.pop(anonymous_id, {})

    def ids_with(self, name: str) -> list[str]:
        """Return the anonymous ids that have unclaimed events of this name."""
        return [
            anonymous_id
            for anonymous_id, events in self._events.items()
            if any(event.name == name for event in events)
        ]

    def event_counts(self) -> dict[str, int]:
        """Return the number of unclaimed events by anonymous id."""
        return {anonymous_id: len(events) for anonymous_id, events in self._events.items()}


class Suppressions:
    """Suppressed keys. The keys of one person are suppressed and released together."""

    def __init__(self) -> None:
        self._groups: dict[str, frozenset[str]] = {}
        #: The keys whose later operations leave no trace in the activity log.
        self.silent: set[str] = set()

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
            self.silent.discard(each)
        return bool(group)

    def all(self) -> list[str]:
        """Return every suppressed key."""
        return sorted(self._groups)


class Observer(Protocol):
    """Is told what can start, move or end a journey."""

    def event_added(self, person: Person, event: StoredEvent, at: float) -> None:
        """Note an event that arrived, or that an identify joined to a person."""

    def merged(self, primary: Person, secondary: Person, at: float) -> None:
        """Note that ``secondary`` was merged into ``primary``."""


class State:
    """Everything a workspace holds; the operations change it."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or Clock()
        #: None: there are no campaigns.
        self.observer: Observer | None = None
        #: Whether events keep their data.
        self.keeps_details = False
        self.people = People()
        self.objects = Objects()
        self.anonymous = Anonymous()
        self.suppressions = Suppressions()
        self.activities = ActivityLog()
        self.segments = Segments()
        self.account = Account()
        #: By form id: the number of submissions.
        self.forms: Counter[str] = Counter()
        #: By ULID: how many events with it were accepted. All but the first were ignored.
        self.event_ids: dict[str, int] = {}

    def find(self, ref: PersonRef) -> Person | None:
        """Return the person who has this identifier."""
        return self.people.find(ref.key)

    def create(self, ref: PersonRef, at: float, arrival: Arrival) -> Person:
        """Create a person."""
        person = self.people.create(ref, at)
        self.activities.add(arrival, "profile_create", person.cio_id)
        return person

    def find_or_create(self, ref: PersonRef, arrival: Arrival) -> Person | None:
        """Return the person with an identifier, created if needed.

        Returns:
            None only for an unknown cio_id: Customer.io alone assigns those.
        """
        person = self.people.find(ref.key)
        if person is None and ref.kind != "cio_id":
            return self.create(ref, arrival.at, arrival)
        return person

    def remove(self, person: Person, arrival: Arrival) -> None:
        """Delete a person with all relationships and segment memberships."""
        self.objects.part_all(person)
        for segment_id in list(person.segments):
            self.segments.leave(person, segment_id)
        self.people.remove(person)
        self.activities.add(arrival, "profile_delete", person.cio_id)

    def take_over(self, person: Person, events: list[StoredEvent], now: float) -> list[StoredEvent]:
        """Give a person the events of the last 30 days of somebody else; return those."""
        since = now - published_limits.EVENT_HISTORY_S
        taken = [event for event in events if event.at >= since]
        if taken:
            for event in taken:
                event.cio_id = person.cio_id
            person.events = sorted(person.events + taken, key=lambda event: event.seq)
        return taken

    def suppress(self, ref: PersonRef, arrival: Arrival) -> frozenset[str]:
        """Delete a person and suppress all identifiers; return the suppressed keys."""
        person = self.find(ref)
        keys = {ref.key}
        if person is not None:
            keys.update(key for key in person.keys if not key.startswith("anonymous:"))
            self.remove(person, arrival)
        self.suppressions.add(frozenset(keys))
        return frozenset(keys)

    def find_or_create_object(self, ref: ObjectRef, arrival: Arrival) -> Object | None:
        """Return an object, created if needed; None only for an unknown cio_object_id."""
        found = self.objects.find(ref.key)
        if found is None and ref.type_id is not None and ref.object_id is not None:
            found = self.objects.create(ref.type_id, ref.object_id)
            self.record_object(found, "create", arrival)
        return found

    def relate(
        self, person: Person, other: Object, attributes: JsonObject, arrival: Arrival
    ) -> list[str]:
        """Relate a person and an object, or update their relationship; return what failed."""
        is_new, changes = self.objects.relate(person, other, attributes, arrival.at)
        if is_new:
            self._record_relationship(person, other, "add_relationship", arrival)
        for failed, data in (
            ("", tuple(changes)),
            ("failed_", failed_changes(changes.failed)),
        ):
            if data:
                type = f"{failed}attribute_change"
                for named in (f"relationship_{type}", f"_r:{other.type_id}:{type}"):
                    self.activities.add(arrival, named, person.cio_id, data, object_fields(other))
        return changes.notes

    def part(self, person: Person, other: Object, arrival: Arrival) -> None:
        """End the relationship of a person and an object."""
        if self.objects.part(person, other):
            self._record_relationship(person, other, "delete_relationship", arrival)

    def _record_relationship(
        self, person: Person, other: Object, type: str, arrival: Arrival
    ) -> None:
        subject = object_fields(other)
        self.activities.add(arrival, type, person.cio_id, None, subject)
        self.record_object(other, type, arrival)

    def record_object(self, about: Object, action: str, arrival: Arrival, data: Any = None) -> None:
        """Record what happened to an object."""
        type = f"_o:{about.type_id}:{action}"
        self.activities.add(arrival, type, None, data, object_fields(about))

    def record_failed_relationship(
        self, about: Object, error: str, attributes: JsonObject, arrival: Arrival
    ) -> None:
        """Record a relationship to a person who does not exist."""
        data = failed_changes({name: (None, value, error) for name, value in attributes.items()})
        type = f"_r:{about.type_id}:failed_attribute_change"
        fields = object_fields(about)
        self.activities.add(arrival, type, None, data or {"error": error}, fields)

    def record_message(self, delivery_id: str, metric: str, arrival: Arrival) -> None:
        """Record a report about a message whose recipient is known."""
        delivery = self.account.deliveries[delivery_id]
        person = self.people.find(delivery.person_key or "")
        type = f"{metric}_{delivery.fields.get('type', 'email')}"
        if person is not None and type in MESSAGE_ACTIVITIES:
            delivered = delivery.times.get("delivered")
            data = {"delivery_id": delivery_id, "delivered": delivered}
            fields = {"delivery_id": delivery_id}
            self.activities.add(arrival, type, person.cio_id, data, fields)

    def record_changes(self, person: Person, changes: Changes, arrival: Arrival) -> None:
        """Record the changes of a person's attributes, those that failed apart."""
        if changes:
            made = tuple(changes)
            self.activities.add(arrival, "attribute_change", person.cio_id, made)
        if changes.failed:
            failed = failed_changes(changes.failed)
            type = "failed_attribute_change"
            self.activities.add(arrival, type, person.cio_id, failed)

    def record_failure(self, type: str, operation: Operation, error: str, arrival: Arrival) -> None:
        """Record an operation that failed; nobody needs to have the identifier it uses."""
        if not self.suppressions.silent.isdisjoint(operation.keys):
            return
        data: JsonObject = {"error": error}
        if type == "failed_attribute_change":
            unset = (operation.attributes or {}).items()
            data = failed_changes({name: (None, value, error) for name, value in unset})
        person = self.people.find(operation.keys[0])
        cio_id = person.cio_id if person is not None else None
        fields = {"name": operation.name, "id": operation.id}
        if person is None:
            fields |= _unknown_fields(operation.keys[0])
        known = {name: value for name, value in fields.items() if value is not None}
        self.activities.add(arrival, type, cio_id, data, known)

    def fail(self, type: str, operation: Operation, outcome: Outcome, arrival: Arrival) -> Outcome:
        """Record an operation that failed; return its outcome."""
        self.record_failure(type, operation, outcome.note or "", arrival)
        return outcome

    def skip_suppressed(self, operation: Operation, arrival: Arrival) -> Outcome:
        """Record an operation about a suppressed person; return its outcome."""
        return self.fail("skipped_update", operation, SUPPRESSED, arrival)


def failed_changes(failed: Failures) -> JsonObject:
    """Return the data of an activity about changes that failed."""
    return {
        name: {"from": old, "to": value, "error": error}
        for name, (old, value, error) in failed.items()
    }


def _unknown_fields(key: str) -> JsonObject:
    """Return the fields that name a person whom nobody knows in an activity."""
    kind, _, value = key.partition(":")
    named = {each: value if each == kind else None for each in ("id", "email")}
    cio_id = value if kind == "cio_id" else ""
    return {"customer_id": named["id"], "customer_identifiers": {**named, "cio_id": cio_id}}


def object_fields(about: Object) -> JsonObject:
    """Return the fields that name an object in an activity."""
    return {
        "object_type_id": about.type_id,
        "object_identifiers": {
            "object_id": about.object_id,
            "cio_object_id": about.cio_object_id,
        },
    }
