"""The metrics: each is declared here once, with what it means and where its values are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product
from typing import Literal

from trackrelay.version import __version__
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


def _counted(name: Name) -> Values:
    def values(facts: Facts) -> Iterable[Sample]:
        if facts.totals is None:
            return []
        found = {labels: tally.value for labels, tally in facts.of(name).items()}
        return sorted((dict.fromkeys(_EXPECTED[name], 0) | found).items())

    return values


def _durations(name: Name) -> Values:
    """Yield the durations by the first label."""

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


def _redis(values: Callable[[RedisStatus, Facts], Iterable[Sample]]) -> Values:
    return lambda facts: values(facts.snapshot.redis, facts) if facts.snapshot.redis else ()


def _postgres(values: Callable[[Overview, Facts], Iterable[Sample]]) -> Values:
    return lambda facts: values(facts.snapshot.postgres, facts) if facts.snapshot.postgres else ()


def _up(facts: Facts) -> Iterable[Sample]:
    snapshot = facts.snapshot
    yield ("redis",), float(snapshot.redis is not None and not snapshot.redis_problem)
    yield ("postgres",), float(snapshot.postgres is not None)
    if snapshot.outbox or snapshot.outbox_problem:
        # That no relay takes its jobs is a problem of another kind.
        yield ("outbox",), float(snapshot.outbox is not None)


def _oldest(facts: Facts) -> Iterable[Sample]:
    snapshot = facts.snapshot
    places = (
        ("queue", snapshot.redis),
        ("backlog", snapshot.postgres),
        ("outbox", snapshot.outbox),
    )
    for place, store in places:
        if store is not None:
            yield (place,), snapshot.age(store.oldest) or 0.0


def _breakers(redis: RedisStatus, _: Facts) -> Iterable[Sample]:
    for breaker in (redis.shared_breaker, *redis.breakers):
        for state in STATES:
            yield (breaker.family or "all", state), float(breaker.state == state)


def _by_reason(postgres: Overview, _: Facts) -> Iterable[Sample]:
    for reason in sorted({each.reason for each in postgres.backlog}):
        yield (reason,), sum(each.jobs for each in postgres.backlog if each.reason == reason)


METRICS: tuple[Metric, ...] = (
    # -- what happened
    Metric(
        "stream_entries",
        "counter",
        "Entries that were appended to a stream: one for a live job, or for several bulk jobs. "
        "Starts at 0 when Redis is wiped. Missing with Redis 6.",
        ("shard", "lane"),
        lambda facts: [
            ((str(shard), lane), entries) for (shard, lane), entries in facts.entries.items()
        ],
    ),
    Metric(
        "calls_failed",
        "counter",
        "Operations that were not enqueued: `refused` at the call, or only logged because the "
        "queue was `unavailable`. Starts at 0 when Redis is wiped.",
        ("result",),
        lambda facts: [((kind,), value) for kind, value in facts.failed_calls.items()],
    ),
    Metric(
        "jobs_delivered",
        "counter",
        "Jobs that Customer.io has. Agrees exactly with the ledger.",
        ("family",),
        _counted(Name.DELIVERED),
    ),
    Metric(
        "delivery_latency_seconds",
        "histogram",
        "The time from the call to the arrival of each delivered job.",
        ("family",),
        _durations(Name.DELIVERED),
        BOUNDS[Name.DELIVERED],
    ),
    Metric(
        "jobs_died",
        "counter",
        "Jobs that became dead letters, each time. Agrees exactly with the dead letters.",
        ("reason",),
        _counted(Name.DIED),
    ),
    Metric(
        "jobs_deferred",
        "counter",
        "Jobs that were put into the backlog, or back into it. `failed` and `rate_limited` are "
        "retried.",
        ("reason",),
        _counted(Name.DEFERRED),
    ),
    Metric(
        "jobs_dropped",
        "counter",
        "Jobs that were not sent: a `repeat` of an earlier job, `redelivered` to a worker after it "
        "was settled, or `blocked` because the person was forgotten.",
        ("reason",),
        _counted(Name.DROPPED),
    ),
    Metric(
        "requests",
        "counter",
        "Requests to the Track API by the class of the answer's status. `429` is a class of its "
        "own, `none` is no answer.",
        ("family", "status"),
        _counted(Name.REQUESTS),
    ),
    Metric(
        "request_duration_seconds",
        "histogram",
        "The duration of the requests to the Track API.",
        ("family",),
        _durations(Name.REQUESTS),
        BOUNDS[Name.REQUESTS],
    ),
    Metric(
        "shards_lost",
        "counter",
        "How often a worker lost a shard to another worker while it delivered.",
        ("reason",),
        _counted(Name.SHARDS_LOST),
    ),
    # -- what waits
    Metric(
        "queue_jobs",
        "gauge",
        "Jobs in a stream, those that a worker has read and not settled included.",
        ("shard", "lane"),
        _redis(
            lambda redis, _: [
                ((str(shard.number), lane), status.length)
                for shard in redis.shards
                for lane, status in shard.lanes.items()
            ]
        ),
    ),
    Metric(
        "queue_pending_jobs",
        "gauge",
        "Jobs in the streams that a worker has read and not settled.",
        (),
        _redis(lambda redis, _: [((), sum(shard.pending for shard in redis.shards))]),
    ),
    Metric("backlog_jobs", "gauge", "Jobs in the backlog.", ("reason",), _postgres(_by_reason)),
    Metric(
        "outbox_jobs",
        "gauge",
        "Jobs in the outbox that no relay has taken.",
        (),
        lambda facts: [((), facts.snapshot.outbox.jobs)] if facts.snapshot.outbox else (),
    ),
    Metric(
        "oldest_job_age_seconds",
        "gauge",
        "The age of the oldest undelivered job in `queue`, `backlog` and `outbox`. 0: none waits.",
        ("place",),
        _oldest,
    ),
    Metric(
        "dead_letters",
        "gauge",
        "Dead letters that are `open` or `replaying`.",
        ("state", "reason"),
        _postgres(
            lambda postgres, _: [
                ((each.state, each.reason), each.jobs) for each in postgres.dead_letters
            ]
        ),
    ),
    Metric(
        "lost_jobs",
        "gauge",
        "Lost jobs in incidents that nobody has acknowledged. One if the number is unknown.",
        (),
        _postgres(lambda postgres, _: [((), postgres.lost)]),
    ),
    # -- how delivery is
    Metric(
        "up",
        "gauge",
        "1 if the store answers and is set up: `redis`, `postgres`, `outbox`.",
        ("store",),
        _up,
    ),
    Metric(
        "breaker",
        "gauge",
        "1 for the state of each breaker: `closed`, `open` or `halted`. The family `all` stands "
        "for credentials, region and workspace.",
        ("family", "state"),
        _redis(_breakers),
    ),
    Metric(
        "last_success_timestamp_seconds",
        "gauge",
        "When a request of the family last delivered something, in unix seconds.",
        ("family",),
        _redis(
            lambda redis, _: [
                ((each.family or "all",), each.last_success)
                for each in redis.breakers
                if each.last_success
            ]
        ),
    ),
    Metric(
        "rate_limit_requests_per_second",
        "gauge",
        "Requests a second that all workers together may make now.",
        (),
        _redis(lambda redis, _: [((), redis.rate)]),
    ),
    Metric(
        "workers",
        "gauge",
        "Workers that run, and those whose heartbeat was `lost` in the last day.",
        ("state",),
        _redis(
            lambda redis, _: [
                (("running",), len(redis.alive)),
                (("lost",), len(redis.workers) - len(redis.alive)),
            ]
        ),
    ),
    Metric(
        "refusing_processes",
        "gauge",
        "Worker processes that deliver nothing, because their credentials or secrets are wrong.",
        (),
        _redis(lambda redis, _: [((), sum(map(len, redis.refusing.values())))]),
    ),
    Metric(
        "shard_held",
        "gauge",
        "1 if a worker holds the shard.",
        ("shard",),
        _redis(lambda redis, _: [((str(each.number),), float(each.held)) for each in redis.shards]),
    ),
    Metric(
        "paused_shards",
        "gauge",
        "Shards that an operator paused.",
        (),
        _postgres(lambda postgres, _: [((), len(postgres.paused))]),
    ),
    Metric(
        "redis_memory_bytes",
        "gauge",
        "The memory that Redis uses.",
        (),
        _redis(lambda redis, _: [((), redis.memory.used)]),
    ),
    Metric(
        "redis_memory_limit_bytes",
        "gauge",
        "Redis' `maxmemory`. Missing if there is no limit.",
        (),
        _redis(lambda redis, _: [((), redis.memory.limit)] if redis.memory.limit else []),
    ),
    # -- whether the data is right
    Metric(
        "findings",
        "gauge",
        "Open findings about the data that nobody has acknowledged, as the last "
        "`trackrelay quality` found them.",
        ("rule",),
        _postgres(
            lambda postgres, _: [
                ((rule,), number) for rule, number in sorted(postgres.findings.items())
            ]
        ),
    ),
    Metric(
        "verdicts",
        "gauge",
        "Open verdicts of the verification: what Customer.io did not apply, does not have, or has "
        "differently.",
        ("verdict",),
        _postgres(
            lambda postgres, _: [
                ((kind,), number) for kind, number in sorted(postgres.verification.open.items())
            ]
        ),
    ),
    Metric(
        "verifications_due",
        "gauge",
        "People and objects whose time to be compared has come.",
        (),
        _postgres(
            lambda postgres, _: (
                [((), postgres.verification.due)] if postgres.verification.is_used else []
            )
        ),
    ),
    Metric(
        "unfinished_forget_requests",
        "gauge",
        "Requests to forget a person that are not complete.",
        (),
        _postgres(lambda postgres, _: [((), postgres.forgotten.unfinished)]),
    ),
    # -- about the metrics
    Metric(
        "info",
        "gauge",
        "1, with the version of the process that answers.",
        ("version",),
        lambda facts: [((__version__,), 1)],
    ),
    Metric(
        "collection_duration_seconds",
        "gauge",
        "How long it took to read what the metrics are made of.",
        (),
        lambda facts: [((), facts.duration_s)],
    ),
)
