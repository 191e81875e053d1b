"""Rules about what changed over days: events that stopped, attributes that became rarer. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from . import names, rules
from .catalog import Attribute, Catalog, SubjectStats
from .rules import Finding

_DAY_S = 86_400.0
#: An event has stopped if it is silent for so many times its longest pause, and at least so long.
TIMES, MIN_SILENCE_S = 3.0, 3_600.0
#: Events that are judged: seen so often, and for so long that weekends are among their pauses.
MIN_JOBS, MIN_LIFETIME_S = 50, 7 * _DAY_S
#: What is silent for longer is over.
MAX_SILENCE_S = 30 * _DAY_S
#: An event that another application begins to send within this time has moved.
MOVED_S = _DAY_S
#: Attributes in common with a new event that is the same under another name.
SAME_FORM = 0.8
#: Jobs before a change, and after it, and jobs of one day that say something.
MIN_SIDE, MIN_DAY = 100, 20
#: An attribute that was always there and is missing often; and one that nearly vanished.
ALWAYS, OFTEN, NEARLY_NONE = 0.99, 0.9, 0.25
#: It has become rarer by the day too: a new kind of call that never had it does not count.
FEWER = 0.6
#: The share of days that are on the right side of the change.
CLEAR = 0.9


def day_findings(catalog: Catalog, now: float) -> Iterator[Finding]:
    """Yield findings about changes.

    Args:
        catalog: what was observed.
        now: unix seconds.
    """
    stats = list(catalog.subjects.values())
    # If nothing at all was observed lately, no single event has stopped.
    latest = min(now, max((each.last_seen for each in stats), default=now))
    for each in stats:
        if _has_stopped(each, latest) and not _has_moved(each, stats):
            yield _stopped(each, stats, latest)
        elif latest - each.last_seen < _DAY_S:
            for attribute in each.attributes.values():
                if not set(".[") & set(attribute.path):
                    yield from _share(each, attribute, now)


# -- events that stopped


def _has_stopped(stats: SubjectStats, latest: float) -> bool:
    silence = latest - stats.last_seen
    return (
        stats.jobs >= MIN_JOBS
        and stats.last_seen - stats.first_seen >= MIN_LIFETIME_S
        and max(MIN_SILENCE_S, TIMES * stats.longest_gap_s) <= silence <= MAX_SILENCE_S
    )


def _has_moved(stats: SubjectStats, others: Iterable[SubjectStats]) -> bool:
    """Whether another application began to send it when this one stopped."""
    return any(
        other.subject[1:] == stats.subject[1:]
        and abs(other.first_seen - stats.last_seen) <= MOVED_S
        and other.last_seen > stats.last_seen
        for other in others
    )


def _stopped(stats: SubjectStats, others: Iterable[SubjectStats], latest: float) -> Finding:
    subject = stats.subject
    silence, pause = latest - stats.last_seen, stats.longest_gap_s
    evidence = [
        f"{stats.jobs:,} were observed, and none for {_duration(silence)}; "
        f"the longest pause before was {_duration(pause)}"
    ]
    evidence += [
        f"since then the application sends {each.subject.name}, with the same attributes"
        for each in others
        if _replaces(each, stats)
    ]
    return Finding(
        rule=rules.DECISION_STOPPED if names.is_decisive(subject.name) else rules.STOPPED,
        subject=rules.from_source(subject.name or subject.operation, subject.source),
        evidence=tuple(evidence),
        sources=(subject.source,),
        since=stats.last_seen,
    )


def _replaces(new: SubjectStats, old: SubjectStats) -> bool:
    paths, before = set(new.attributes), set(old.attributes)
    return (
        new.subject[:2] == old.subject[:2]
        and abs(new.first_seen - old.last_seen) <= MOVED_S
        and len(paths & before) >= SAME_FORM * len(paths | before)
    )


def _duration(seconds: float) -> str:
    for unit, size in (("days", _DAY_S), ("hours", 3_600.0), ("minutes", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


# -- attributes that became rarer


def _share(stats: SubjectStats, attribute: Attribute, now: float) -> Iterator[Finding]:
    days = sorted(day for day, jobs in stats.days.items() if jobs >= MIN_DAY)
    if len(days) < 2 or sum(stats.days.values()) < 2 * MIN_SIDE:
        return
    found = _largest_fall(stats.days, attribute.days, days)
    if found is None:
        return
    first, before, after = found
    if not (after > 0 and ((before >= ALWAYS and after <= OFTEN) or after <= NEARLY_NONE * before)):
        return
    is_partial = stats.subject.operation.endswith(".identify")
    if (is_partial or before < ALWAYS) and not _is_rarer(attribute.days, days, first, now):
        return
    since = datetime.fromtimestamp(first * _DAY_S, UTC)
    yield Finding(
        rule=rules.SHARE_FELL,
        subject=rules.from_source(
            f"{stats.subject.name or stats.subject.operation}.{attribute.path}",
            stats.subject.source,
        ),
        evidence=(
            f"it was in {before:.0%} of the jobs, and is in {after:.0%} since {since:%d %b}",
        ),
        sources=(stats.subject.source,),
        since=first * _DAY_S,
    )


def _largest_fall(
    jobs: Mapping[int, int], having: Mapping[int, int], days: list[int]
) -> tuple[int, float, float] | None:
    """Return the day since which an attribute is rarest, compared with before, and both shares."""
    total, total_having = sum(map(jobs.__getitem__, days)), sum(having.get(day, 0) for day in days)
    best: tuple[float, int, float, float] | None = None
    before = before_having = 0
    for index, day in enumerate(days[1:], 1):
        before += jobs[days[index - 1]]
        before_having += having.get(days[index - 1], 0)
        after, after_having = total - before, total_having - before_having
        if before < MIN_SIDE or after < MIN_SIDE:
            continue
        shares = min(1.0, before_having / before), min(1.0, after_having / after)
        # The deviation of the difference if nothing had changed.
        common = min(1.0, total_having / total)
        deviation = (common * (1 - common) * (1 / before + 1 / after)) ** 0.5
        score = (shares[0] - shares[1]) / deviation if deviation else 0.0
        if best is None or score > best[0]:
            best = (score, day, *shares)
    if best is None or best[0] < 8:
        return None
    _, first, share_before, share_after = best
    middle = (share_before + share_after) / 2
    clear = sum((having.get(day, 0) / jobs[day] > middle) == (day < first) for day in days)
    # A deploy in the middle of a day leaves one day on neither side.
    unclear = max(1 if len(days) > 2 else 0, (1 - CLEAR) * len(days))
    return (first, share_before, share_after) if clear >= len(days) - unclear else None


def _is_rarer(having: Mapping[int, int], days: list[int], first: int, now: float) -> bool:
    """Whether fewer jobs a day have the attribute, and not only a smaller share of them."""
    today = int(now // _DAY_S)
    lengths = {day: max(0.05, now / _DAY_S - today) if day == today else 1.0 for day in days}
    rates = []
    for side in ([day for day in days if day < first], [day for day in days if day >= first]):
        length = sum(lengths[day] for day in side)
        rates.append(sum(having.get(day, 0) for day in side) / length if length else 0.0)
    return rates[1] <= FEWER * rates[0]
