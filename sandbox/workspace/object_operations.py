"""Operations about objects and segments."""

from __future__ import annotations

from trackrelay.sandbox.parsed_operations import (
    Arrival,
    ObjectRef,
    Operation,
    PersonRef,
    Relationship,
)

from .objects import Object
from .timed_attributes import Changes
from .workspace_state import (
    DONE,
    UNKNOWN_CIO_OBJECT,
    Outcome,
    State,
    done,
    failed_changes,
)


class IdentifyObject(Operation, frozen=True, kw_only=True):
    """Create or update an object; ``relationships`` can name anonymous people."""

    type: str = "object"
    object: ObjectRef
    relationships: tuple[Relationship, ...] = ()

    def apply(self, state: State, arrival: Arrival) -> Outcome:
        """Create or update an object and relate people to it."""
        found = state.find_or_create_object(self.object, arrival)
        if found is None:
            return UNKNOWN_CIO_OBJECT
        changes = Changes()
        found.attributes.update(self.attributes or {}, arrival.at, changes)
        if changes:
            state.record_object(found, "attribute_change", arrival, tuple(changes))
        if changes.failed:
            failed = failed_changes(changes.failed)
            state.record_object(found, "failed_attribute_change", arrival, failed)
        failures = _relate_all(state, found, self.relationships, arrival)
        return done(changes.notes + failures)


class DeleteObject(Operation, frozen=True, kw_only=True):
    """Delete an object and its relationships."""

    type: str = "object"
    action: str = "delete"
    object: ObjectRef

    def apply(self, state: State, arrival: Arrival) -> Outcome:
        """Delete an object and its relationships."""
        found = state.objects.find(self.object.key)
        if found is None:
            return Outcome(False, "there was no such object")
        for person in state.people.by_cio_ids(list(found.people)):
            state.objects.part(person, found)
        state.objects.remove(found)
        state.record_object(found, "delete", arrival)
        return DONE


class RelateObject(Operation, frozen=True, kw_only=True):
    """Relate an object to people, or remove relationships."""

    type: str = "object"
    object: ObjectRef
    relationships: tuple[Relationship, ...]
    remove: bool

    def apply(self, state: State, arrival: Arrival) -> Outcome:
        """Add or remove relationships to people."""
        known = state.objects.find(self.object.key)
        found = known if self.remove else state.find_or_create_object(self.object, arrival)
        if found is None:
            known_by_id = self.object.type_id is not None
            return Outcome(False, "there was no such object") if known_by_id else UNKNOWN_CIO_OBJECT
        if not self.remove:
            return done(_relate_all(state, found, self.relationships, arrival))
        for each in self.relationships:
            if (person := state.find(_person(each))) is not None:
                state.part(person, found, arrival)
        return DONE


def _relate_all(
    state: State, found: Object, relationships: tuple[Relationship, ...], arrival: Arrival
) -> list[str]:
    """Relate people to an object; return what failed."""
    failures = []
    for each in relationships:
        ref = _person(each)
        if state.suppressions.covers(ref.key):
            error = f"{ref.key} is suppressed"
        elif ref.kind == "anonymous_id" and state.find(ref) is None:
            state.anonymous.relate(ref.value, found.cio_object_id, each.attributes)
            continue
        elif (person := state.find_or_create(ref, arrival)) is not None:
            failures += state.relate(person, found, each.attributes, arrival)
            continue
        else:
            error = f"nobody has {ref.key}"
        failures.append(error)
        state.record_failed_relationship(found, error, each.attributes, arrival)
    return failures


def _person(relationship: Relationship) -> PersonRef:
    assert isinstance(relationship.other, PersonRef)
    return relationship.other


class ChangeSegment(Operation, frozen=True, kw_only=True):
    """Add people to a manual segment, or remove them."""

    type: str = "segment"
    segment_id: int
    people: tuple[PersonRef, ...]
    remove: bool

    def apply(self, state: State, arrival: Arrival) -> Outcome:
        """Add people to a segment, or remove them; people who do not exist are skipped."""
        if state.segments.manual(self.segment_id) is None:
            return Outcome(True, f"segment {self.segment_id} is defined by conditions")
        change = state.segments.leave if self.remove else state.segments.enter
        missing = 0
        for ref in self.people:
            person = state.find(ref)
            if person is None:
                missing += 1
            else:
                change(person, self.segment_id)
        return Outcome(False, f"{missing} of {len(self.people)} do not exist") if missing else DONE
