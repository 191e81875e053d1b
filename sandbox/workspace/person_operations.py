"""Operations about a person, apart from identifies and events."""

from __future__ import annotations

from trackrelay.sandbox.parsed_operations import (
    Arrival,
    Operation,
    PersonRef,
    Relationship,
    person_ref,
)

from .identify_operations import PersonOperation, relate
from .people import Device
from .workspace_state import (
    DONE,
    NO_PRIMARY,
    NO_SECONDARY,
    UNKNOWN_CIO_ID,
    Outcome,
    State,
    done,
)


class DeletePerson(PersonOperation, frozen=True, kw_only=True):
    """Delete a person."""

    action: str = "delete"

    def change(self, state: State, arrival: Arrival) -> Outcome:
        """Delete a person; the next operation with the same identifier creates a new one."""
        person = state.find(self.person)
        if person is None:
            return Outcome(False, "there was nobody to delete")
        state.remove(person, arrival)
        return DONE


class Suppress(PersonOperation, frozen=True, kw_only=True):
    """Delete a person and ignore later operations about them."""

    action: str = "suppress"

    def apply(self, state: State, arrival: Arrival) -> Outcome:
        """Delete a person and ignore later operations with any of the identifiers."""
        state.suppress(self.person, arrival)
        return DONE


class Unsuppress(PersonOperation, frozen=True, kw_only=True):
    """Accept the identifiers of a suppressed person again."""

    action: str = "unsuppress"

    def apply(self, state: State, arrival: Arrival) -> Outcome:
        """Release the identifiers of a suppressed person; the person is not restored."""
        released = state.suppressions.release(self.person.key)
        return DONE if released else Outcome(False, "was not suppressed")


class AddDevice(PersonOperation, frozen=True, kw_only=True):
    """Add or update a person's device."""

    action: str = "add_device"
    token: str
    platform: str
    last_used: int | None

    def change(self, state: State, arrival: Arrival) -> Outcome:
        """Add or update a device; create the person if needed."""
        person = state.find_or_create(self.person, arrival)
        if person is None:
            return state.fail("skipped_update", self, UNKNOWN_CIO_ID, arrival)
        used = int(arrival.at) if self.last_used is None else self.last_used
        person.devices[self.token] = Device(self.token, self.platform, used, self.attributes or {})
        data = {"device_id": self.token, "platform": self.platform}
        state.activities.add(arrival, "device_change", person.cio_id, data)
        return DONE


class DeleteDevice(PersonOperation, frozen=True, kw_only=True):
    """Remove a person's device."""

    action: str = "delete_device"
    token: str

    def change(self, state: State, arrival: Arrival) -> Outcome:
        """Remove a device."""
        person = state.find(self.person)
        if person is None or person.devices.pop(self.token, None) is None:
            return Outcome(False, "there was no such device")
        data = {"device_id": self.token}
        state.activities.add(arrival, "device_change", person.cio_id, data)
        return DONE


class RelatePerson(PersonOperation, frozen=True, kw_only=True):
    """Relate a person to objects, or remove relationships."""

    relationships: tuple[Relationship, ...]
    remove: bool

    def change(self, state: State, arrival: Arrival) -> Outcome:
        """Add or remove relationships to objects."""
        known = state.find(self.person)
        person = known if self.remove else state.find_or_create(self.person, arrival)
        if person is not None:
            return done(relate(state, person, self.relationships, self.remove, arrival))
        if self.person.kind == "cio_id":
            type = "relationship_failed_attribute_change"
            return state.fail(type, self, UNKNOWN_CIO_ID, arrival)
        return Outcome(False, "there was nobody to unrelate")


class Merge(Operation, frozen=True, kw_only=True):
    """Merge ``secondary`` into ``primary`` and delete it."""

    type: str = "person"
    action: str = "merge"
    primary: PersonRef
    secondary: PersonRef

    def apply(self, state: State, arrival: Arrival) -> Outcome:
        """Merge the secondary into the primary; nothing happens if one of them is missing.

        The primary gets what it lacks, 30 days of events, and the manual segments.
        """
        covers = state.suppressions.covers
        if covers(self.primary.key) or covers(self.secondary.key):
            return state.skip_suppressed(self, arrival)
        primary, secondary = state.find(self.primary), state.find(self.secondary)
        if primary is None or secondary is None:
            outcome = NO_PRIMARY if primary is None else NO_SECONDARY
            return state.fail("skipped_update", self, outcome, arrival)
        if primary is secondary:
            return Outcome(True, "primary and secondary are the same person")
        identifiers = dict(secondary.identifiers)
        segments = set(secondary.segments)
        events, gone = secondary.events, secondary.cio_id
        state.remove(secondary, arrival)
        for kind, value in identifiers.items():
            if kind not in primary.identifiers:
                state.people.give(primary, person_ref(kind, value), arrival.at)
        primary.attributes.fill_from(secondary.attributes)
        state.take_over(primary, events, arrival.at)
        for segment_id in segments:
            state.segments.enter(primary, segment_id)
        for anonymous_id in secondary.anonymous_ids:
            state.people.join_anonymous(primary, person_ref("anonymous_id", anonymous_id))
        data = {"secondary": {**identifiers, "cio_id": gone}}
        state.activities.add(arrival, "profile_merge", primary.cio_id, data)
        if state.observer is not None:
            state.observer.merged(primary, secondary, arrival.at)
        return DONE
