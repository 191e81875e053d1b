"""The checklist of a retention program: what is proved, what is open, and what to do. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from trackrelay.plan import Plan
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
#: Names that a line lists.
MAX_NAMES = 5
_EVENTS = ("person.event", "anonymous.event")
#: What jobs do that do not keep to the plan.
_PLAN_RULES = ("Q703", "Q704", "Q705", "Q706", "Q708", "Q713")
#: Attributes with a meaning of their own at Customer.io.
_RESERVED = ("_", "cio_", "anonymous_id")


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
        objections: what speaks against it.
        remedy: what to do, if it is open.
    """

    name: str
    title: str
    state: ItemState
    evidence: tuple[str, ...] = ()
    objections: tuple[str, ...] = ()
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
    #: The tracking plan in force; None: there is none, or it cannot be read.
    plan: Plan | None = None
    plan_problem: str = "no tracking plan is in force"

    def events(self, is_meant: Callable[[str], bool]) -> list[SubjectStats]:
        """Return what was observed of events of certain names."""
        return [
            stats
            for subject, stats in self.catalog.subjects.items()
            if subject.operation in _EVENTS and is_meant(subject.name)
        ]

    def objections(
        self, rules: Collection[str], about: Callable[[str], bool] = bool
    ) -> Iterator[str]:
        """Yield a line for each finding of these rules, about certain subjects."""
        for each in self.findings:
            if each.rule.id in rules and about(each.subject):
                yield f"{each.rule.id} {each.subject}: {each.rule.title}"


def checklist(facts: Facts) -> list[Item]:
    """Return all items, in the order in which they are worked through."""
    return [_with_confirmation(_item(name, facts), facts) for name in TITLES]


def _item(name: str, facts: Facts) -> Item:
    judgement = _JUDGES[name](facts)
    if judgement is None:
        return Item(name, TITLES[name], ItemState.NOT_APPLICABLE, (_NOT_APPLICABLE[name],))
    evidence, objections = map(tuple, judgement)
    is_proved = evidence and not objections
    state = ItemState.PROVED if is_proved else ItemState.OPEN
    remedy = "" if is_proved else _REMEDIES[name]
    return Item(name, TITLES[name], state, evidence, objections, remedy)


def _with_confirmation(item: Item, facts: Facts) -> Item:
    given = facts.record.confirmed.get(item.name)
    if given is None or item.state is not ItemState.OPEN:
        return item
    line = f"{given.by} says: {given.note}" if given.note else f"{given.by} says so"
    return replace(item, state=ItemState(given.state), evidence=(line, *item.evidence), remedy="")


#: What speaks for an item, and what speaks against it. None: it is not applicable.
Judgement = tuple[Sequence[str], Sequence[str]] | None


def _canonical_id(facts: Facts) -> Judgement:
    by_kind: Counter[str] = Counter()
    for each in facts.named_jobs:
        by_kind[each.kind] += each.jobs
    total = by_kind.total()
    if not total:
        return (), ["no delivered job about a person is in the ledger"]
    share = by_kind["id"] / total
    others = [
        f"{each.jobs:,} from {each.source or 'no source'} name them by {each.kind}"
        for each in facts.named_jobs
        if each.kind != "id"
    ]
    objections = others[:3] if share < MIN_ID_SHARE else []
    return (
        [f"{_percent(share)} of {total:,} jobs name people by id"],
        [*objections, *facts.objections(["Q801", "Q802", "Q803", "Q804", "Q805"])],
    )


def _attribute_map(facts: Facts) -> Judgement:
    identifies = [
        stats
        for subject, stats in facts.catalog.subjects.items()
        if subject.operation == "person.identify"
    ]
    observed = {path for stats in identifies for path in stats.attributes if "." not in path}
    observed -= {path for path in observed if path.startswith(_RESERVED)}
    plan = facts.plan
    if plan is None:
        return [f"{len(observed):,} attributes of people were observed"] if observed else [], [
            facts.plan_problem
        ]
    planned = plan.attributes
    known = {name for each in planned.values() for name in (each.name, *each.aliases)}
    objections = [
        *facts.objections(["Q309", "Q501", "Q503"]),
        *facts.objections(_PLAN_RULES, about=_is_of_people),
        *_listed("not in the plan", observed - known),
        *_listed("without a type", (each.name for each in planned.values() if not each.types)),
    ]
    if len({stats.subject.source for stats in identifies}) > 1:
        unowned = (each.name for each in planned.values() if not each.owners)
        objections += _listed("without an owner, among several applications", unowned)
    evidence = [f"the plan {plan.name} has {len(planned):,} attributes"] if planned else []
    return evidence, objections or ([] if planned else ["the plan has no attribute"])


def _is_of_people(subject: str) -> bool:
    return subject.startswith("person.identify")


