"""Redis: reached, recent enough, set so that no job can get lost in it, and the queue in it set up. Asks only INFO and
what a managed Redis allows."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import redis as client_library
from redis.exceptions import RedisError

from trackrelay.configuration.server_urls import place
from trackrelay.queue.append import MEMORY_MARK
from trackrelay.queue.redis_keys import CONFIG
from trackrelay.worker.cli.common.command_errors import explain
from trackrelay.worker.cli.common.humanize import count, duration, size
from trackrelay.worker.cli.status import failed_calls
from trackrelay.worker.queue.queue_config import QueueConfigError, check_queue
from trackrelay.worker.queue.queue_length import jobs_queued
from trackrelay.worker.settings import Settings

from .finding import Finding

AREA = "Redis"
#: Streams, scripts that read the clock, LPOS and the like: all there from here on.
OLDEST = (6, 2)
#: Clocks that differ by more than this make ages wrong enough to notice, seconds.
CLOCK_S = 30
#: Memory one job of 400 bytes takes in a stream, about.
JOB_BYTES = 700


def findings(client: client_library.Redis, settings: Settings) -> Iterator[Finding]:
    """Everything about Redis; ends with the first thing that makes looking further pointless."""
    url = settings.redis_url.get_secret_value()
    try:
        info: dict[str, Any] = client.info()
        server, seconds = client.time()
        skew = server + seconds / 1e6 - time.time()
    except RedisError as error:
        yield Finding(AREA, "reached", "wrong", explain(error, redis_url=url) or str(error))
        return
    yield Finding(AREA, "reached", "ok", f"{_name(info)} at {place(url)}")
    yield from _kind(info)
    yield from (_eviction(info), _persistence(info), _memory(info))
    if abs(skew) > CLOCK_S:
        ahead = "ahead of" if skew > 0 else "behind"
        text = f"Redis' clock is {duration(abs(skew))} {ahead} this machine's: ages are wrong; set both by NTP"
        yield Finding(AREA, "clock", "warning", text)
    try:
        yield from _queue(client, settings)
    except RedisError as error:
        yield Finding(AREA, "queue", "wrong", explain(error, redis_url=url) or str(error))


def _name(info: dict[str, Any]) -> str:
    if "valkey_version" in info:
        return f"Valkey {info['valkey_version']}"
    return f"Redis {info.get('redis_version', 'of unknown version')}"


def _kind(info: dict[str, Any]) -> Iterator[Finding]:
    version = tuple(
        int(part) for part in re.findall(r"\d+", str(info.get("redis_version", "")))[:2]
    )
    if "valkey_version" not in info and version < OLDEST:
        yield Finding(
            AREA,
            "version",
            "wrong",
            f"{_name(info)} is too old: it takes Redis 6.2 or later, or Valkey",
        )
    if info.get("cluster_enabled") == 1 or info.get("redis_mode") == "cluster":
        text = "Redis Cluster is not supported: name a single Redis (it may have replicas) in TRACKRELAY_REDIS_URL"
        yield Finding(AREA, "cluster", "wrong", text)
    if info.get("role") in ("slave", "replica"):
        text = (
            "this is a replica, which takes no writes: TRACKRELAY_REDIS_URL must name the primary"
        )
        yield Finding(AREA, "role", "wrong", text)


def _eviction(info: dict[str, Any]) -> Finding:
    policy = str(info.get("maxmemory_policy", "unknown"))
    if policy == "noeviction":
        return Finding(
            AREA,
            "eviction",
            "ok",
            "noeviction: when memory is full, callers are told, and nothing is lost",
        )
    if policy.startswith("volatile"):
        text = (
            f"{policy}: when memory is full Redis takes the leases of workers; no job is lost, but work is done twice. "
            "Set maxmemory-policy noeviction"
        )
        return Finding(AREA, "eviction", "warning", text)
    text = f"{policy}: when memory is full Redis throws away queued jobs without a word. Set maxmemory-policy noeviction"
    return Finding(AREA, "eviction", "wrong", text)


def _persistence(info: dict[str, Any]) -> Finding:
    if info.get("aof_enabled") == 1 and info.get("aof_last_write_status", "ok") != "ok":
        text = "the last write to the append-only file failed (is the disk full?): a restart would lose jobs"
        return Finding(AREA, "persistence", "wrong", text)
    if info.get("aof_enabled") == 1:
        text = "append-only file on: a crash loses at most what its appendfsync allows (everysec: the last second)"
        return Finding(AREA, "persistence", "ok", text)
    replicas = int(info.get("connected_slaves", 0))
    kept = f"; {count(replicas, 'replica')} may take over" if replicas else ""
    text = (
        f"no append-only file: a crash of Redis loses the jobs that are in it at that moment{kept}. Set appendonly yes, or, "
        "where each job counts, use the outbox"
    )
    return Finding(AREA, "persistence", "warning", text)


def _memory(info: dict[str, Any]) -> Finding:
    used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if not limit:
        text = (
            f"{size(used)} used, and no maxmemory: a long outage can fill the machine, which then kills Redis. Set maxmemory, "
            f"so that callers get QueueFullError at {MEMORY_MARK:.0%} of it instead"
        )
        return Finding(AREA, "memory", "warning", text)
    room = limit * MEMORY_MARK - used
    about = f"{size(used)} of maxmemory {size(limit)} used ({used / limit:.0%})"
    if room <= 0:
        text = f"{about}: callers get QueueFullError from {MEMORY_MARK:.0%} on. Give Redis more, or let workers drain the queue"
        return Finding(AREA, "memory", "wrong", text)
    text = f"{about}; room for about {_rounded(room / JOB_BYTES):,} small jobs before callers get QueueFullError"
    return Finding(AREA, "memory", "ok", text)


def _rounded(number: float) -> int:
    digits = max(0, len(str(int(number))) - 2)
    return int(round(number, -digits))


def _calls(client: client_library.Redis) -> Iterator[Finding]:
    failed = failed_calls.read(client, time.time())
    if calls := failed.refused:
        text = f"{failed.count('refused'):,} in the last 24 hours, which Customer.io would not take: {failed_calls.named(calls)}"
        yield Finding(AREA, "refused calls", "warning", text)
    if calls := failed.unavailable:
        text = (
            f"{failed.count('unavailable'):,} in the last 24 hours, whose jobs are nowhere but in the applications' logs: "
            f"{failed_calls.named(calls)}"
        )
        yield Finding(AREA, "calls only logged", "warning", text)


def _queue(client: client_library.Redis, settings: Settings) -> Iterator[Finding]:
    # Everything of ours goes by scripts: a user who may not run them is found out here.
    client.eval("return redis.call('EXISTS', ARGV[1])", 0, CONFIG)
    try:
        config = check_queue(client, settings.shards)
    except QueueConfigError as problem:
        yield Finding(AREA, "queue", "wrong", str(problem))
        return
    yield from _calls(client)
    jobs = jobs_queued(client, config.shards)
    yield Finding(
        AREA,
        "queue",
        "ok",
        f"{count(config.shards, 'shard')}, format {config.format}; {count(jobs, 'job')} in it",
    )
    if jobs >= settings.max_queue_length:
        text = f"full: {jobs:,} jobs; TRACKRELAY_MAX_QUEUE_LENGTH is {settings.max_queue_length:,}; callers get QueueFullError"
        yield Finding(AREA, "room", "wrong", text)
