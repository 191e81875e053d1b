"""Checks of Redis, Postgres and the outbox: reached, set up, and configured so that no job is lost.

Redis is asked nothing but what a managed Redis allows.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import redis
import sqlalchemy as sa
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from trackrelay.configuration.server_urls import is_sentinel, place
from trackrelay.errors import TrackRelayError
from trackrelay.queue.append import MEMORY_MARK
from trackrelay.queue.redis_keys import CONFIG
from trackrelay.worker.cli.common.command_errors import explain
from trackrelay.worker.cli.common.command_stores import NO_RELAY, UNRELAYED_S, Outbox, OutboxJobs
from trackrelay.worker.cli.common.humanize import count, duration, jobs_wait, listed, size
from trackrelay.worker.cli.common.incident_report import ACKNOWLEDGE, describe
from trackrelay.worker.queue import failed_calls
from trackrelay.worker.queue.queue_agreement import difference
from trackrelay.worker.queue.queue_config import QueueConfig, QueueConfigError, check_queue
from trackrelay.worker.queue.queue_length import jobs_queued
from trackrelay.worker.settings import Settings
from trackrelay.worker.storage import incident_log, ledger_partitions, queue_record, schema
from trackrelay.worker.storage.queries.server_facts import (
    Server,
    missing_privileges,
    server,
    standbys,
)
from trackrelay.worker.storage.tables import METADATA

from . import replication_checks
from .findings import Finding

REDIS = "Redis"
POSTGRES = "Postgres"
OUTBOX = "Outbox"
#: The first Redis that has all we use: streams, LPOS, scripts that read the clock.
MIN_REDIS = (6, 2)
#: Seconds by which clocks may differ before ages become noticeably wrong.
MAX_SKEW_S = 30
#: About how much memory a job of 400 bytes takes in a stream.
JOB_BYTES = 700
#: Relays take rows within a second: rows that wait for longer are held up.
LATE_S = 60
_NO_CONFIG: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class QueueLook:
    """The queue in Redis, as far as it is known."""

    config: QueueConfig | None = None
    #: How far a change of the number of shards has come.
    moving: str = ""


def redis_findings(client: redis.Redis, settings: Settings) -> Iterator[Finding]:
    """Yield findings about Redis, up to the first one that makes the others pointless."""
    url = settings.redis_url.get_secret_value()
    try:
        info: dict[str, Any] = client.info()
        seconds, microseconds = client.time()
    except RedisError as error:
        yield Finding(REDIS, "reached", "wrong", explain(error, redis_url=url) or str(error))
        return
    yield Finding(REDIS, "reached", "ok", f"{_version(info)} at {place(url)}")
    yield from _kind(info)
    config = replication_checks.redis_config(client)
    yield from (_eviction(info), _persistence(info, config), _memory(info))
    by_sentinel, wait = is_sentinel(url), settings.redis_wait_replicas
    if found := replication_checks.replication(info, config, wait, by_sentinel=by_sentinel):
        yield found
    yield from replication_checks.sentinel_findings(settings)
    yield from _clock(REDIS, seconds + microseconds / 1e6, "ages are wrong")
    try:
        yield from _queue(client, settings)
    except RedisError as error:
        yield Finding(REDIS, "queue", "wrong", explain(error, redis_url=url) or str(error))


def _version(info: dict[str, Any]) -> str:
    if "valkey_version" in info:
        return f"Valkey {info['valkey_version']}"
    return f"Redis {info.get('redis_version', 'of unknown version')}"


def _kind(info: dict[str, Any]) -> Iterator[Finding]:
    version = tuple(
        int(part) for part in re.findall(r"\d+", str(info.get("redis_version", "")))[:2]
    )
    if "valkey_version" not in info and version < MIN_REDIS:
        text = f"{_version(info)} is too old: Redis 6.2 or later, or Valkey, is required"
        yield Finding(REDIS, "version", "wrong", text)
    if info.get("cluster_enabled") == 1 or info.get("redis_mode") == "cluster":
        text = (
            "Redis Cluster is not supported: TRACKRELAY_REDIS_URL must name a single Redis, "
            "which may have replicas"
        )
        yield Finding(REDIS, "cluster", "wrong", text)
    if info.get("role") in ("slave", "replica"):
        text = "it is a replica and refuses writes: TRACKRELAY_REDIS_URL must name the primary"
        yield Finding(REDIS, "role", "wrong", text)


def _eviction(info: dict[str, Any]) -> Finding:
    policy = str(info.get("maxmemory_policy", "unknown"))
    if policy == "noeviction":
        text = "noeviction: when memory is full, calls are refused, and no job is lost"
        return Finding(REDIS, "eviction", "ok", text)
    if policy.startswith("volatile"):
        text = (
            f"{policy}: when memory is full, Redis deletes the workers' leases; no job is lost, "
            "but work is done twice. Set maxmemory-policy noeviction"
        )
        return Finding(REDIS, "eviction", "warning", text)
    text = (
        f"{policy}: when memory is full, Redis silently deletes queued jobs. "
        "Set maxmemory-policy noeviction"
    )
    return Finding(REDIS, "eviction", "wrong", text)


def _persistence(info: dict[str, Any], config: Mapping[str, str] = _NO_CONFIG) -> Finding:
    if info.get("aof_enabled") == 1 and info.get("aof_last_write_status", "ok") != "ok":
        text = (
            "the last write to the append-only file failed (is the disk full?): "
            "a restart would lose jobs"
        )
        return Finding(REDIS, "persistence", "wrong", text)
    if info.get("aof_enabled") == 1:
        return Finding(REDIS, "persistence", "ok", replication_checks.appendfsync(config))
    replicas = int(info.get("connected_slaves", 0))
    failover = f"; {count(replicas, 'replica')} may take over" if replicas else ""
    text = (
        f"no append-only file: a crash of Redis loses the jobs in it{failover}. "
        "Set appendonly yes, or use the outbox where no job may be lost"
    )
    return Finding(REDIS, "persistence", "warning", text)


def _memory(info: dict[str, Any]) -> Finding:
    used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if not limit:
        text = (
            f"{size(used)} used, and no maxmemory: in a long outage, jobs can fill the machine's "
            f"memory, and the system kills Redis. Set maxmemory: then calls raise QueueFullError "
            f"at {MEMORY_MARK:.0%} of it"
        )
        return Finding(REDIS, "memory", "warning", text)
    room = limit * MEMORY_MARK - used
    about = f"{size(used)} of maxmemory {size(limit)} used ({used / limit:.0%})"
    if room <= 0:
        text = (
            f"{about}: calls raise QueueFullError from {MEMORY_MARK:.0%} on. "
            "Raise maxmemory, or let workers drain the queue"
        )
        return Finding(REDIS, "memory", "wrong", text)
    text = (
        f"{about}; room for about {_rounded(room / JOB_BYTES):,} small jobs "
        "before calls raise QueueFullError"
    )
    return Finding(REDIS, "memory", "ok", text)


def _rounded(number: float) -> int:
    digits = max(0, len(str(int(number))) - 2)
    return int(round(number, -digits))


def _clock(area: str, server_time: float, consequence: str) -> Iterator[Finding]:
    skew = server_time - time.time()
    if abs(skew) > MAX_SKEW_S:
        ahead = "ahead of" if skew > 0 else "behind"
        text = (
            f"the clock of {area} is {duration(abs(skew))} {ahead} this machine's: {consequence}; "
            "set both by NTP"
        )
        yield Finding(area, "clock", "warning", text)


def _queue(client: redis.Redis, settings: Settings) -> Iterator[Finding]:
    # Everything else uses scripts: this finds out whether the user may run them.
    client.eval("return redis.call('EXISTS', ARGV[1])", 0, CONFIG)
    try:
        config = check_queue(client, settings.shards)
    except QueueConfigError as problem:
        yield Finding(REDIS, "queue", "wrong", str(problem))
        return
    yield from _failed_calls(client)
    jobs = jobs_queued(client, config.shards)
    text = f"{count(config.shards, 'shard')}, format {config.format}; {count(jobs, 'job')} in it"
    yield Finding(REDIS, "queue", "ok", text)
    if jobs >= settings.max_queue_length:
        text = (
            f"full: {jobs:,} jobs; TRACKRELAY_MAX_QUEUE_LENGTH is "
            f"{settings.max_queue_length:,}; calls raise QueueFullError"
        )
        yield Finding(REDIS, "room", "wrong", text)


def _failed_calls(client: redis.Redis) -> Iterator[Finding]:
    failed = failed_calls.read(client, time.time())
    if calls := failed.refused:
        text = (
            f"{failed.count('refused'):,} in the last 24 hours, which Customer.io would refuse: "
            f"{failed_calls.describe(calls)}"
        )
        yield Finding(REDIS, "refused calls", "warning", text)
    if calls := failed.unavailable:
        text = (
            f"{failed.count('unavailable'):,} in the last 24 hours; their jobs are only in the "
            f"applications' logs: {failed_calls.describe(calls)}"
        )
        yield Finding(REDIS, "calls only logged", "warning", text)


def postgres_findings(engine: sa.Engine, settings: Settings, queue: QueueLook) -> Iterator[Finding]:
    """Yield findings about Postgres, and about its agreement with ``queue``."""
    url = settings.database_url.get_secret_value()
    try:
        with engine.connect() as connection:
            about = server(connection)
            text = f"PostgreSQL {about.version} at {place(url)}"
            yield Finding(POSTGRES, "reached", "ok", text)
            yield from _server(about)
            if found := replication_checks.postgres_replication(standbys(connection)):
                yield found
            yield from _tables(connection, queue)
    except SQLAlchemyError as error:
        yield Finding(POSTGRES, "reached", "wrong", explain(error, database_url=url) or str(error))


def _server(about: Server) -> Iterator[Finding]:
    if about.read_only:
        text = "it is read-only (a standby?): TRACKRELAY_DATABASE_URL must name the primary"
        yield Finding(POSTGRES, "writable", "wrong", text)
    yield from _clock(POSTGRES, about.now, "retries happen at wrong times")


def _tables(connection: sa.Connection, queue: QueueLook) -> Iterator[Finding]:
    if problem := schema.problem(connection):
        yield Finding(POSTGRES, "tables", "wrong", problem)
        return
    text = f"revision {schema.current(connection)}, which this version needs"
    yield Finding(POSTGRES, "tables", "ok", text)
    if missing := missing_privileges(connection, sorted(METADATA.tables)):
        text = (
            "the user in TRACKRELAY_DATABASE_URL may not read and write "
            f"{listed(missing)}: grant it that"
        )
        yield Finding(POSTGRES, "privileges", "wrong", text)
    if problem := ledger_partitions.problem(connection):
        yield Finding(POSTGRES, "ledger", "warning", f"{problem}. Nothing is lost meanwhile")
    for incident in incident_log.unacknowledged(connection):
        text = f"{describe(incident)}. `{ACKNOWLEDGE} {incident.id}` acknowledges it"
        yield Finding(POSTGRES, "lost jobs", "wrong", text)
    record = queue_record.read(connection)
    if not record.shards:
        text = "the database knows no shards: run `trackrelay migrate`"
        yield Finding(POSTGRES, "shards", "wrong", text)
    elif queue.config and (problem := difference(queue.config, record, queue.moving)):
        yield Finding(POSTGRES, "queue", "wrong", problem)


def outbox_findings(
    outbox: Outbox, queue: QueueLook, has_relay: Callable[[str], bool]
) -> Iterator[Finding]:
    """Yield findings about the outbox.

    Args:
        outbox: the application's outbox.
        queue: the queue in Redis.
        has_relay: whether a relay holds the lease with this key, or that is not known.
    """
    try:
        waiting = outbox.waiting(queue.config.generation if queue.config else None)
    except TrackRelayError as error:
        yield Finding(OUTBOX, "reached", "wrong", str(error))
        return
    yield Finding(OUTBOX, "reached", "ok", f"trackrelay_outbox at {outbox.place}")
    yield _relayed(waiting, has_relay(outbox.lease))


def _relayed(waiting: OutboxJobs, has_relay: bool) -> Finding:
    if waiting.oldest is None:
        return Finding(OUTBOX, "relayed", "ok", "no job waits to be relayed")
    age = time.time() - waiting.oldest
    text = f"{jobs_wait(waiting.jobs)} to be relayed"
    if age > UNRELAYED_S and not has_relay:
        text = f"{text}, the first for {duration(age)}, and {NO_RELAY}"
        return Finding(OUTBOX, "relayed", "wrong", text)
    if age <= LATE_S:
        return Finding(OUTBOX, "relayed", "ok", text)
    text = (
        f"{text}, the first for {duration(age)}, although a relay runs: its log names the cause "
        '(look for "relay_interrupted")'
    )
    return Finding(OUTBOX, "relayed", "warning", text)
