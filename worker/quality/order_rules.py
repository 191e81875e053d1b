"""Rules about orders: the same one in several events, and events without their change. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from . import names, rules
from .catalog import Catalog, SubjectStats, TypeCount
from .catalog_observer import Subject
from .order_notes import AGAIN, WITH_ORDER, other_type
from .rules import Finding

#: Fewer orders are accidents of one request.
MIN_ORDERS = 3
#: Two events of different names are about one fact if so many of the rarer one's orders are common,
#: and so many of its attributes.
SAME_ORDERS, SAME_FORM = 0.5, 0.6
#: Events that were waited for before it says anything which attributes they came with.
MIN_WAITED = 100
#: An attribute that belongs to an event, and one that does not.
USUALLY, HARDLY = 0.8, 0.1
#: Events in a row without an attribute, and the chance of that.
MIN_MISSING, MAX_CHANCE = 30, 1e-9


def order_findings(catalog: Catalog, since: float = 0.0) -> Iterator[Finding]:
    """Yield findings about events that were seen after ``since`` (unix seconds)."""
    recent = {
        subject: stats for subject, stats in catalog.subjects.items() if stats.last_seen >= since
    }
    for subject, stats in recent.items():
        if names.is_purchase(subject.name):
            yield from _again(stats)
            yield from _elsewhere(stats, recent)
        yield from _lost_states(stats)
    yield from _left_out_states(list(recent.values()))


# -- one order, several events


def _again(stats: SubjectStats) -> Iterator[Finding]:
    again = stats.orders.get(AGAIN, 0)
    if again >= MIN_ORDERS:
        yield Finding(
            rule=rules.SENT_TWICE,
            subject=rules.from_source(stats.subject.name, stats.subject.source),
            evidence=(
                f"{again:,} of {stats.orders.get(WITH_ORDER, 0):,} repeat an order within an hour",
            ),
            sources=(stats.subject.source,),
        )


def _elsewhere(stats: SubjectStats, recent: dict[Subject, SubjectStats]) -> Iterator[Finding]:
    for other in recent.values():
        common = stats.orders.get(other_type(other.subject), 0)
        if common >= MIN_ORDERS and _is_same_fact(stats, other, common):
            here, there = stats.subject, other.subject
            yield Finding(
                rule=rules.SENT_TWICE,
                subject=" and ".join(
                    rules.from_source(each.name, each.source) for each in (here, there)
                ),
                evidence=(
                    f"{common:,} orders are in {here.name} from {here.source or 'no source'} and "
                    f"within five minutes in {there.name} from {there.source or 'no source'}",
                ),
                sources=tuple(sorted({here.source, there.source})),
            )


def _is_same_fact(one: SubjectStats, other: SubjectStats, common: int) -> bool:
    if one.subject.source == other.subject.source:
        # An application that sends both tells them apart.
        return False
    if one.subject.name == other.subject.name:
        return one.subject < other.subject
    if names.event_group(other.subject.name) is not None:
        # Another fact about the order, such as its shipment, or a rival by its name (Q204).
        return False
    rarer = min(each.orders.get(WITH_ORDER, 0) for each in (one, other))
    return common >= SAME_ORDERS * rarer and _have_same_form(one, other)


def _have_same_form(one: SubjectStats, other: SubjectStats) -> bool:
    forms = [
        {names.stem(path) for path in each.attributes if not set(".[") & set(path)}
        for each in (one, other)
    ]
    smaller = min(map(len, forms))
    return smaller > 1 and len(forms[0] & forms[1]) >= SAME_FORM * smaller


# -- events and the changes that belong to them


def _lost_states(stats: SubjectStats) -> Iterator[Finding]:
    """Yield changes that came with an event, and do not any more."""
    waited = stats.waited
    for path, state in stats.states.items():
        share, missing = _until_last(waited, state) if waited else (0.0, 0)
        if missing >= MIN_MISSING and share >= 0.5 and (1 - share) ** missing < MAX_CHANCE:
            yield _finding(
                stats,
                path,
                f"{path} changed with {share:.0%} of the events, and with none of the last "
                f"{missing:,}",
                since=state.last_seen,
            )


def _until_last(waited: TypeCount, state: TypeCount) -> tuple[float, int]:
    """Return the share of events with a change until it was last seen, and the events since."""
    # Positions count jobs; not every one of them was waited for.
    jobs = waited.last_at - waited.first_at
    missing = round(waited.count * (waited.last_at - state.last_at) / jobs) if jobs else 0
    before = waited.count - missing
    enough = before >= MIN_WAITED / 2
    return (min(1.0, state.count / before), missing) if enough else (0.0, missing)


def _left_out_states(found: list[SubjectStats]) -> Iterator[Finding]:
    """Yield changes that come with an event of one application, and not with that of another."""
    senders = [each for each in found if each.waited and each.waited.count >= MIN_WAITED]
    usual: dict[tuple[str, str, str], SubjectStats] = {}
    for stats in senders:
        for path in stats.states:
            if _share(stats, path) >= USUALLY:
                usual.setdefault((*stats.subject[1:], path), stats)
    for (operation, name, path), stats in usual.items():
        for other in senders:
            if other.subject[1:] == (operation, name) and _share(other, path) <= HARDLY:
                yield _finding(
                    other,
                    path,
                    f"{path} changes with {_share(stats, path):.0%} of the events from "
                    f"{stats.subject.source or 'no source'}, and with "
                    f"{_share(other, path):.0%} of these",
                )


def _share(stats: SubjectStats, path: str) -> float:
    state = stats.states.get(path)
    return min(1.0, state.count / stats.waited.count) if state and stats.waited else 0.0


def _finding(stats: SubjectStats, path: str, evidence: str, since: float | None = None) -> Finding:
    source = stats.subject.source
    return Finding(
        rule=rules.STATE_MISSING,
        subject=rules.from_source(f"{stats.subject.name} without {path}", source),
        evidence=(evidence,),
        sources=(source,),
        since=since,
    )
