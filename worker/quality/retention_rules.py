"""Rules about what a retention program needs: facts, their senders, attributes of people. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from . import names, rules
from .catalog import Catalog, SubjectStats
from .presence_rules import MIN_JOBS
from .rules import Finding

#: A sender of so small a share of a fact does not own it.
FEW = 0.01
#: Operations that say that somebody looks at pages.
_PAGES = frozenset(["person.page", "person.screen", "anonymous.page", "anonymous.screen"])

Events = dict[str, list[SubjectStats]]


def retention_findings(catalog: Catalog, since: float = 0.0) -> Iterator[Finding]:
    """Yield findings about what was seen after ``since`` (unix seconds)."""
    recent = [each for each in catalog.subjects.values() if each.last_seen >= since]
    events: Events = defaultdict(list)
    for stats in recent:
        if stats.subject.name and stats.subject.operation.endswith(".event"):
            events[stats.subject.name].append(stats)
    yield from _endless(events)
    yield from _senders_of_facts(events, recent)
    yield from _attributes(events, recent)


def _jobs(senders: Sequence[SubjectStats]) -> int:
    return sum(each.jobs for each in senders)


# -- what ends


def _endless(events: Events) -> Iterator[Finding]:
    yield from _without(events, names.is_purchase, "refund", _ends_order)
    yield from _without(events, names.is_subscription, "cancellation", names.is_cancellation)


def _ends_order(event: str) -> bool:
    is_cancelled = names.is_cancellation(event) and "subscription" not in names.words(event)
    return is_cancelled or names.is_refund(event)


def _without(
    events: Events, begins: Callable[[str], bool], end: str, ends: Callable[[str], bool]
) -> Iterator[Finding]:
    if any(map(ends, events)):
        return
    for name, senders in events.items():
        if begins(name) and _jobs(senders) >= MIN_JOBS:
            yield Finding(
                rule=rules.ENDLESS,
                subject=f"{name} without a {end}",
                evidence=(f"{_jobs(senders):,} × {name}, and no {end}",),
                sources=_sources(senders),
            )


# -- who sends facts


def _senders_of_facts(events: Events, recent: Sequence[SubjectStats]) -> Iterator[Finding]:
    """Yield facts that come from an application which shows pages, although another has them."""
    shows_pages = {
        each.subject.source
        for each in recent
        if each.subject.operation in _PAGES or names.is_view(each.subject.name)
    }
    facts = {name: senders for name, senders in events.items() if names.is_server_fact(name)}
    servers = {source for senders in facts.values() for source in _sources(senders)} - shows_pages
    if not servers:
        # One application does everything: it is a server, whatever it shows.
        return
    for name, senders in facts.items():
        owner = max(senders, key=lambda each: each.jobs)
        few = [each for each in senders if each.jobs <= FEW * owner.jobs]
        if owner.subject.source in servers and owner.jobs >= MIN_JOBS:
            for each in few:
                if each.subject.source in shows_pages:
                    yield _few_facts(each, owner)
        elif _jobs(senders) >= MIN_JOBS and not servers & set(_sources(senders)):
            yield Finding(
                rule=rules.CLIENT_FACTS,
                subject=name,
                evidence=(
                    f"{_jobs(senders):,} × from {', '.join(_sources(senders))}, and none from "
                    f"{', '.join(sorted(each or 'no source' for each in servers))}",
                ),
                sources=_sources(senders),
            )


def _few_facts(stats: SubjectStats, owner: SubjectStats) -> Finding:
    source = stats.subject.source
    return Finding(
        rule=rules.FEW_FACTS,
        subject=rules.from_source(stats.subject.name, source),
        evidence=(
            f"{stats.jobs:,} × from {source or 'no source'}, and {owner.jobs:,} × from "
            f"{owner.subject.source or 'no source'}",
        ),
        sources=(source,),
        since=stats.first_seen,
    )


def _sources(senders: Sequence[SubjectStats]) -> tuple[str, ...]:
    return tuple(sorted({each.subject.source for each in senders}))


# -- what people have


def _attributes(events: Events, recent: Sequence[SubjectStats]) -> Iterator[Finding]:
    people = [each for each in recent if each.subject.operation == "person.identify"]
    purchases = [each for name in events if names.is_purchase(name) for each in events[name]]
    if min(_jobs(people), _jobs(purchases)) < MIN_JOBS:
        return
    paths = {path for each in people for path in each.attributes}
    missing = [name for name in names.MUST_HAVES if name not in set(map(names.must_have, paths))]
    if {"last_order_at", "orders_count"} <= set(missing):
        missing = [each for each in missing if each not in ("last_order_at", "orders_count")]
        yield Finding(
            rule=rules.NO_ORDER_STATE,
            subject="person.identify without last_order_at and orders_count",
            evidence=(
                f"{_jobs(purchases):,} purchases, and {_jobs(people):,} identifies without them",
            ),
            sources=_sources(purchases),
        )
    for name in missing:
        yield Finding(
            rule=rules.NO_MUST_HAVE,
            subject=f"person.identify.{name}",
            evidence=(f"it is in none of {_jobs(people):,} observed identifies",),
            sources=_sources(people),
        )
