"""What events and reports about messages do."""

from __future__ import annotations

from trackrelay.sandbox.parsed_operations import Event, ReportMetric, Unsubscribe

from .people import StoredEvent
from .workspace_state import (
    DONE,
    DUPLICATE,
    SUPPRESSED,
    UNKNOWN_CIO_ID,
    Arrival,
    Outcome,
    State,
)


def event(state: State, op: Event, arrival: Arrival) -> Outcome:
    """Store an event with its person, or with an anonymous id until the person is known."""
    ref = op.person
    if ref is None:
        return DUPLICATE if _is_repeat(state, op) else DONE
    if state.suppressions.covers(ref.key):
        return SUPPRESSED
    if ref.kind == "cio_id" and state.find(ref) is None:
        return UNKNOWN_CIO_ID
    if _is_repeat(state, op):
        return DUPLICATE
    at = arrival.at if op.timestamp is None else op.timestamp
    stored = StoredEvent(arrival.seq, at, op.action, op.name or "", op.id)
    if ref.kind == "anonymous_id":
        _store_anonymous(state, ref.key, ref.value, stored)
    elif (person := state.people.find_or_create(ref, arrival.at)) is not None:
        person.events.append(stored)
    return DONE


def _store_anonymous(state: State, key: str, anonymous_id: str, stored: StoredEvent) -> None:
    """Store an event with the person who has the anonymous id, or else as unclaimed."""
    person = state.people.find(key)
    if person is None or not state.settings.event_merging:
        state.anonymous.add_event(anonymous_id, stored)
    else:
        person.events.append(stored)


def _is_repeat(state: State, op: Event) -> bool:
    """Count an event's ULID; return whether it was seen before."""
    if op.id is None:
        return False
    ulid = op.id.upper()
    times = state.event_ids.get(ulid, 0)
    state.event_ids[ulid] = times + 1
    return times > 0


def report_metric(state: State, op: ReportMetric, arrival: Arrival) -> Outcome:
    """Count a metric of a message."""
    state.deliveries[op.delivery_id].metrics[op.name or ""] += 1
    return DONE


def unsubscribe(state: State, op: Unsubscribe, arrival: Arrival) -> Outcome:
    """Unsubscribe by way of a message; its recipient too, if the sandbox was told who that is."""
    delivery = state.deliveries[op.delivery_id]
    if not op.unsubscribe:
        return Outcome(True, "unsubscribe is not true")
    delivery.unsubscribed = True
    person = state.people.find(delivery.person_key) if delivery.person_key else None
    if person is not None:
        person.attributes.set("unsubscribed", True, arrival.at)
    return DONE
