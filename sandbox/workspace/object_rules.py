"""What operations about objects and segments do."""

from __future__ import annotations

from trackrelay.sandbox.parsed_operations import (
    ChangeSegment,
    DeleteObject,
    IdentifyObject,
    PersonRef,
    RelateObject,
    Relationship,
)

from .attributes import update_plain
from .effect_outcome import DONE, UNKNOWN_CIO_OBJECT, Outcome, done
from .objects import Object
from .person_rules import enter, leave
from .workspace_state import Arrival, State


def identify(state: State, op: IdentifyObject, arrival: Arrival) -> Outcome:
    """Create or update an object and relate people to it."""
    found = state.objects.find_or_create(op.object)
    if found is None:
        return UNKNOWN_CIO_OBJECT
    update_plain(found.attributes, op.attributes or {})
    return done(
        [
            failure
            for each in op.relationships
            if (failure := _relate(state, found, each, arrival.at))
        ]
    )


def delete(state: State, op: DeleteObject, arrival: Arrival) -> Outcome:
    """Forget an object and its relationships."""
    found = state.objects.find(op.object.key)
    if found is None:
        return Outcome(False, "there was no such object")
    for person in state.people.by_cio_ids(list(found.people)):
        state.objects.part(person, found)
    state.objects.remove(found)
    return DONE


def relate(state: State, op: RelateObject, arrival: Arrival) -> Outcome:
    """Add or remove relationships to people."""
    found = (
        state.objects.find(op.object.key) if op.remove else state.objects.find_or_create(op.object)
    )
    if found is None:
        return (
            UNKNOWN_CIO_OBJECT
            if op.object.type_id is None
            else Outcome(False, "there was no such object")
        )
    if op.remove:
        for each in op.relationships:
            _part(state, found, each)
        return DONE
    return done(
        [
            failure
            for each in op.relationships
            if (failure := _relate(state, found, each, arrival.at))
        ]
    )


def _relate(state: State, found: Object, relationship: Relationship, at: float) -> str | None:
    ref = relationship.other
    assert isinstance(ref, PersonRef)
    if state.suppressions.covers(ref.key):
        return f"{ref.key} is suppressed"
    if ref.kind == "anonymous_id" and state.find(ref) is None:
        state.anonymous.relate(ref.value, found.cio_object_id, relationship.attributes)
        return None
    person = state.people.find_or_create(ref, at)
    if person is None:
        return f"nobody has {ref.key}"
    state.objects.relate(person, found, relationship.attributes)
    return None


def _part(state: State, found: Object, relationship: Relationship) -> None:
    ref = relationship.other
    assert isinstance(ref, PersonRef)
    if (person := state.find(ref)) is not None:
        state.objects.part(person, found)


def change_segment(state: State, op: ChangeSegment, arrival: Arrival) -> Outcome:
    """Move people in or out; those who do not exist are passed over, as are the suppressed."""
    missing = 0
    for ref in op.people:
        person = state.find(ref)
        if person is None:
            missing += 1
        elif op.remove:
            leave(state, person, op.segment_id)
        else:
            enter(state, person, op.segment_id)
    return Outcome(False, f"{missing} of {len(op.people)} do not exist") if missing else DONE
