"""The checklist of a retention program: what is proved, what is open, and what to do. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from trackrelay.worker.storage.checklist_records import ChecklistRecord
from trackrelay.worker.storage.queries.checklist_query import NamedJobs, OpenLetters
from trackrelay.worker.storage.queries.verification_overview import VerificationOverview

from . import names
from .catalog import Catalog, SubjectStats
from .lateness import share_over
from .lateness_rules import LATE_S
from .rules import Finding

#: The share of jobs that name people by id, from which the id is the one that is used.
MIN_ID_SHARE = 0.95
#: A dead letter that waits longer is one that nobody watches, in seconds.
MAX_LETTER_AGE_S = 7 * 86_400.0
#: Verification that did not run for so long does not run, in seconds.
MAX_SILENCE_S = 3_600.0
_EVENTS = ("person.event", "anonymous.event")


class ItemState(StrEnum):
    """Whether an item of the checklist is done."""

    PROVED = "proved"
    OPEN = "open"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True, slots=True)
class Item:
    """One item of the checklist.

    Attributes:
        name: what ``--confirm`` calls it.
        title: what must be so.
        state: whether it is.
        evidence: what was found, one fact a line.
        remedy: what to do, if it is open.
    """

    name: str
    title: str
    state: ItemState
    evidence: tuple[str, ...] = ()
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known. Times are unix seconds."""

    now: float
    catalog: Catalog = field(default_factory=Catalog)
    #: Findings that nobody has acknowledged.
    findings: Sequence[Finding] = ()
    named_jobs: Sequence[NamedJobs] = ()
    letters: OpenLetters = field(default_factory=OpenLetters)
    verification: VerificationOverview = field(default_factory=VerificationOverview)
    record: ChecklistRecord = field(default_factory=ChecklistRecord)

    def events(self, is_meant: Callable[[str], bool]) -> list[SubjectStats]:
        """Return what was observed of events of certain names."""
        return [
            stats
            for subject, stats in self.catalog.subjects.items()
            if subject.operation in _EVENTS and is_meant(subject.name)
        ]

    def objections(self, rules: Collection[str]) -> Iterator[str]:
        """Yield a line for each finding of these rules."""
        for each in self.findings:
            if each.rule.id in rules:
                yield f"{each.rule.id} {each.subject}: {each.rule.title}"


def checklist(facts: Facts) -> list[Item]:
    """Return all items, in the order in which they are worked through."""
    return [_with_confirmation(_item(name, facts), facts) for name in TITLES]


def _item(name: str, facts: Facts) -> Item:
    state, evidence, remedy = _JUDGES[name](facts)
    return Item(name, TITLES[name], state, evidence, remedy if state is ItemState.OPEN else "")


def _with_confirmation(item: Item, facts: Facts) -> Item:
    given = facts.record.confirmed.get(item.name)
    if given is None or item.state is not ItemState.OPEN:
        return item
    line = f"{given.by} says: {given.note}" if given.note else f"{given.by} says so"
    return replace(item, state=ItemState(given.state), evidence=(line, *item.evidence), remedy="")


Judgement = tuple[ItemState, tuple[str, ...], str]


def _judged(evidence: Sequence[str], objections: Sequence[str], remedy: str) -> Judgement:
    """Return ``proved`` if there is evidence and no objection."""
    state = ItemState.PROVED if evidence and not objections else ItemState.OPEN
    return state, (*evidence, *objections), remedy


def _canonical_id(facts: Facts) -> Judgement:
    by_kind: Counter[str] = Counter()
    for each in facts.named_jobs:
        by_kind[each.kind] += each.jobs
    total = by_kind.total()
    if not total:
        return ItemState.OPEN, ("no delivered job about a person is in the ledger",), _USE_AN_ID
    share = by_kind["id"] / total
    evidence = [f"{_percent(share)} of {total:,} jobs name people by id"]
    others = [
        f"{each.jobs:,} from {each.source or 'no source'} name them by {each.kind}"
        for each in facts.named_jobs
        if each.kind != "id"
    ]
    objections = [*facts.objections(["Q801", "Q802", "Q803", "Q804", "Q805"])]
    if share < MIN_ID_SHARE:
        return ItemState.OPEN, (*evidence, *others[:3], *objections), _USE_AN_ID
    return _judged(evidence, objections, _USE_AN_ID)


