"""Findings about the tracking plan: what workers counted, and what the catalog shows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import sqlalchemy as sa

from trackrelay.worker.storage import plan_violations, plans
from trackrelay.worker.storage.plan_violations import NO_ROOM, ViolationCount
from trackrelay.worker.storage.queries.plan_overview import UNREADABLE

from . import plan_rules, rules
from .catalog import Catalog
from .plan_enforcer import LATE, read
from .rules import Finding, Rule

if TYPE_CHECKING:
    from trackrelay.plan.plan_model import EventPlan, Plan, PropertyPlan

#: What was not seen for so long is over.
RECENT = timedelta(days=7)
#: Unplanned events of one application that are findings of their own.
MAX_UNPLANNED = 20
#: Observed events before their pairs are judged, and the share of them that must change the state.
MIN_EVENTS, MIN_CHANGED = 50, 0.5
#: What is planned is missed after so long, and so many observed jobs.
PATIENCE_S, MIN_JOBS = 7 * 86_400.0, 200
#: Names of the plan that nobody sends and that are reported.
MAX_UNSENT = 20
#: Identifiers: a person may be named by them, with no attribute.
_IDENTIFIERS = frozenset(["id", "email", "cio_id"])

#: The rule of each kind of violation.
RULE_OF = {
    "unplanned_event": plan_rules.UNPLANNED_EVENT,
    "alias_event": plan_rules.OTHER_NAME,
    "alias_property": plan_rules.OTHER_NAME,
    "missing": plan_rules.MISSING_PROPERTY,
    "type": plan_rules.OTHER_TYPE,
    "value": plan_rules.OTHER_VALUE,
    "unplanned_property": plan_rules.UNPLANNED_PROPERTY,
    "not_owner": plan_rules.OTHER_OWNER,
    LATE: plan_rules.LATER_THAN_PLANNED,
    UNREADABLE: plan_rules.UNREADABLE_PLAN,
    NO_ROOM: plan_rules.MORE_VIOLATIONS,
}
_DONE = {"fix": ", fixed", "dead_letter": ", kept as dead letters"}


def findings_about_plan(connection: sa.Connection, catalog: Catalog, now: float) -> list[Finding]:
    """Return the findings about the versions of the plan that are in force.

    Args:
        connection: of the workers' database.
        catalog: what was observed.
        now: unix seconds.
    """
    in_force = plans.in_force(connection)
    if not in_force:
        return []
    versions = [each.version for each in in_force]
    counts = plan_violations.recent(connection, versions, RECENT)
    try:
        plan, _ = read(in_force[0])
    except Exception as error:
        problem = f"here: {type(error).__name__}: {error}".splitlines()[0]
        subject = f"version {in_force[0].version}"
        here = Finding(rule=plan_rules.UNREADABLE_PLAN, subject=subject, evidence=(problem,))
        return [here, *(each for each in plan_findings(counts) if each.subject != subject)]
    return [
        *plan_findings(counts),
        *pair_findings(plan, catalog),
        *unsent_findings(plan, catalog, partial(plans.first_naming, connection), now),
    ]


def plan_findings(counts: Iterable[ViolationCount]) -> Iterator[Finding]:
    """Yield a finding for each point of the plan that jobs do not keep to."""
    grouped: dict[tuple[Rule, str], list[ViolationCount]] = defaultdict(list)
    for each in counts:
        rule = RULE_OF.get(each.kind)
        if rule is not None:
            rule = plan_rules.FIXED_BY_PLAN if each.action == "fix" else rule
            grouped[rule, _subject(each)].append(each)
    for (rule, subject), same in _without_invented(grouped).items():
        yield Finding(
            rule=rule,
            subject=subject,
            evidence=tuple(_evidence(each, subject) for each in same),
            sources=tuple(sorted({each.source for each in same})),
            since=min(each.first_seen for each in same),
        )


def _subject(each: ViolationCount) -> str:
    if each.kind in (UNREADABLE, NO_ROOM):
        return f"version {each.version}"
    return f"{each.subject}.{each.path}" if each.path else each.subject


def _without_invented(
    grouped: dict[tuple[Rule, str], list[ViolationCount]],
) -> dict[tuple[Rule, str], list[ViolationCount]]:
    # An application that invents names is one finding, not thousands.
    unplanned = [key for key in grouped if key[0] is plan_rules.UNPLANNED_EVENT]
    by_source: dict[str, list[ViolationCount]] = defaultdict(list)
    for key in unplanned:
        for each in grouped[key]:
            by_source[each.source].append(each)
    invented = {source for source, found in by_source.items() if len(found) > MAX_UNPLANNED}
    for key in unplanned:
        grouped[key] = [each for each in grouped[key] if each.source not in invented]
        if not grouped[key]:
            del grouped[key]
    for source in invented:
        subject = rules.from_source(f"{len(by_source[source]):,} events", source)
        grouped[plan_rules.UNPLANNED_EVENT, subject] = by_source[source]
    return grouped


def _evidence(each: ViolationCount, subject: str) -> str:
    source = f"from {each.source}" if each.source else "from no source"
    such = f"; such as {each.jobs[0]}" if each.jobs else ""
    if each.kind == UNREADABLE:
        return f"on {each.subject}: {each.actual}"
    if each.kind == NO_ROOM:
        return f"{each.count:,} jobs"
    done = _DONE.get(each.action, "")
    # Several events of one application may be one finding.
    name = "" if subject == _subject(each) else f"{each.subject}: "
    if each.kind in ("unplanned_event", "unplanned_property"):
        return f"{name}{each.count:,} × {source}{done}{such}"
    if each.kind == "missing":
        return f"{each.count:,} × missing {source}{done}{such}"
    if each.kind == "not_owner":
        return f"{each.count:,} × {source}; it belongs to {each.expected}{done}{such}"
    return f"{each.count:,} × {each.actual} {source}, expected {each.expected}{done}{such}"


def pair_findings(plan: Plan, catalog: Catalog) -> Iterator[Finding]:
    """Yield findings about events without the attributes that the plan says change with them."""
    events: dict[str, int] = defaultdict(int)
    writes: dict[str, int] = defaultdict(int)
    for subject, stats in catalog.subjects.items():
        if subject.name:
            events[subject.name] += stats.jobs
        elif subject.operation == "person.identify":
            for attribute in stats.attributes.values():
                writes[attribute.path] += attribute.count
    for event in plan.events.values():
        jobs = sum(events[name] for name in (event.name, *event.aliases))
        if jobs < MIN_EVENTS:
            continue
        for name in event.changes:
            planned = plan.attributes.get(name)
            changed = sum(writes[each] for each in (name, *(planned.aliases if planned else ())))
            if changed < MIN_CHANGED * jobs:
                yield Finding(
                    rule=plan_rules.STATE_UNCHANGED,
                    subject=f"{event.name}.{name}",
                    evidence=(
                        f"{jobs:,} events were observed, and {changed:,} identifies with {name}",
                    ),
                    sources=_senders(catalog, (event.name, *event.aliases)),
                )


def _senders(catalog: Catalog, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted({each.source for each in catalog.subjects if each.name in names}))


def unsent_findings(
    plan: Plan, catalog: Catalog, planned_at: Callable[[str], float], now: float
) -> Iterator[Finding]:
    """Yield events and attributes of people that the plan has, and that were never observed.

    Args:
        plan: the plan in force.
        catalog: what was observed.
        planned_at: returns since when a plan has had a name, in unix seconds.
        now: unix seconds.
    """
    stats = list(catalog.subjects.values())
    if min((each.first_seen for each in stats), default=now) > now - PATIENCE_S:
        return
    events = [each for each in stats if each.subject.name]
    people = [each for each in stats if each.subject.operation == "person.identify"]
    sent = {each.subject.name for each in events}
    written = {path for each in people for path in each.attributes}
    unsent: list[tuple[str, EventPlan | PropertyPlan, str]] = []
    if (jobs := sum(each.jobs for each in events)) >= MIN_JOBS:
        evidence = f"it is none of {jobs:,} observed events"
        unsent += [
            (name, each, evidence)
            for name, each in plan.events.items()
            if not sent & {name, *each.aliases}
        ]
    if (jobs := sum(each.jobs for each in people)) >= MIN_JOBS:
        evidence = f"it is in none of {jobs:,} observed identifies"
        unsent += [
            (f"person.identify.{name}", each, evidence)
            for name, each in plan.attributes.items()
            if not written & {name, *each.aliases} and name not in _IDENTIFIERS
        ]
    for subject, each, evidence in unsent[:MAX_UNSENT]:
        is_off = plan.enforcement(each.policy, None) == "off"
        if not is_off and planned_at(each.name) <= now - PATIENCE_S:
            yield Finding(
                rule=plan_rules.NOT_SENT,
                subject=subject,
                evidence=(evidence,),
                sources=each.owners,
            )
