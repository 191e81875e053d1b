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

from .objects import Object, update_plain
from .person_rules import enter, leave
from .workspace_state import DONE, UNKNOWN_CIO_OBJECT, Arrival, Outcome, State, done


def identify(state: State, op: IdentifyObject, arrival: Arrival) -> Outcome:
    """Create or update an object and relate people to it."""
    found = state.objects.find_or_create(op.object)
    if found is None:
        return UNKNOWN_CIO_OBJECT
    update_plain(found.attributes, op.attributes or {})
    return _relate_all(state, found, op.relationships, arrival.at)


def delete(state: State, op: DeleteObject, arrival: Arrival) -> Outcome:
    """Delete an object and its relationships."""
    found = state.objects.find(op.object.key)
    if found is None:
        return Outcome(False, "there was no such object")
    for person in state.people.by_cio_ids(list(found.people)):
        state.objects.part(person, found)
    state.objects.remove(found)
    return DONE


def relate(state: State, op: RelateObject, arrival: Arrival) -> Outcome:
    """Add or remove relationships to people."""
    objects = state.objects
    found = objects.find(op.object.key) if op.remove else objects.find_or_create(op.object)
    if found is None:
        known_by_id = op.object.type_id is not None
        return Outcome(False, "there was no such object") if known_by_id else UNKNOWN_CIO_OBJECT
    if not op.remove:
        return _relate_all(state, found, op.relationships, arrival.at)
    for each in op.relationships:
        if (person := state.find(_person(each))) is not None:
            objects.part(person, found)
    return DONE


def _relate_all(
    state: State, found: Object, relationships: tuple[Relationship, ...], at: float
) -> Outcome:
    failures = (_relate(state, found, each, at) for each in relationships)
    return done([failure for failure in failures if failure])


def _relate(state: State, found: Object, relationship: Relationship, at: float) -> str | None:
    ref = _person(relationship)
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


def _person(relationship: Relationship) -> PersonRef:
    assert isinstance(relationship.other, PersonRef)
    return relationship.other


def change_segment(state: State, op: ChangeSegment, arrival: Arrival) -> Outcome:
    """Add people to a segment, or remove them; people who do not exist are skipped."""
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