def _attribute_map(facts: Facts) -> Judgement:
    identifies = [
        stats
        for subject, stats in facts.catalog.subjects.items()
        if subject.operation == "person.identify"
    ]
    observed = {path for stats in identifies for path in stats.attributes if "." not in path}
    evidence = (f"{len(observed):,} attributes of people were observed",) if observed else ()
    return ItemState.OPEN, evidence, _WRITE_ATTRIBUTES_DOWN


def _taxonomy(facts: Facts) -> Judgement:
    evidence, missing = [], []
    for title, is_meant in _STAGES.items():
        found = sorted({stats.subject.name for stats in facts.events(is_meant)})
        if found:
            evidence.append(f"{title}: {', '.join(found)}")
        else:
            missing.append(title)
    objections = [f"not observed: {', '.join(missing)}"] if missing else []
    objections += facts.objections(["Q104", "Q203", "Q204", "Q602"])
    return ItemState.OPEN, (*evidence, *objections), _WRITE_EVENTS_DOWN


def _server_side(facts: Facts) -> Judgement:
    evidence, objections = [], []
    for title, is_meant in (("purchase", names.is_purchase), ("refund", _like("refund"))):
        found = facts.events(is_meant)
        if not found:
            objections.append(f"no {title} was observed")
        for stats in found:
            late = share_over(stats.lateness, LATE_S) if stats.lateness else 0.0
            evidence.append(
                f"{stats.jobs:,} {stats.subject.name} from {stats.subject.source or 'no source'}, "
                f"{_percent(1 - late)} within five minutes"
            )
    decisive = [
        line
        for line in facts.objections(["Q204", "Q205", "Q401", "Q402"])
        if any(stats.subject.name in line for stats in facts.events(names.is_decisive))
        or line.startswith("Q205")
    ]
    return _judged(evidence, [*objections, *decisive], _SEND_PURCHASES)


def _merge_plan(facts: Facts) -> Judgement:
    anonymous = sum(
        stats.jobs
        for subject, stats in facts.catalog.subjects.items()
        if subject.operation == "anonymous.event"
    )
    joins = sum(
        attribute.count
        for subject, stats in facts.catalog.subjects.items()
        if subject.operation == "person.identify"
        for attribute in stats.attributes.values()
        if attribute.path == "anonymous_id"
    )
    merges = sum(
        jobs for (_, operation), jobs in facts.catalog.seen.items() if operation == "person.merge"
    )
    if not anonymous and not joins:
        if not facts.catalog.subjects:
            return ItemState.OPEN, (_NOTHING,), _JOIN
        return ItemState.NOT_APPLICABLE, ("no event of an anonymous visitor was observed",), ""
    evidence = [f"{anonymous:,} events of anonymous visitors"]
    if joins:
        evidence.append(f"{joins:,} identifies join a visitor's events to a person")
    if merges:
        evidence.append(f"{merges:,} merges")
    objections = [*facts.objections(["Q806"])]
    if not joins:
        objections.insert(0, "no identify joins them to a person")
    return _judged(evidence, objections, _JOIN)


def _cart_recovery(facts: Facts) -> Judgement:
    proof = facts.record.rehearsal
    campaigns = proof.campaigns if proof else {}
    tested = {name: counts for name, counts in campaigns.items() if all(counts)}
    evidence = [
        f"{name}: rehearsed {sent:,} times with a message and {held:,} times held back"
        for name, (sent, held) in tested.items()
    ]
    half = [name for name in campaigns if name not in tested]
    objections = [
        f"{name} was rehearsed only {'with a message' if campaigns[name][0] else 'without one'}"
        for name in half
    ]
    return _judged(evidence, () if evidence else objections, _REHEARSE)


