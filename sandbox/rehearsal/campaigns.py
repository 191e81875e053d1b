"""Campaigns by data: what starts a journey, how long it waits, and what holds the message back."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

import msgspec

from trackrelay.sandbox.parsed_operations import JsonObject
from trackrelay.sandbox.sandbox_clock import parse_span
from trackrelay.sandbox.workspace.activities import StoredEvent
from trackrelay.sandbox.workspace.conditions import Moment, event_test, parts, segment_test
from trackrelay.sandbox.workspace.people import Person
from trackrelay.sandbox.workspace.segment_definitions import checked
from trackrelay.sandbox.workspace.workspace_state import State

#: What a trigger can say of its event. The rest of a condition is about a person's history.
_TRIGGER_FIELDS = {"name", "type", "data"}

Channel = Literal["email", "sms", "push", "none"]


class JourneyEnd(StrEnum):
    """How a journey ended."""

    SENT = "sent"
    #: What the campaign's ``unless`` names has happened.
    UNLESS = "unless"
    #: The person did not match the filter: at the start, or when the message was due.
    FILTER = "filter"
    UNSUBSCRIBED = "unsubscribed"
    #: The person has no email, phone number or device.
    NO_ADDRESS = "no_address"
    #: The event was older than 72 hours when it arrived.
    TOO_OLD = "too_old"
    #: The person was deleted or suppressed.
    GONE = "gone"
    #: The person was merged into somebody who was in the campaign before.
    MERGED = "merged"


class NewCampaign(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A campaign to be defined, with one message.

    Attributes:
        name: By which tests ask for it.
        trigger: The name of an event; or ``{"event": {"name": …, "data": …}}``; or conditions of a
            segment, which start a journey whenever a person begins to match.
        wait: How long the message waits for what holds it back.
        unless: What holds it back when the wait is over: the name of an event since the trigger, a
            list of such names, or conditions, in which an event can have ``since: trigger``.
        filter: Conditions that the person must match at the start and at the end of the wait.
        channel: Which address the message needs; ``none``: no address.
    """

    name: str
    trigger: Any
    wait: Any = 0
    unless: Any = None
    filter: Any = None
    channel: Channel = "email"


class Campaign(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign that was checked; see ``NewCampaign``."""

    name: str
    #: The body of an ``event`` condition; None: conditions start it.
    event: JsonObject | None
    #: The conditions that start it; None: an event starts it.
    entry: JsonObject | None
    wait_s: float
    unless: JsonObject | None
    filter: JsonObject | None
    channel: Channel

    @property
    def trigger_name(self) -> str:
        """What starts it, in words."""
        return str(self.event["name"]) if self.event is not None else "its conditions"

    def event_names(self) -> list[str]:
        """Return the names of the events that start it or hold it back."""
        names = [self.event["name"]] if self.event is not None else []
        for condition in (self.entry, self.unless, self.filter):
            if condition is not None:
                names += [body["name"] for kind, body in parts(condition) if kind == "event"]
        return list(dict.fromkeys(names))

    def is_triggered_by(self, event: StoredEvent) -> bool:
        """Return whether an event starts it."""
        return self.event is not None and event_test(self.event, Moment(event.at))(event)

    def objection(self, state: State, person: Person, moment: Moment) -> JourneyEnd | None:
        """Return what would hold the message back at a moment, or None."""
        if self.unless is not None and segment_test(state, self.unless, moment)(person):
            return JourneyEnd.UNLESS
        if not self.admits(state, person, moment):
            return JourneyEnd.FILTER
        if person.unsubscribed:
            return JourneyEnd.UNSUBSCRIBED
        return None if self._has_address(person) else JourneyEnd.NO_ADDRESS

    def admits(self, state: State, person: Person, moment: Moment) -> bool:
        """Return whether a person matches the filter."""
        return self.filter is None or segment_test(state, self.filter, moment)(person)

    def _has_address(self, person: Person) -> bool:
        if self.channel == "push":
            return bool(person.devices)
        needed = {"email": "email", "sms": "phone"}.get(self.channel)
        return needed is None or needed in person.identifiers


def parse_campaign(state: State, document: Any) -> Campaign:
    """Return the campaign that a document describes.

    Raises:
        ValueError: It describes none, or names a segment that does not exist.
    """
    try:
        new = msgspec.convert(document, NewCampaign)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    if not new.name.strip():
        raise ValueError("a campaign needs a name")
    trigger = {"event": {"name": new.trigger}} if isinstance(new.trigger, str) else new.trigger
    # Checked without a trigger: its own conditions cannot refer to one.
    trigger = checked(state, trigger)
    event = trigger.get("event")
    if event is not None and not event.keys() <= _TRIGGER_FIELDS:
        raise ValueError(
            f"the event of a trigger has some of {', '.join(sorted(_TRIGGER_FIELDS))}; "
            "conditions on a person's history begin with and, or, not"
        )
    return Campaign(
        name=new.name,
        event=event,
        entry=None if event is not None else trigger,
        wait_s=parse_span(new.wait),
        unless=_checked(state, _unless(new.unless)),
        filter=_checked(state, new.filter),
        channel=new.channel,
    )


def _unless(given: Any) -> Any:
    if isinstance(given, str):
        return {"event": {"name": given, "since": "trigger"}}
    if isinstance(given, list):
        return {"or": [_unless(each) for each in given]}
    return given


def _checked(state: State, conditions: Any) -> Any:
    moment = Moment(state.clock.now(), since=0.0)
    return None if conditions is None else checked(state, conditions, moment)
