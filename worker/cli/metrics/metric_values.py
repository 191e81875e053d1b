"""What a metric is, and where its values are in the facts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product
from typing import Literal

from trackrelay.worker.cli.status.fail_conditions import STATES
from trackrelay.worker.cli.status.snapshot import RedisStatus
from trackrelay.worker.endpoint_families import Family
from trackrelay.worker.reasons import DeathReason, DeferReason
from trackrelay.worker.storage.counts import BOUNDS, STATUS_CLASSES, Dropped, Name, Tally
from trackrelay.worker.storage.queries.backlog_overview import Overview

from .metric_facts import Facts

Kind = Literal["counter", "gauge", "histogram"]
#: The values of the labels, and the value.
Sample = tuple[tuple[str, ...], float | Tally]
Values = Callable[[Facts], Iterable[Sample]]

PREFIX = "trackrelay_"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric."""

    #: Without the prefix. A counter's name in a query ends in ``_total``.
    name: str
    kind: Kind
    about: str
    labels: tuple[str, ...]
    values: Values
    #: Upper bounds of a histogram's buckets, in seconds.
    bounds: tuple[float, ...] = ()
    #: Whether its buckets name traces, in the format OpenMetrics.
    has_exemplars: bool = False

    @property
    def full_name(self) -> str:
        """The name as a query has it."""
        return PREFIX + self.name + ("_total" if self.kind == "counter" else "")


#: Labels that exist before anything was counted: of a series that begins above zero, Prometheus
#: does not see the first increase.
_EXPECTED: dict[Name, list[tuple[str, ...]]] = {
    Name.DELIVERED: [(family,) for family in Family],
    Name.DIED: [(reason,) for reason in DeathReason],
    Name.DEFERRED: [(reason,) for reason in DeferReason],
    Name.DROPPED: [(reason,) for reason in Dropped],
    Name.REQUESTS: list(product(Family, STATUS_CLASSES)),
    Name.SHARDS_LOST: [("lease",), ("fence",)],
}


def counted(name: Name) -> Values:
    """Return the values of a counter, those that are still 0 included."""

    def values(facts: Facts) -> Iterable[Sample]:
        if facts.totals is None:
            return []
        found = {labels: tally.value for labels, tally in facts.of(name).items()}
        return sorted((dict.fromkeys(_EXPECTED[name], 0) | found).items())

    return values


def durations(name: Name) -> Values:
    """Return the values of a histogram, by the first label."""

    def values(facts: Facts) -> Iterable[Sample]:
        summed: dict[str, Tally] = {}
        none = [0] * (len(BOUNDS[name]) + 1)
        for labels, tally in facts.of(name).items():
            before = summed.setdefault(labels[0], Tally(0, 0.0, none))
            summed[labels[0]] = Tally(
                before.value + tally.value,
                before.sum_s + tally.sum_s,
                [a + b for a, b in zip(before.buckets, tally.buckets, strict=True)],
            )
        return [((label,), tally) for label, tally in summed.items()]

    return values


def from_redis(values: Callable[[RedisStatus, Facts], Iterable[Sample]]) -> Values:
    """Return values of what Redis knows; none if it does not answer."""
    return lambda facts: values(facts.snapshot.redis, facts) if facts.snapshot.redis else ()


def from_postgres(values: Callable[[Overview, Facts], Iterable[Sample]]) -> Values:
    """Return values of what Postgres knows; none if it does not answer."""
    return lambda facts: values(facts.snapshot.postgres, facts) if facts.snapshot.postgres else ()


def stores_up(facts: Facts) -> Iterable[Sample]:
    """Yield 1 for each store that answers and is set up, 0 for the others."""
    snapshot = facts.snapshot
    yield ("redis",), float(snapshot.redis is not None and not snapshot.redis_problem)
    yield ("postgres",), float(snapshot.postgres is not None)
    if snapshot.outbox or snapshot.outbox_problem:
        # That no relay takes its jobs is a problem of another kind.
        yield ("outbox",), float(snapshot.outbox is not None)


def oldest_ages(facts: Facts) -> Iterable[Sample]:
    """Yield the age of the oldest job in each place."""
    snapshot = facts.snapshot
    places = (
        ("queue", snapshot.redis),
        ("backlog", snapshot.postgres),
        ("outbox", snapshot.outbox),
    )
    for place, store in places:
        if store is not None:
            yield (place,), snapshot.age(store.oldest) or 0.0


def breaker_states(redis: RedisStatus, _: Facts) -> Iterable[Sample]:
    """Yield 1 for the state of each breaker, and 0 for its other states."""
    for breaker in (redis.shared_breaker, *redis.breakers):
        for state in STATES:
            yield (breaker.family or "all", state), float(breaker.state == state)


def backlog_by_reason(postgres: Overview, _: Facts) -> Iterable[Sample]:
    """Yield how many jobs wait for each reason."""
    for reason in sorted({each.reason for each in postgres.backlog}):
        yield (reason,), sum(each.jobs for each in postgres.backlog if each.reason == reason)
