"""Rules about time: events that arrive late, too late, or from the future. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator

from . import names, rules
from .catalog import Catalog, SubjectStats
from .lateness import FUTURE, quantile_s, share_over
from .rules import Finding

#: Later than this, a message that waits for the event may have been sent, in seconds.
LATE_S = 300
#: Customer.io triggers no campaign by events that are older, in seconds.
TOO_LATE_S = 259_200
#: A share of events that is more than phones that were offline. Of events that start or stop
#: messages, a few are enough.
MIN_SHARE = 0.01
#: Single events that are late are no accident of one request.
MIN_EVENTS = 3


def timing_findings(catalog: Catalog) -> Iterator[Finding]:
    """Yield findings about the times of events."""
    by_event: dict[str, list[SubjectStats]] = defaultdict(list)
    late_events: set[str] = set()
    for stats in catalog.subjects.values():
        if stats.lateness:
            by_event[stats.subject.name].append(stats)
            for found in _judge(stats):
                late_events |= {stats.subject.name} if found.rule is rules.LATE else set()
                yield found
    for event, senders in by_event.items():
        if names.is_decisive(event) and event not in late_events and len(senders) > 1:
            yield from _together(event, senders)


def _together(event: str, senders: list[SubjectStats]) -> Iterator[Finding]:
    """Yield a finding about single late events of several applications."""
    total = sum(sum(each.lateness.values()) for each in senders)
    late = [
        round(
            (share_over(each.lateness, LATE_S) - share_over(each.lateness, TOO_LATE_S))
            * sum(each.lateness.values())
        )
        for each in senders
    ]
    if sum(late) >= MIN_EVENTS:
        yield Finding(
            rule=rules.LATE,
            subject=event,
            evidence=(f"{sum(late):,} of {total:,} events more than 5 minutes late",),
            sources=tuple(each.subject.source for each, n in zip(senders, late, strict=True) if n),
        )


def _judge(stats: SubjectStats) -> Iterator[Finding]:
    total = sum(stats.lateness.values())
    late, too_late = (share_over(stats.lateness, bound) for bound in (LATE_S, TOO_LATE_S))
    future = stats.lateness.get(FUTURE, 0)
    if round(too_late * total) >= MIN_EVENTS:
        yield _finding(rules.TOO_LATE, stats, f"{round(too_late * total):,} of {total:,} events")
    enough = MIN_EVENTS
    if not names.is_decisive(stats.subject.name):
        enough = max(enough, math.ceil(MIN_SHARE * total))
    if round((late - too_late) * total) >= enough:
        p50, p95 = (quantile_s(stats.lateness, share) for share in (0.5, 0.95))
        yield _finding(
            rules.LATE,
            stats,
            f"{round(late * total):,} of {total:,} events more than 5 minutes late; "
            f"half within {_bound(p50)}, 95 % within {_bound(p95)}",
        )
    if future >= MIN_EVENTS:
        yield _finding(rules.FUTURE, stats, f"{future:,} of {total:,} events")


def _bound(seconds: float | None) -> str:
    if seconds is None or seconds == float("inf"):
        return "more than 3 days"
    for unit, size in (("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def _finding(rule: rules.Rule, stats: SubjectStats, evidence: str) -> Finding:
    return Finding(
        rule=rule,
        subject=rules.from_source(stats.subject.name, stats.subject.source),
        evidence=(evidence,),
        sources=(stats.subject.source,),
    )
