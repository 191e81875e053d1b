"""How many jobs the streams hold. An entry of the bulk lane may hold several jobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import redis

from trackrelay.queue.redis_keys import LANES, Lane, more, stream
from trackrelay.worker.delivery.lua_scripts import GROUP
from trackrelay.worker.storage.incident_log import Streams


@dataclass(frozen=True, slots=True)
class QueueContent:
    """What the queue holds at one moment."""

    streams: Streams
    #: The shards with an entry in a stream.
    busy: frozenset[int]


def request_length(pipeline: Any, shard: int, lane: Lane) -> None:
    """Add the two commands whose replies :func:`length` takes."""
    pipeline.xlen(stream(shard, lane))
    pipeline.get(more(shard, lane))


def length(entries: Any, more_jobs: Any) -> int:
    """Return the number of jobs in a stream.

    Args:
        entries: how many entries it has. An empty stream holds no job, whatever was counted.
        more_jobs: how many jobs were counted beyond one for each entry.
    """
    return max(entries, entries + int(more_jobs or 0)) if entries else 0


def lengths(client: redis.Redis, shards: int) -> dict[tuple[int, Lane], int]:
    """Return the number of jobs in each stream of ``shards`` shards, read or not."""
    lanes = _lanes(shards)
    with client.pipeline(transaction=False) as pipeline:
        for shard, lane in lanes:
            request_length(pipeline, shard, lane)
        replies = pipeline.execute()
    return {each: length(*replies[2 * index : 2 * index + 2]) for index, each in enumerate(lanes)}


def jobs_queued(client: redis.Redis, shards: int) -> int:
    """Return the number of jobs in all streams."""
    return sum(lengths(client, shards).values())


def queue_content(client: redis.Redis, shards: int) -> QueueContent:
    """Return what the streams of ``shards`` shards hold, all at one moment."""
    lanes = _lanes(shards)
    with client.pipeline(transaction=True) as pipeline:
        for shard, lane in lanes:
            request_length(pipeline, shard, lane)
            pipeline.xpending(stream(shard, lane), GROUP)
        pipeline.time()
        # A stream that no worker has held yet has no group, and nothing in it is pending.
        *replies, (seconds, microseconds) = pipeline.execute(raise_on_error=False)
    jobs = pending = 0
    busy = set()
    for index, (shard, _) in enumerate(lanes):
        entries, more_jobs, summary = replies[3 * index : 3 * index + 3]
        if isinstance(entries, Exception):
            raise entries
        in_stream = length(entries, more_jobs)
        jobs += in_stream
        if entries:
            busy.add(shard)
        if in_stream and not isinstance(summary, Exception):
            # Redis counts pending entries. Their jobs are the same part of all jobs, rounded up.
            pending += -(-in_stream * int(summary["pending"]) // entries)
    return QueueContent(Streams(jobs, pending, seconds + microseconds / 1e6), frozenset(busy))


def _lanes(shards: int) -> list[tuple[int, Lane]]:
    return [(shard, lane) for shard in range(shards) for lane in LANES]
