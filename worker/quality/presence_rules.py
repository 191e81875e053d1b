"""Rules about presence: an attribute that vanished, appeared, or is missing now and then. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from . import rules
from .catalog import Attribute, Catalog, SubjectStats
from .rules import Finding

#: Observed jobs without an attribute before it counts as vanished.
MIN_MISSING = 30
#: Observed jobs with an attribute before anybody can miss it. Fewer were a mistake or a trial.
MIN_PRESENT = 30
#: The chance that an optional attribute is missing so often by itself must be smaller.
MAX_CHANCE = 1e-9
#: An attribute that is present more often than this is meant to be present always.
ALWAYS = 0.99
#: Observed jobs before a share of jobs says anything.
MIN_JOBS = 200


def presence_findings(catalog: Catalog) -> Iterator[Finding]:
    """Yield findings about attributes that are not where they were, or should be."""
    for stats in catalog.subjects.values():
        if stats.jobs < MIN_JOBS:
            continue
        for attribute in stats.attributes.values():
            # Items of a list and parts of an object come and go with it.
            if "[]" not in attribute.path and "." not in attribute.path:
                yield from _judge(stats, attribute)


def _judge(stats: SubjectStats, attribute: Attribute) -> Iterator[Finding]:
    lifetime = attribute.last_at - attribute.first_at
    missing = stats.jobs - attribute.last_at
    presence = min(1.0, attribute.count / lifetime) if lifetime else 0.0
    enough = attribute.count >= MIN_PRESENT
    if _is_no_chance(presence, missing) and enough:
        yield attribute_finding(
            rules.VANISHED,
            stats,
            attribute,
            f"it was in {presence:.0%} of {lifetime:,} jobs, and in none of the next {missing:,}",
            since=attribute.last_seen,
        )
    elif _is_no_chance(presence, attribute.first_at) and enough:
        yield attribute_finding(
            rules.APPEARED,
            stats,
            attribute,
            f"it was in none of {attribute.first_at:,} jobs, then in {presence:.0%}",
            since=attribute.first_seen,
        )
    # Of one that was rolled out later, the jobs that came just before would count as missing:
    # positions are those of the write that counted it first.
    if attribute.first_at == 0 and lifetime >= MIN_JOBS and ALWAYS <= presence < 1:
        absent = lifetime - attribute.count
        yield attribute_finding(
            rules.RARELY_MISSING,
            stats,
            attribute,
            f"it is missing in {absent:,} of {lifetime:,} observed jobs",
        )


def _is_no_chance(presence: float, missing: int) -> bool:
    """Whether so many jobs in a row without the attribute are more than coincidence."""
    return missing >= MIN_MISSING and (1 - presence) ** missing < MAX_CHANCE


def attribute_finding(
    rule: rules.Rule,
    stats: SubjectStats,
    attribute: Attribute,
    evidence: str,
    since: float | None = None,
) -> Finding:
    """Return a finding about one attribute of one application's jobs.

    Args:
        since: when it began, in unix seconds; None: as long as anything is known.
    """
    name = f"{stats.subject.name or stats.subject.operation}.{attribute.path}"
    return Finding(
        rule=rule,
        subject=rules.from_source(name, stats.subject.source),
        evidence=(evidence,),
        sources=(stats.subject.source,),
        since=since,
    )
