"""The metrics: each is declared here once, with what it means and where its values are."""

from __future__ import annotations

from trackrelay.version import __version__
from trackrelay.worker.storage.counts import BOUNDS, Name

from .metric_values import (
    Metric,
    backlog_by_reason,
    breaker_states,
    counted,
    durations,
    from_postgres,
    from_redis,
    oldest_ages,
    stores_up,
)

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
        counted(Name.DELIVERED),
    ),
    Metric(
        "delivery_latency_seconds",
        "histogram",
        "The time from the call to the arrival of each delivered job.",
        ("family",),
        durations(Name.DELIVERED),
        BOUNDS[Name.DELIVERED],
        has_exemplars=True,
    ),
    Metric(
        "jobs_died",
        "counter",
        "Jobs that became dead letters, each time. Agrees exactly with the dead letters.",
        ("reason",),
        counted(Name.DIED),
    ),
    Metric(
        "jobs_deferred",
        "counter",
        "Jobs that were put into the backlog, or back into it. `failed` and `rate_limited` are "
        "retried.",
        ("reason",),
        counted(Name.DEFERRED),
    ),
    Metric(
        "jobs_dropped",
        "counter",
        "Jobs that were not sent: a `repeat` of an earlier job, `redelivered` to a worker after it "
        "was settled, or `blocked` because the person was forgotten.",
        ("reason",),
        counted(Name.DROPPED),
    ),
    Metric(
        "requests",
        "counter",
        "Requests to the Track API by the class of the answer's status. `429` is a class of its "
        "own, `none` is no answer.",
        ("family", "status"),
        counted(Name.REQUESTS),
    ),
    Metric(
        "request_duration_seconds",
        "histogram",
        "The duration of the requests to the Track API.",
        ("family",),
        durations(Name.REQUESTS),
        BOUNDS[Name.REQUESTS],
    ),
    Metric(
        "shards_lost",
        "counter",
        "How often a worker lost a shard to another worker while it delivered.",
        ("reason",),
        counted(Name.SHARDS_LOST),
    ),
    # -- what waits
    Metric(
        "queue_jobs",
        "gauge",
        "Jobs in a stream, those that a worker has read and not settled included.",
        ("shard", "lane"),
        from_redis(
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
        from_redis(lambda redis, _: [((), sum(shard.pending for shard in redis.shards))]),
    ),
    Metric(
        "backlog_jobs",
        "gauge",
        "Jobs in the backlog.",
        ("reason",),
        from_postgres(backlog_by_reason),
    ),
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
        oldest_ages,
    ),
    Metric(
        "dead_letters",
        "gauge",
        "Dead letters that are `open` or `replaying`.",
        ("state", "reason"),
        from_postgres(
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
        from_postgres(lambda postgres, _: [((), postgres.lost)]),
    ),
    # -- how delivery is
    Metric(
        "up",
        "gauge",
        "1 if the store answers and is set up: `redis`, `postgres`, `outbox`.",
        ("store",),
        stores_up,
    ),
    Metric(
        "breaker",
        "gauge",
        "1 for the state of each breaker: `closed`, `open` or `halted`. The family `all` stands "
        "for credentials, region and workspace.",
        ("family", "state"),
        from_redis(breaker_states),
    ),
    Metric(
        "last_success_timestamp_seconds",
        "gauge",
        "When a request of the family last delivered something, in unix seconds.",
        ("family",),
        from_redis(
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
        from_redis(lambda redis, _: [((), redis.rate)]),
    ),
    Metric(
        "workers",
        "gauge",
        "Workers that run, and those whose heartbeat was `lost` in the last day.",
        ("state",),
        from_redis(
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
        from_redis(lambda redis, _: [((), sum(map(len, redis.refusing.values())))]),
    ),
    Metric(
        "shard_held",
        "gauge",
        "1 if a worker holds the shard.",
        ("shard",),
        from_redis(
            lambda redis, _: [((str(each.number),), float(each.held)) for each in redis.shards]
        ),
    ),
    Metric(
        "paused_shards",
        "gauge",
        "Shards that an operator paused.",
        (),
        from_postgres(lambda postgres, _: [((), len(postgres.paused))]),
    ),
    Metric(
        "redis_memory_bytes",
        "gauge",
        "The memory that Redis uses.",
        (),
        from_redis(lambda redis, _: [((), redis.memory.used)]),
    ),
    Metric(
        "redis_memory_limit_bytes",
        "gauge",
        "Redis' `maxmemory`. Missing if there is no limit.",
        (),
        from_redis(lambda redis, _: [((), redis.memory.limit)] if redis.memory.limit else []),
    ),
    # -- whether the data is right
    Metric(
        "findings",
        "gauge",
        "Open findings about the data that nobody has acknowledged, as the last "
        "`trackrelay quality` found them.",
        ("rule",),
        from_postgres(
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
        from_postgres(
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
        from_postgres(
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
        from_postgres(lambda postgres, _: [((), postgres.forgotten.unfinished)]),
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
