"""What operations about a person do, apart from events."""

from __future__ import annotations

from trackrelay.sandbox import published_limits
from trackrelay.sandbox.parsed_operations import (
    AddDevice,
    DeleteDevice,
    DeletePerson,
    Identify,
    Merge,
    ObjectRef,
    RelatePerson,
    Relationship,
    SubmitForm,
    Suppress,
    Unsuppress,
    person_ref,
)

from .effect_outcome import (
    DONE,
    NO_PRIMARY,
    NO_SECONDARY,
    NOBODY_TO_UPDATE,
    SUPPRESSED,
    UNKNOWN_CIO_ID,
    Outcome,
    done,
)
from .people import Device, Person
from .workspace_state import Arrival, State


def identify(state: State, op: Identify, arrival: Arrival) -> Outcome:
    """Create or update a person, join what they did anonymously, change relationships."""
    if state.suppressions.covers(op.person.key):
        return SUPPRESSED
    at = arrival.at if op.timestamp is None else op.timestamp
    attributes = op.attributes or {}
    person = state.identification.person_for(op.person, attributes, op.update_only, at)
    if person is None:
        return UNKNOWN_CIO_ID if op.person.kind == "cio_id" else NOBODY_TO_UPDATE
    failures = state.identification.update(person, op, attributes, at)
    if (anonymous_id := attributes.get("anonymous_id")) and not join(
        state, person, anonymous_id, arrival.at
    ):
        failures.append("anonymous_id belongs to somebody else")
    for relationship in op.relationships:
        _relate(state, person, relationship, op.remove_relationships)
    return done(failures)


def join(state: State, person: Person, anonymous_id: str, now: float) -> bool:
    """Give a person what was done under an anonymous id, and what will be; False if it is somebody else's."""
    ref = person_ref("anonymous_id", anonymous_id)
    if not state.people.join_anonymous(person, ref):
        return False
    person.attributes.set("anonymous_id", anonymous_id, now)
    if state.settings.event_merging:
        person.events.extend(state.anonymous.take_events(anonymous_id, now))
    for cio_object_id, attributes in state.anonymous.take_relationships(anonymous_id).items():
        if (other := state.objects.by_cio_id(cio_object_id)) is not None:
            state.objects.relate(person, other, attributes)
    return True


def submit_form(state: State, op: SubmitForm, arrival: Arrival) -> Outcome:
    """A form's fields are attributes of whoever filled it in."""
    state.forms[op.form_id] += 1
    as_identify = Identify(
        type="person", action="identify", keys=op.keys, person=op.person, attributes=op.attributes
    )
    return identify(state, as_identify, arrival)


def delete(state: State, op: DeletePerson, arrival: Arrival) -> Outcome:
    """Forget a person; whatever is sent to them next makes them anew."""
    if state.suppressions.covers(op.person.key):
        return SUPPRESSED
    person = state.find(op.person)
    if person is None:
        return Outcome(False, "there was nobody to delete")
    state.remove(person)
    return DONE


def suppress(state: State, op: Suppress, arrival: Arrival) -> Outcome:
    """Forget a person, and swallow what is sent to any identifier they had."""
    person = state.find(op.person)
    keys = {op.person.key}
    if person is not None:
        keys.update(key for key in person.keys if not key.startswith("anonymous:"))
        state.remove(person)
    state.suppressions.add(frozenset(keys))
    return DONE


def unsuppress(state: State, op: Unsuppress, arrival: Arrival) -> Outcome:
    """Let the identifiers be used again; the person does not come back."""
    released = state.suppressions.release(op.person.key)
    return DONE if released else Outcome(False, "was not suppressed")


def add_device(state: State, op: AddDevice, arrival: Arrival) -> Outcome:
    """Add or update a device; who has none yet by this identifier is made."""
    if state.suppressions.covers(op.person.key):
        return SUPPRESSED
    person = state.people.find_or_create(op.person, arrival.at)
    if person is None:
        return UNKNOWN_CIO_ID
    used = int(arrival.at) if op.last_used is None else op.last_used
    person.devices[op.token] = Device(op.token, op.platform, used, op.attributes or {})
    return DONE


def delete_device(state: State, op: DeleteDevice, arrival: Arrival) -> Outcome:
    """Take a device away."""
    if state.suppressions.covers(op.person.key):
        return SUPPRESSED
    person = state.find(op.person)
    gone = person.devices.pop(op.token, None) if person is not None else None
    return DONE if gone is not None else Outcome(False, "there was no such device")


def relate(state: State, op: RelatePerson, arrival: Arrival) -> Outcome:
    """Add or remove relationships to objects."""
    if state.suppressions.covers(op.person.key):
        return SUPPRESSED
    person = (
        state.find(op.person) if op.remove else state.people.find_or_create(op.person, arrival.at)
    )
    if person is None:
        return (
            UNKNOWN_CIO_ID if op.person.kind == "cio_id" else Outcome(False, "nobody to part from")
        )
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
    """Fold the secondary into the primary; without a primary, or with both the same, nothing happens."""
    if state.suppressions.covers(op.primary.key) or state.suppressions.covers(op.secondary.key):
        return SUPPRESSED
    primary, secondary = state.find(op.primary), state.find(op.secondary)
    if primary is None:
        return NO_PRIMARY
    if secondary is None:
        return NO_SECONDARY
    if primary is secondary:
        return Outcome(True, "primary and secondary are the same person")
    _fold(state, primary, secondary, arrival.at)
    return DONE


def _fold(state: State, primary: Person, secondary: Person, now: float) -> None:
    """What the primary lacks, 30 days of events, manual segments; then the secondary is gone."""
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
    """Put a person into a manual segment."""
    state.segments[segment_id].add(person.cio_id)
    person.segments.add(segment_id)


def leave(state: State, person: Person, segment_id: int) -> None:
    """Take a person out of a manual segment."""
    state.segments[segment_id].discard(person.cio_id)
    person.segments.discard(segment_id)
