"""What operations about a person do, apart from events."""

from __future__ import annotations

from typing import Any

from trackrelay.sandbox import published_limits
from trackrelay.sandbox.parsed_operations import (
    AddDevice,
    DeleteDevice,
    DeletePerson,
    Identify,
    JsonObject,
    Merge,
    ObjectRef,
    PersonRef,
    RelatePerson,
    Relationship,
    SubmitForm,
    Suppress,
    Unsuppress,
    person_ref,
)
from trackrelay.sandbox.shape_checks import is_email, is_phone

from .people import IDENTIFIERS, Device, Person
from .workspace_state import (
    DONE,
    NO_PRIMARY,
    NO_SECONDARY,
    NOBODY_TO_UPDATE,
    SUPPRESSED,
    UNKNOWN_CIO_ID,
    Arrival,
    Outcome,
    State,
    done,
)

#: These have rules of their own and are never stored as attributes.
_NOT_ATTRIBUTES = frozenset({*IDENTIFIERS, "cio_id", "anonymous_id", "_update"})


def identify(state: State, op: Identify, arrival: Arrival) -> Outcome:
    """Create or update a person, join anonymous activity, change relationships."""
    if state.suppressions.covers(op.person.key):
        return SUPPRESSED
    at = arrival.at if op.timestamp is None else op.timestamp
    attributes = op.attributes or {}
    person = _person_for(state, op, attributes, at)
    if person is None:
        return UNKNOWN_CIO_ID if op.person.kind == "cio_id" else NOBODY_TO_UPDATE
    failures = _update(state, person, op, attributes, at)
    anonymous_id = attributes.get("anonymous_id")
    if anonymous_id and not _join(state, person, anonymous_id, arrival.at):
        failures.append("anonymous_id belongs to somebody else")
    for relationship in op.relationships:
        _relate(state, person, relationship, op.remove_relationships)
    return done(failures)


def _person_for(state: State, op: Identify, attributes: JsonObject, at: float) -> Person | None:
    """Return the person of an identify, created if needed.

    If nobody has the identifier of the call, but a person has one of the identifiers among the
    attributes, then the identify is about that person, who gets the identifier of the call.
    """
    person = state.find(op.person)
    if person is not None or op.person.kind == "cio_id":
        return person
    person = state.people.find_by_attributes(attributes)
    if person is not None:
        state.people.give(person, op.person, at)
        return person
    return None if op.update_only else state.people.create(op.person, at)


def _update(
    state: State, person: Person, op: Identify, attributes: JsonObject, at: float
) -> list[str]:
    """Change attributes and identifiers; return the changes that failed.

    Customer.io accepts such operations, too, and shows the failures only in its own interface.
    """
    failures = []
    for kind in IDENTIFIERS:
        if kind in attributes and (
            failure := _update_identifier(state, person, op.person, kind, attributes[kind], at)
        ):
            failures.append(failure)
    for name, value in attributes.items():
        if name not in _NOT_ATTRIBUTES and (failure := person.attributes.set(name, value, at)):
            failures.append(failure)
    return failures


def _update_identifier(
    state: State, person: Person, by: PersonRef, kind: str, value: Any, at: float
) -> str | None:
    current = person.identifiers.get(kind)
    may_change = by.kind == "cio_id" or (
        kind == "email" and by.kind == "id" and state.settings.email_updates_with_id
    )
    if value is None or value == "":
        if current is not None and may_change:
            state.people.take(person, kind)
        return _unchangeable(kind) if current is not None and not may_change else None
    if not _is_plausible(kind, value):
        return f"{kind} is not valid"
    ref = person_ref(kind, value)
    if current is not None and person_ref(kind, current).key == ref.key:
        return None
    if state.suppressions.covers(ref.key):
        return f"{kind} is suppressed"
    if state.find(ref) is not None:
        return f"{kind} belongs to somebody else"
    if current is not None and not may_change:
        return _unchangeable(kind)
    state.people.give(person, ref, at)
    return None


def _unchangeable(kind: str) -> str:
    return f"{kind} is already set; changing it needs cio_id"


def _is_plausible(kind: str, value: Any) -> bool:
    if not isinstance(value, str):
        return False
    return is_email(value) if kind == "email" else is_phone(value) if kind == "phone" else True


def _join(state: State, person: Person, anonymous_id: str, now: float) -> bool:
    """Give a person an anonymous id with its events and relationships.

    Returns:
        False if another person has the anonymous id already.
    """
    if not state.people.join_anonymous(person, person_ref("anonymous_id", anonymous_id)):
        return False
    person.attributes.set("anonymous_id", anonymous_id, now)
    if state.settings.event_merging:
        person.events.extend(state.anonymous.take_events(anonymous_id, now))
    for cio_object_id, attributes in state.anonymous.take_relationships(anonymous_id).items():
        if (other := state.objects.by_cio_id(cio_object_id)) is not None:
            state.objects.relate(person, other, attributes)
    return True


