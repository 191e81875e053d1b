"""Whether a campaign sends a person its message, and why, in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from trackrelay.sandbox.losses import person_key
from trackrelay.sandbox.parsed_operations import JsonObject, person_ref
from trackrelay.sandbox.sandbox_clock import span_text
from trackrelay.sandbox.workspace.activities import StoredEvent
from trackrelay.sandbox.workspace.conditions import event_test, member_test, parts
from trackrelay.sandbox.workspace.people import Person
from trackrelay.sandbox.workspace.segments import Segment
from trackrelay.sandbox.workspace.workspace_state import State

from .campaigns import Campaign, JourneyEnd
from .journeys import Journey, Rehearsal

#: Lines of one list in a text.
MAX_LINES = 20
#: Characters of an event's data in a text.
MAX_DATA = 120
#: A difference between the time of an event and its arrival that is worth a word.
_LATE_S = 60.0

_REASONS = {
    JourneyEnd.FILTER: "the person does not match its filter",
    JourneyEnd.UNSUBSCRIBED: "the person is unsubscribed",
    JourneyEnd.TOO_OLD: "was older than 72 hours when it arrived",
    JourneyEnd.GONE: "the person was deleted",
    JourneyEnd.MERGED: "the person was merged into somebody who was in the campaign already",
}
_ADDRESSES = {"email": "email", "sms": "phone number", "push": "device"}


class UnknownPersonError(ValueError):
    """There never was a person with this key."""


class Outlook(msgspec.Struct, frozen=True):
    """What a campaign does with a person, if nothing else happens.

    Attributes:
        sends: When its message was sent, or will be: seconds since the start.
        end: How the last journey ends; None: none has started.
        reason: The same in one line.
        details: What arrived, and what the campaign did not see.
    """

    sends: tuple[float, ...]
    end: JourneyEnd | None
    reason: str
    details: str


def outlook(state: State, rehearsal: Rehearsal | None, campaign: str, key: str) -> Outlook:
    """Return what a campaign does with the person who has a key such as ``id:42``.

    Raises:
        ValueError: There is no such campaign.
        UnknownPersonError: There never was such a person.
    """
    if rehearsal is None or campaign not in rehearsal.campaigns:
        known = ", ".join(rehearsal.campaigns) if rehearsal else ""
        raise ValueError(
            f"there is no campaign {campaign!r}{f'; there are: {known}' if known else ''}"
        )
    rehearsal.run(state.clock.now())
    found = rehearsal.campaigns[campaign]
    person = find_person(state, key)
    cio_ids = _deleted(state, key) if person is None else [person.cio_id]
    journeys = rehearsal.expected(rehearsal.of_people(cio_ids, campaign))
    sends = tuple((each.ended or 0) - state.clock.started_at for each in journeys if each.was_sent)
    if person is None:
        when = f"; before, it was sent at {span_text(sends[-1])}" if sends else ""
        return Outlook(sends, JourneyEnd.GONE, f"{key} was deleted{when}", "")
    story = _Story(state, found, person, key)
    end = journeys[-1].end if journeys else None
    return Outlook(sends, end, story.reason(journeys), story.details())


def find_person(state: State, key: str) -> Person | None:
    """Return the person who has a key; None if the person was deleted.

    Raises:
        UnknownPersonError: There never was such a person.
    """
    key = person_key(key)
    person = state.people.find(key)
    if person is not None or state.suppressions.covers(key) or _deleted(state, key):
        return person
    known = [each.keys[0] for each in state.people][:MAX_LINES]
    others = f"there are: {', '.join(known)}" if known else "there are no people"
    raise UnknownPersonError(f"there is nobody called {key}; {others}")


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    others = ", ".join(known)
    return f"there is no {what} {name!r}{f'; there are: {others}' if others else ''}"


def _deleted(state: State, key: str) -> list[str]:
    """Return the cio_ids of deleted people who had a key."""
    wanted = person_key(key)
    return [
        cio_id
        for cio_id, identifiers in state.people.deleted.items()
        if any(person_ref(kind, value).key == wanted for kind, value in identifiers.items())
    ]


def is_member(state: State, rehearsal: Rehearsal | None, name: str, key: str) -> bool:
    """Return whether the person who has a key is in a segment.

    Raises:
        ValueError: There is no such segment.
        UnknownPersonError: There never was such a person.
    """
    if rehearsal is not None:
        rehearsal.run(state.clock.now())
    segment: Segment | None = state.segments.named(name)
    if segment is None:
        raise ValueError(_unknown("segment", name, [each.name for each in state.segments]))
    person = find_person(state, key)
    return person is not None and bool(member_test(state, segment.id)(person))


def sent_messages(state: State, rehearsal: Rehearsal | None) -> list[JsonObject]:
    """Return the messages that campaigns have sent, in the order of sending."""
    if rehearsal is None:
        return []
    rehearsal.run(state.clock.now())
    return [
        {"campaign": each.campaign, "person": _name(state, each.cio_id), "at": each.ended}
        for each in rehearsal.messages()
    ]


def _name(state: State, cio_id: str) -> str:
    person = state.people.by_cio_id(cio_id)
    return person.keys[0] if person is not None else f"cio_id:{cio_id}"


def history(state: State, key: str) -> str:
    """Return who a person is, and the events of that person, in lines."""
    person = find_person(state, key)
    return "" if person is None else "\n".join(_history(person, state.clock.started_at))


class _Story:
    """What is told of a person in a campaign."""

    def __init__(self, state: State, campaign: Campaign, person: Person, key: str) -> None:
        self._state = state
        self._campaign = campaign
        self._person = person
        self._key = key

    def reason(self, journeys: Sequence[Journey]) -> str:
        """Return how the journeys end, in one line."""
        name = self._campaign.trigger_name
        if not journeys:
            if self._campaign.event is None:
                return f"{self._key} did not begin to match its conditions"
            return f"no {name} of {self._key} arrived"
        last = next((each for each in journeys if each.was_sent), journeys[-1])
        started = f"{name} arrived at {self._time(last.started)}"
        if self._campaign.event is None:
            started = f"{self._key} began to match its conditions at {self._time(last.started)}"
        if last.was_sent:
            now = self._state.clock.now()
            verb = "was sent" if (last.ended or 0) <= now else "is due"
            return f"{started}, and the message {verb} at {self._time(last.ended or 0)}"
        if last.end is JourneyEnd.TOO_OLD:
            return f"{name} {_REASONS[JourneyEnd.TOO_OLD]}"
        return f"{started}, but {self._obstacle(last)}"

    def _obstacle(self, journey: Journey) -> str:
        if journey.end is JourneyEnd.NO_ADDRESS:
            return f"the person has no {_ADDRESSES[self._campaign.channel]}"
        if journey.end is not JourneyEnd.UNLESS:
            return _REASONS[journey.end or JourneyEnd.GONE]
        moment = journey.moment(journey.ended or 0)
        for kind, body in parts(self._campaign.unless):
            if kind == "event":
                test = event_test(body, moment)
                for event in self._person.events:
                    if test(event):
                        return f"{event.name} arrived at {self._time(_arrived(event))}"
        return "what its unless names is true"

    def details(self) -> str:
        """Return what arrived, and what the campaign did not see."""
        lines = [*self._unseen(), "", *_history(self._person, self._state.clock.started_at)]
        return "\n".join(lines).strip()

    def _unseen(self) -> Iterator[str]:
        """Yield lines about events of the campaign that somebody else has, or that came late."""
        for name in self._campaign.event_names():
            for event in self._person.events:
                late = _arrived(event) - event.at
                if event.name == name and late >= _LATE_S:
                    happened = self._time(event.at)
                    arrived = self._time(_arrived(event))
                    yield f"{name} happened at {happened} and arrived at {arrived}."
            unclaimed = self._state.anonymous.ids_with(name)
            for anonymous_id in unclaimed[:MAX_LINES]:
                yield (
                    f"{name} arrived for the anonymous visitor {anonymous_id}, whom no identify "
                    "has joined to a person."
                )
            others = [
                other.keys[0]
                for other in self._state.people
                if other is not self._person and any(each.name == name for each in other.events)
            ]
            if others:
                yield f"{name} arrived for other people: {', '.join(others[:MAX_LINES])}."

    def _time(self, at: float) -> str:
        return span_text(at - self._state.clock.started_at)


def _arrived(event: StoredEvent) -> float:
    return event.details.arrived if event.details else event.at


def _history(person: Person, started_at: float) -> Iterator[str]:
    names = [f"{kind} {value}" for kind, value in person.identifiers.items()]
    names += [f"anonymous_id {each}" for each in person.anonymous_ids]
    yield f"Known as {', '.join(names) or person.cio_id}. Events, by the time of arrival:"
    events = sorted(person.events, key=_arrived)
    if not events:
        yield "  none"
    if (hidden := len(events) - MAX_LINES) > 0:
        yield f"  {hidden} before these"
    for event in events[-MAX_LINES:]:
        arrived = _arrived(event)
        late = arrived - event.at >= _LATE_S
        when = f", happened {span_text(event.at - started_at)}" if late else ""
        yield f"  {span_text(arrived - started_at)}  {event.name}{when}{_data(event)}"


def _data(event: StoredEvent) -> str:
    data: Any = event.details.data if event.details else None
    if not data:
        return ""
    text = msgspec.json.encode(data).decode()
    return f"  {text if len(text) <= MAX_DATA else f'{text[:MAX_DATA]}…'}"
