"""Journeys of people through campaigns: they start, wait, and end with a message or without.

A journey is judged with what had arrived when its wait was over: before anything later is applied,
every journey that is due by then is ended. So an event that arrives late comes too late here as it
does at Customer.io.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import msgspec

from trackrelay.sandbox.parsed_operations import Operation
from trackrelay.sandbox.published_limits import CAMPAIGN_EVENT_S
from trackrelay.sandbox.workspace.activities import StoredEvent
from trackrelay.sandbox.workspace.conditions import Moment, segment_test
from trackrelay.sandbox.workspace.people import Person
from trackrelay.sandbox.workspace.workspace_state import State

from .campaigns import Campaign, JourneyEnd, parse_campaign
from .flip_times import next_flip


class Journey(msgspec.Struct, gc=False):
    """The way of one person through one campaign. Times are unix seconds."""

    campaign: str
    cio_id: str
    started: float
    #: When the event that started it happened; without an event, when it started.
    since: float
    due: float
    #: The number of that event.
    trigger: int | None = None
    ended: float | None = None
    end: JourneyEnd | None = None

    def moment(self, at: float) -> Moment:
        """Return when conditions are judged at a time of this journey."""
        return Moment(at, self.since, self.trigger)

    @property
    def was_sent(self) -> bool:
        """Whether the message was sent."""
        return self.end is JourneyEnd.SENT


class Rehearsal:
    """The campaigns of a workspace, and the journeys through them."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.campaigns: dict[str, Campaign] = {}
        self.journeys: list[Journey] = []
        #: Journeys whose wait ends, and people whose conditions time alone can change.
        self._due: list[tuple[float, int, Journey | str]] = []
        self._numbers = itertools.count()
        #: By cio_id: when the person is looked at next.
        self._planned: dict[str, float] = {}
        #: The campaign and the cio_id of people who match the conditions that start it.
        self._inside: set[tuple[str, str]] = set()
        self._entries: list[Campaign] = []

    def define(self, document: Any) -> Campaign:
        """Add a campaign, or replace the one with its name. Only what happens later starts it.

        Raises:
            ValueError: The document describes none.
        """
        campaign = parse_campaign(self._state, document)
        self.run(self._state.clock.now())
        self.campaigns[campaign.name] = campaign
        self._state.observer = self
        self._state.keeps_details = True
        self._entries = [each for each in self.campaigns.values() if each.entry is not None]
        self._inside = {each for each in self._inside if each[0] != campaign.name}
        if campaign.entry is not None:
            now = self._state.clock.now()
            for person in self._state.people:
                if self._matches(campaign, person, now):
                    self._inside.add((campaign.name, person.cio_id))
                self._plan_flip(person, now)
        return campaign

    def run(self, now: float) -> None:
        """Let everything happen that is due by ``now``, in order."""
        while self._due and self._due[0][0] <= now:
            at, _, what = heapq.heappop(self._due)
            if isinstance(what, str):
                person = self._state.people.by_cio_id(what)
                if self._planned.get(what) == at:
                    del self._planned[what]
                if person is not None:
                    self._enter(person, at)
            elif what.ended is None:
                what.ended, what.end = at, self.outcome(what, at)

    def applied(self, operation: Operation, at: float) -> None:
        """Note that an operation changed the people whom it names."""
        if self._entries:
            for key in operation.keys:
                person = self._state.people.find(key)
                if person is not None:
                    self._enter(person, at)

    def event_added(self, person: Person, event: StoredEvent, at: float) -> None:
        """Start the journeys that an event triggers."""
        for campaign in self.campaigns.values():
            if campaign.is_triggered_by(event):
                journey = Journey(
                    campaign.name, person.cio_id, at, event.at, at + campaign.wait_s, event.seq
                )
                self._start(campaign, person, journey)
                if event.at < at - CAMPAIGN_EVENT_S:
                    journey.ended, journey.end = at, JourneyEnd.TOO_OLD

    def merged(self, primary: Person, secondary: Person, at: float) -> None:
        """Let a primary continue the journeys in campaigns that it was not in."""
        entered = {each.campaign for each in self.of_people([primary.cio_id])}
        for journey in self.of_people([secondary.cio_id]):
            if journey.campaign not in entered:
                journey.cio_id = primary.cio_id
            elif journey.ended is None:
                journey.ended, journey.end = at, JourneyEnd.MERGED

    def of_people(self, cio_ids: Collection[str], campaign: str | None = None) -> list[Journey]:
        """Return the journeys of people, through one campaign or through all."""
        return [
            each
            for each in self.journeys
            if each.cio_id in cio_ids and campaign in (None, each.campaign)
        ]

    def messages(self) -> Iterator[Journey]:
        """Yield the journeys whose message was sent, in the order of sending."""
        sent = (each for each in self.journeys if each.was_sent)
        yield from sorted(sent, key=lambda journey: journey.ended or 0.0)

    def outcome(self, journey: Journey, at: float) -> JourneyEnd:
        """Return how a journey ends at a time, given what has arrived."""
        person = self._state.people.by_cio_id(journey.cio_id)
        if person is None:
            return JourneyEnd.GONE
        campaign = self.campaigns[journey.campaign]
        return campaign.objection(self._state, person, journey.moment(at)) or JourneyEnd.SENT

    def expected(self, journeys: Sequence[Journey]) -> list[Journey]:
        """Return copies of journeys as they ended, or will end if nothing else happens."""
        return [
            each
            if each.end is not None
            else msgspec.structs.replace(each, ended=each.due, end=self.outcome(each, each.due))
            for each in journeys
        ]

    def _start(self, campaign: Campaign, person: Person, journey: Journey) -> None:
        self.journeys.append(journey)
        if campaign.admits(self._state, person, journey.moment(journey.started)):
            heapq.heappush(self._due, (journey.due, next(self._numbers), journey))
        else:
            journey.ended, journey.end = journey.started, JourneyEnd.FILTER

    def _enter(self, person: Person, at: float) -> None:
        """Start journeys of a person who begins to match the conditions of a campaign."""
        for campaign in self._entries:
            key = (campaign.name, person.cio_id)
            if not self._matches(campaign, person, at):
                self._inside.discard(key)
            elif key not in self._inside:
                self._inside.add(key)
                journey = Journey(campaign.name, person.cio_id, at, at, at + campaign.wait_s)
                self._start(campaign, person, journey)
        self._plan_flip(person, at)

    def _plan_flip(self, person: Person, now: float) -> None:
        flips = [next_flip(self._state, each.entry or {}, person, now) for each in self._entries]
        flip = min((each for each in flips if each is not None), default=None)
        if flip is not None and flip != self._planned.get(person.cio_id):
            self._planned[person.cio_id] = flip
            heapq.heappush(self._due, (flip, next(self._numbers), person.cio_id))

    def _matches(self, campaign: Campaign, person: Person, at: float) -> bool:
        return segment_test(self._state, campaign.entry, Moment(at))(person)