def _taxonomy(facts: Facts) -> Judgement:
    observed = {stats.subject.name for stats in facts.events(bool)}
    objections = [*facts.objections(["Q104", "Q203", "Q204", "Q602"])]
    if facts.plan is None:
        evidence = [
            f"{title}: {', '.join(found)}"
            for title, is_meant in _STAGES.items()
            if (found := sorted(filter(is_meant, observed)))
        ]
        return evidence, [*objections, facts.plan_problem]
    objections += facts.objections(_PLAN_RULES, about=lambda subject: not _is_of_people(subject))
    planned = facts.plan.events
    known = {name for each in planned.values() for name in (each.name, *each.aliases)}
    objections += _listed("not in the plan", observed - known)
    undescribed = (each.name for each in planned.values() if not each.description)
    objections += _listed("without a description", undescribed)
    loose = (
        each.name
        for each in planned.values()
        if names.is_decisive(each.name) and each.properties and not each.required
    )
    objections += _listed("without a required property", loose)
    return [f"the plan {facts.plan.name} has {len(planned):,} events"], objections


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
    decisive = {stats.subject.name for stats in facts.events(names.is_decisive)}
    for line in facts.objections(["Q204", "Q205", "Q401", "Q402", "Q504", "Q505"]):
        if line.startswith("Q205") or any(name in line for name in decisive):
            objections.append(line)
    return evidence, objections


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
    if not facts.catalog.subjects:
        return (), ["nothing was observed yet"]
    if not anonymous and not joins:
        return None
    evidence = [f"{anonymous:,} events of anonymous visitors"]
    if joins:
        evidence.append(f"{joins:,} identifies join a visitor's events to a person")
    if merges:
        evidence.append(f"{merges:,} merges")
    missing = [] if joins else ["no identify joins them to a person"]
    return evidence, [*missing, *facts.objections(["Q806"])]


def _cart_recovery(facts: Facts) -> Judgement:
    proof = facts.record.rehearsal
    campaigns = proof.campaigns if proof else {}
    evidence = [
        f"{name}: {sent:,} × sent, {held:,} × held back"
        for name, (sent, held) in campaigns.items()
        if sent and held
    ]
    objections = [
        f"{name} was rehearsed only {'with a message' if sent else 'without one'}"
        for name, (sent, held) in campaigns.items()
        if not (sent and held)
    ]
    return evidence, [] if evidence else objections


def _segments(facts: Facts) -> Judgement:
    proof = facts.record.rehearsal
    segments: Mapping[str, tuple[int, int]] = proof.segments if proof else {}
    evidence = [
        f"{name}: {inside:,} × inside, {outside:,} × outside"
        for name, (inside, outside) in segments.items()
        if inside and outside
    ]
    objections = [
        f"{name} was checked only with people {'inside' if inside else 'outside'}"
        for name, (inside, outside) in segments.items()
        if not (inside and outside)
    ]
    return evidence, objections


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
    return evidence, objections


def _listed(what: str, found: Iterable[str]) -> list[str]:
    """Return a line with names, at most a few; none without names."""
    ordered = sorted(found)
    more = f" and {len(ordered) - MAX_NAMES:,} more" if len(ordered) > MAX_NAMES else ""
    return [f"{what}: {', '.join(ordered[:MAX_NAMES])}{more}"] if ordered else []


def _percent(share: float) -> str:
    # Ninety-nine point nine of a hundred is not all.
    return f"{int(share * 1000) / 10:g}\N{NO-BREAK SPACE}%"


#: What must be so, by the item's name.
TITLES = {
    "canonical_id": "One id names a person everywhere",
    "attribute_map": "Attributes are written down: name, type, owner",
    "taxonomy": "Events are written down: name, meaning, required properties",
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
_REMEDIES = {
    "canonical_id": "Name people by one id that never changes, in every application; send the "
    "email as an attribute. Then write down which id it is.",
    "attribute_map": "Write each attribute into the tracking plan, with its type and the one "
    "application that owns it, and run `trackrelay plan apply`.",
    "taxonomy": "Write each event into the tracking plan, with what it means and its required "
    "properties, and run `trackrelay plan apply`.",
    "server_side": "Send purchases and refunds from the backend, under one name, when they happen.",
    "merge_plan": "Call `identify_visitor()` where an email address is learned: sign-up, "
    "newsletter, checkout.",
    "cart_recovery": "Rehearse the campaign in a test, once with a message and once held back by "
    "a purchase; give the test's report to `trackrelay checklist --rehearsal FILE`.",
    "segments": "Check each segment with one person who belongs to it and one who does not: in a "
    "rehearsal, or with `trackrelay person ID` and `--confirm segments`.",
    "monitoring": "Set `TRACKRELAY_VERIFY`, run `trackrelay status --fail-if "
    "'dead_letters>0,missing>0'` as a health check, and repair or discard what is open.",
}
_NOT_APPLICABLE = {"merge_plan": "no event of an anonymous visitor was observed"}
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