def submit_form(state: State, op: SubmitForm, arrival: Arrival) -> Outcome:
    """Set the fields of a form as attributes of the person who submitted it."""
    state.forms[op.form_id] += 1
    as_identify = Identify(keys=op.keys, person=op.person, attributes=op.attributes)
    return identify(state, as_identify, arrival)


def delete(state: State, op: DeletePerson, arrival: Arrival) -> Outcome:
    """Delete a person; the next operation with the same identifier creates a new one."""
    if state.suppressions.covers(op.person.key):
        return SUPPRESSED
    person = state.find(op.person)
    if person is None:
        return Outcome(False, "there was nobody to delete")
    state.remove(person)
    return DONE


def suppress(state: State, op: Suppress, arrival: Arrival) -> Outcome:
    """Delete a person and ignore later operations with any of the identifiers."""
    person = state.find(op.person)
    keys = {op.person.key}
    if person is not None:
        keys.update(key for key in person.keys if not key.startswith("anonymous:"))
        state.remove(person)
    state.suppressions.add(frozenset(keys))
    return DONE


def unsuppress(state: State, op: Unsuppress, arrival: Arrival) -> Outcome:
    """Release the identifiers of a suppressed person; the person is not restored."""
    released = state.suppressions.release(op.person.key)
    return DONE if released else Outcome(False, "was not suppressed")


def add_device(state: State, op: AddDevice, arrival: Arrival) -> Outcome:
    """Add or update a device; create the person if needed."""
    if state.suppressions.covers(op.person.key):
        return SUPPRESSED
    person = state.people.find_or_create(op.person, arrival.at)
    if person is None:
        return UNKNOWN_CIO_ID
    used = int(arrival.at) if op.last_used is None else op.last_used
    person.devices[op.token] = Device(op.token, op.platform, used, op.attributes or {})
    return DONE


def delete_device(state: State, op: DeleteDevice, arrival: Arrival) -> Outcome:
    """Remove a device."""
    if state.suppressions.covers(op.person.key):
        return SUPPRESSED
    person = state.find(op.person)
    gone = person.devices.pop(op.token, None) if person is not None else None
    return DONE if gone is not None else Outcome(False, "there was no such device")


def relate(state: State, op: RelatePerson, arrival: Arrival) -> Outcome:
    """Add or remove relationships to objects."""
    if state.suppressions.covers(op.person.key):
        return SUPPRESSED
    people = state.people
    person = state.find(op.person) if op.remove else people.find_or_create(op.person, arrival.at)
    if person is None:
        by_cio_id = op.person.kind == "cio_id"
        return UNKNOWN_CIO_ID if by_cio_id else Outcome(False, "there was nobody to unrelate")
    for relationship in op.relationships:
        _relate(state, person, relationship, op.remove)
    return DONE


def _relate(state: State, person: Person, relationship: Relationship, remove: bool) -> None:
    ref = relationship.other
    assert isinstance(ref, ObjectRef)
    other = state.objects.find(ref.key) if remove else state.objects.find_or_create(ref)
    if other is None:
        return
    if remove:
        state.objects.part(person, other)
    else:
        state.objects.relate(person, other, relationship.attributes)


def merge(state: State, op: Merge, arrival: Arrival) -> Outcome:
    """Merge the secondary into the primary; nothing happens if one of them is missing."""
    if state.suppressions.covers(op.primary.key) or state.suppressions.covers(op.secondary.key):
        return SUPPRESSED
    primary, secondary = state.find(op.primary), state.find(op.secondary)
    if primary is None:
        return NO_PRIMARY
    if secondary is None:
        return NO_SECONDARY
    if primary is secondary:
        return Outcome(True, "primary and secondary are the same person")
    _merge_into(state, primary, secondary, arrival.at)
    return DONE


def _merge_into(state: State, primary: Person, secondary: Person, now: float) -> None:
    """Move what the primary lacks, 30 days of events and the manual segments; then delete."""
    identifiers = dict(secondary.identifiers)
    segments = set(secondary.segments)
    state.remove(secondary)
    for kind, value in identifiers.items():
        if kind not in primary.identifiers:
            state.people.give(primary, person_ref(kind, value), now)
    primary.attributes.fill_from(secondary.attributes)
    since = now - published_limits.EVENT_HISTORY_S
    primary.events.extend(event for event in secondary.events if event.at >= since)
    for segment_id in segments:
        enter(state, primary, segment_id)
    for anonymous_id in secondary.anonymous_ids:
        state.people.join_anonymous(primary, person_ref("anonymous_id", anonymous_id))


def enter(state: State, person: Person, segment_id: int) -> None:
    """Add a person to a manual segment."""
    state.segments[segment_id].add(person.cio_id)
    person.segments.add(segment_id)


def leave(state: State, person: Person, segment_id: int) -> None:
    """Remove a person from a manual segment."""
    state.segments[segment_id].discard(person.cio_id)
    person.segments.discard(segment_id)
