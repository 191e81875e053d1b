"""Where this installation and Customer.io disagree about a person. Pure: no store, no network."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from trackrelay.app_api import Activity
from trackrelay.operations.refs import Person
from trackrelay.operations.registry import BY_NAME
from trackrelay.worker.cli.common.humanize import clock, count
from trackrelay.worker.cli.find.job_query import FoundJob
from trackrelay.worker.cli.reads.activity_text import activity_details
from trackrelay.worker.reasons import LedgerOutcome

from .customerio_side import CustomerioSide

#: Customer.io applies what it accepted within seconds in most cases.
SETTLE_S = 120.0
#: An event and its activity have times of two clocks.
SAME_TIME_S = 300.0
#: Ids that a text names.
MAX_IDS = 3

_COMPLAINTS = re.compile(
    "failed_attribute_change|failed_event|relationship_failed_attribute_change"
    "|failed_batch_update|skipped_update|_[or]:[0-9]+:failed_attribute_change"
)
_EVENT_TYPES = frozenset({"event", "page", "screen"})


class DisagreementKind(StrEnum):
    """What is not as it should be."""

    NO_PROFILE = "no_profile"
    STILL_THERE = "still_there"
    MADE_AGAIN = "made_again"
    AFTER_SUPPRESS = "after_suppress"
    OTHER_PERSON = "other_person"
    EVENTS_MISSING = "events_missing"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One of them, in words."""

    kind: DisagreementKind
    text: str
    #: The jobs that it is about.
    jobs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Delivery:
    id: str
    operation: str
    at: float
    enqueued_at: float

    @property
    def creates(self) -> bool:
        return self.operation == "person.identify" or self.is_event

    @property
    def is_event(self) -> bool:
        action = BY_NAME.get(self.operation)
        return action is not None and action.is_event and self.operation.startswith("person.")

    @property
    def removes(self) -> bool:
        action = BY_NAME.get(self.operation)
        return action is not None and action.removes_person


def disagreements(
    person: Person, jobs: Sequence[FoundJob], theirs: CustomerioSide, now: float
) -> list[Disagreement]:
    """Return where the two sides disagree.

    Args:
        person: who was asked for.
        jobs: those of the person that were found here.
        theirs: what Customer.io has.
        now: unix seconds.
    """
    delivered = sorted(_deliveries(jobs), key=lambda each: each.at)
    found: list[Disagreement] = []
    if theirs.is_known:
        found += _about_profile(person, delivered, theirs, now)
    if theirs.activities is not None:
        if theirs.profile is not None:
            found += _missing_events(delivered, theirs, now)
        found += map(_complaint, filter(_is_complaint, theirs.activities))
    return found


def _deliveries(jobs: Sequence[FoundJob]) -> Iterator[_Delivery]:
    for job in jobs:
        for match in job.matches:
            is_delivered = match.outcome in (None, LedgerOutcome.DELIVERED)
            if match.place == "ledger" and is_delivered and match.at is not None:
                yield _Delivery(job.id, match.operation, match.at, match.enqueued_at)


def _about_profile(
    person: Person, delivered: Sequence[_Delivery], theirs: CustomerioSide, now: float
) -> Iterator[Disagreement]:
    removal = next((each for each in reversed(delivered) if each.removes), None)
    later = [each for each in delivered if removal is None or each.at > removal.at]
    makers = [each for each in later if each.creates]
    if removal is not None and removal.operation == "person.suppress":
        if any(each.operation == "person.unsuppress" for each in later):
            removal = None
        elif makers:
            yield Disagreement(
                DisagreementKind.AFTER_SUPPRESS,
                f"{count(len(makers), 'job')} delivered after the person was suppressed "
                f"({clock(removal.at)}): Customer.io ignores them",
                _ids(makers),
            )
    settled = [each for each in makers if each.at < now - SETTLE_S]
    if theirs.profile is None:
        is_merged = any(each.operation == "person.merge" for each in later)
        is_suppressed = removal is not None and removal.operation == "person.suppress"
        if settled and not is_merged and not is_suppressed:
            last = settled[-1]
            yield Disagreement(
                DisagreementKind.NO_PROFILE,
                f"{last.operation} was delivered {clock(last.at)}, "
                "and Customer.io has no such person",
                (last.id,),
            )
        return
    if removal is not None and removal.at < now - SETTLE_S:
        if not makers or removal.operation == "person.suppress":
            yield Disagreement(
                DisagreementKind.STILL_THERE,
                f"{removal.operation} was delivered {clock(removal.at)}, and the profile is there",
                (removal.id,),
            )
        else:
            yield Disagreement(
                DisagreementKind.MADE_AGAIN,
                f"{removal.operation} was delivered {clock(removal.at)}; "
                f"{count(len(makers), 'later job')} made the profile again",
                _ids(makers),
            )
    if person.kind == "id" and theirs.profile.id not in (None, person.value):
        yield Disagreement(
            DisagreementKind.OTHER_PERSON,
            f"Customer.io names this person {theirs.profile.id}: "
            "the two were merged, or the id changed",
        )


def _missing_events(
    delivered: Sequence[_Delivery], theirs: CustomerioSide, now: float
) -> Iterator[Disagreement]:
    activities = theirs.activities or []
    oldest = min((each.timestamp for each in activities), default=0)
    known_from = oldest + SAME_TIME_S if theirs.has_more_activities else now - 29 * 86_400
    events = [
        each
        for each in delivered
        if each.is_event and each.enqueued_at >= known_from and each.at < now - SETTLE_S
    ]
    missing = _without_activity(events, activities)
    if missing:
        them = "it is" if len(missing) == 1 else "they are"
        yield Disagreement(
            DisagreementKind.EVENTS_MISSING,
            f"{count(len(missing), 'event')} delivered, and {them} not among the activities near "
            f"that time: {', '.join(_ids(missing)[:MAX_IDS])}"
            + (" …" if len(missing) > MAX_IDS else ""),
            _ids(missing),
        )


def _without_activity(
    events: Sequence[_Delivery], activities: Sequence[Activity]
) -> list[_Delivery]:
    """Return the events to which no activity belongs: by id, else each to one of about its time."""
    ids = {each.id for each in activities}
    left = {event.id: event for event in events if event.id not in ids}
    times = [each.timestamp for each in activities if each.type in _EVENT_TYPES]
    pairs = sorted(
        (distance, number, event.id)
        for event in left.values()
        for number, at in enumerate(times)
        if (distance := _distance(at, event)) <= SAME_TIME_S
    )
    taken: set[int] = set()
    for _, number, event_id in pairs:
        if number not in taken and event_id in left:
            taken.add(number)
            del left[event_id]
    return list(left.values())


def _distance(at: float, event: _Delivery) -> float:
    return min(abs(at - event.at), abs(at - event.enqueued_at))


def _is_complaint(activity: Activity) -> bool:
    return _COMPLAINTS.fullmatch(activity.type) is not None


def _complaint(activity: Activity) -> Disagreement:
    details = activity_details(activity)
    named = f" {activity.name}" if activity.name else ""
    return Disagreement(
        DisagreementKind.IGNORED,
        f"{activity.type}{named}, {clock(activity.timestamp)}"
        + (f": {details}" if details else ""),
    )


def _ids(deliveries: Sequence[_Delivery]) -> tuple[str, ...]:
    return tuple(each.id for each in deliveries)
