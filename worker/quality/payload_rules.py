"""Rules about what events must bring along, and in which form. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from . import names, rules
from .catalog import Catalog, SubjectStats
from .presence_rules import ALWAYS, MIN_JOBS
from .rules import Finding
from .shapes import ValueType

#: Attributes inside an object that make it more than a detail.
MIN_PARTS = 3


def payload_findings(catalog: Catalog, since: float = 0.0) -> Iterator[Finding]:
    """Yield findings about events that were seen after ``since`` (unix seconds)."""
    events: dict[str, list[SubjectStats]] = defaultdict(list)
    for stats in catalog.subjects.values():
        is_event = stats.subject.name and stats.subject.operation.endswith(".event")
        if is_event and stats.last_seen >= since:
            events[stats.subject.name].append(stats)
            yield from _in_one_object(stats)
    for senders in events.values():
        yield from _left_out(senders)
    yield from _without_purchases(events)


def _in_one_object(stats: SubjectStats) -> Iterator[Finding]:
    top = [each for each in stats.attributes.values() if not set(".[") & set(each.path)]
    objects = [
        each
        for each in top
        if stats.presence(each) >= ALWAYS
        and {of.type for of in each.types} == {ValueType.OBJECT}
        and sum(path.startswith(f"{each.path}.") for path in stats.attributes) >= MIN_PARTS
    ]
    if stats.jobs >= MIN_JOBS and len(top) == len(objects) == 1:
        path = objects[0].path
        yield Finding(
            rule=rules.ONE_OBJECT,
            subject=rules.from_source(f"{stats.subject.name}.{path}", stats.subject.source),
            evidence=(f"all attributes of {stats.jobs:,} observed jobs are inside {path}",),
            sources=(stats.subject.source,),
        )


def _left_out(senders: list[SubjectStats]) -> Iterator[Finding]:
    """Yield facts that one application always sends with an event, and another one never."""
    facts: dict[int, tuple[str, SubjectStats]] = {}
    senders = [each for each in senders if each.jobs >= MIN_JOBS]
    for stats in senders:
        for attribute in stats.attributes.values():
            fact = names.fact(attribute.path)
            if fact is not None and stats.presence(attribute) >= ALWAYS:
                facts.setdefault(fact, (attribute.path, stats))
    for stats in senders:
        known = {_fact_inside(path) for path in stats.attributes}
        for fact, (path, owner) in facts.items():
            if fact not in known:
                source = stats.subject.source
                yield Finding(
                    rule=rules.LEFT_OUT,
                    subject=rules.from_source(f"{stats.subject.name}.{path}", source),
                    evidence=(
                        f"{owner.subject.source or 'no source'} always sends it",
                        f"{source or 'no source'} sent it in none of {stats.jobs:,} observed jobs",
                    ),
                    sources=(source,),
                )


def _fact_inside(path: str) -> int | None:
    return names.fact(path.rpartition(".")[2].removesuffix("[]"))


def _without_purchases(events: Mapping[str, list[SubjectStats]]) -> Iterator[Finding]:
    if any(names.is_purchase(each) for each in events):
        return
    for name, senders in events.items():
        jobs = sum(each.jobs for each in senders)
        if names.is_checkout(name) and jobs >= MIN_JOBS:
            yield Finding(
                rule=rules.NO_PURCHASES,
                subject=name,
                evidence=(f"{jobs:,} × {name}, and no event that says that somebody bought",),
                sources=tuple(sorted(each.subject.source for each in senders)),
            )
