"""Events and reports about messages, and what they do."""

from __future__ import annotations

from trackrelay.sandbox.parsed_operations import Arrival, Operation, PersonRef

from .activities import EventDetails, StoredEvent
from .people import Person
from .workspace_state import DONE, DUPLICATE, UNKNOWN_CIO_ID, Outcome, State


class Event(Operation, frozen=True, kw_only=True):
    """An event, page or screen; an invite belongs to nobody, so its ``person`` is None."""

    type: str = "person"
    person: PersonRef | None

    def apply(self, state: State, arrival: Arrival) -> Outcome:
        """Store an event with its person, or with an anonymous id until the person is known."""
        ref = self.person
        if ref is None:
            return DUPLICATE if self._is_repeat(state) else DONE
        if state.suppressions.covers(ref.key):
            return state.skip_suppressed(self, arrival)
        person = state.people.find(ref.key)
        if person is None and ref.kind == "cio_id":
            return state.fail("failed_event", self, UNKNOWN_CIO_ID, arrival)
        if self._is_repeat(state):
            return DUPLICATE
        if ref.kind == "anonymous_id":
            if not state.settings.event_merging:
                person = None
        elif person is None:
            person = state.create(ref, arrival.at, arrival)
        self._store(state, person, arrival)
        return DONE

    def _store(self, state: State, person: Person | None, arrival: Arrival) -> None:
        """Store the event with a person; without one, with the anonymous id."""
        at = arrival.at if self.timestamp is None else self.timestamp
        stored = StoredEvent(arrival.seq, at, self.action, self.name or "", self.id)
        if state.keeps_details:
            stored.details = EventDetails(arrival.at, self.attributes or {})
        if person is not None:
            stored.cio_id = person.cio_id
            person.events.append(stored)
            if state.observer is not None:
                state.observer.event_added(person, stored, arrival.at)
        elif self.person is not None:
            state.anonymous.add_event(self.person.value, stored)
        state.activities.add_event(stored)

    def _is_repeat(self, state: State) -> bool:
        """Count the event's ULID; return whether it was seen before."""
        if self.id is None:
            return False
        ulid = self.id.upper()
        times = state.event_ids.get(ulid, 0)
        state.event_ids[ulid] = times + 1
        return times > 0


class ReportMetric(Operation, frozen=True, kw_only=True):
    """A report about a message: a v2 delivery event, a v1 metric or a v1 push metric."""

    type: str = "delivery"
    delivery_id: str

    def apply(self, state: State, arrival: Arrival) -> Outcome:
        """Count a metric of a message."""
        delivery = state.account.deliveries[self.delivery_id]
        metric = self.name or ""
        delivery.metrics[metric] += 1
        delivery.times.setdefault(metric, self.timestamp or int(arrival.at))
        state.record_message(self.delivery_id, metric, arrival)
        return DONE


class Unsubscribe(Operation, frozen=True, kw_only=True):
    """Unsubscribe the recipient of a message."""

    type: str = "delivery"
    action: str = "unsubscribe"
    delivery_id: str
    unsubscribe: bool

    def apply(self, state: State, arrival: Arrival) -> Outcome:
        """Unsubscribe by way of a message; its recipient too, if the sandbox was told who it is."""
        delivery = state.account.deliveries[self.delivery_id]
        if not self.unsubscribe:
            return Outcome(True, "unsubscribe is not true")
        delivery.unsubscribed = True
        person = state.people.find(delivery.person_key) if delivery.person_key else None
        if person is not None:
            changes = person.attributes.set("unsubscribed", True, arrival.at)
            state.record_changes(person, changes, arrival)
            state.record_message(self.delivery_id, "unsubscribed", arrival)
        return DONE