def _segments(facts: Facts) -> Judgement:
    proof = facts.record.rehearsal
    segments: Mapping[str, tuple[int, int]] = proof.segments if proof else {}
    evidence = [
        f"{name}: {inside:,} people inside and {outside:,} outside, as expected"
        for name, (inside, outside) in segments.items()
        if inside and outside
    ]
    objections = [
        f"{name} was checked only with people {'inside' if inside else 'outside'}"
        for name, (inside, outside) in segments.items()
        if not (inside and outside)
    ]
    return _judged(evidence, objections, _CHECK_SEGMENTS)


def _monitoring(facts: Facts) -> Judgement:
    evidence, objections = [], []
    run = facts.verification.last_run
    if run is not None and facts.now - run <= MAX_SILENCE_S and not facts.verification.problem:
        count = facts.verification.verified
        evidence.append(f"deliveries are verified: {count:,} items in 30 days")
    else:
        objections.append("deliveries are not verified")
    oldest = facts.letters.oldest
    if oldest is not None and facts.now - oldest > MAX_LETTER_AGE_S:
        days = int((facts.now - oldest) / 86_400)
        objections.append(
            f"{facts.letters.count:,} dead letters are open, the oldest for {days:,} days"
        )
    else:
        evidence.append("no dead letter is open for more than a week")
    lost = facts.verification.count("ignored") + facts.verification.count("missing")
    if lost:
        objections.append(f"{lost:,} open verdicts: Customer.io does not have what was sent")
    return _judged(evidence, objections, _WATCH)


def _percent(share: float) -> str:
    # Ninety-nine point nine of a hundred is not all.
    return f"{int(share * 1000) / 10:g}\N{NO-BREAK SPACE}%"


_NOTHING = "nothing was observed yet"
_USE_AN_ID = (
    "Name people by one id that never changes, in every application; send the email as an "
    "attribute. Then write down which id it is."
)
_WRITE_ATTRIBUTES_DOWN = (
    "Write down each attribute with its type and the one application that owns it."
)
_WRITE_EVENTS_DOWN = (
    "Write down each event with its required properties, and an example of its data."
)
_SEND_PURCHASES = "Send purchases and refunds from the backend, under one name, when they happen."
_JOIN = (
    "Call `identify_visitor()` where an email address is learned: sign-up, newsletter, checkout."
)
_REHEARSE = (
    "Rehearse the campaign in a test, once with a message and once held back by a purchase; give "
    "the test's report to `trackrelay checklist --rehearsal FILE`."
)
_CHECK_SEGMENTS = (
    "Check each segment with one person who belongs to it and one who does not: in a rehearsal, or "
    "with `trackrelay person ID` and `--confirm segments`."
)
_WATCH = (
    "Set `TRACKRELAY_VERIFY`, run `trackrelay status --fail-if dead_letters>0,missing>0` as a "
    "health check, and repair or discard what is open."
)

#: What must be so, by the item's name.
TITLES = {
    "canonical_id": "One id names a person everywhere",
    "attribute_map": "Attributes are written down: name, type, owner",
    "taxonomy": "Events are written down: name, required properties, example",
    "server_side": "Purchases and refunds come from the backend",
    "merge_plan": "Anonymous visitors are joined when the email is learned",
    "cart_recovery": "A cart recovery is tested, with and without a purchase",
    "segments": "Segments are checked with known people",
    "monitoring": "Failed and dropped events are watched",
}


def _like(example: str) -> Callable[[str], bool]:
    """Return the test whether an event is a known synonym of another."""
    group = names.event_group(example)
    return lambda event: names.event_group(event) == group


#: The stages of a retention program that events show.
_STAGES: dict[str, Callable[[str], bool]] = {
    "view of a product": _like("view item"),
    "addition to the cart": _like("add to cart"),
    "start of a checkout": names.is_checkout,
    "purchase": names.is_purchase,
}
_JUDGES: dict[str, Callable[[Facts], Judgement]] = {
    "canonical_id": _canonical_id,
    "attribute_map": _attribute_map,
    "taxonomy": _taxonomy,
    "server_side": _server_side,
    "merge_plan": _merge_plan,
    "cart_recovery": _cart_recovery,
    "segments": _segments,
    "monitoring": _monitoring,
}
