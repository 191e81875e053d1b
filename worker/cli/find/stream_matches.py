"""Looking through the streams. They have no index, so how far to look is bounded, and said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import redis

from trackrelay.operations.keys import shard_of
from trackrelay.queue.job import Job
from trackrelay.queue.redis_keys import LANES, Lane, stream
from trackrelay.worker.delivery.lua_scripts import GROUP
from trackrelay.worker.queue import queue_config
from trackrelay.worker.storage.key_hasher import KeyHasher
from trackrelay.worker.storage.queries.job_search import Trace

from .matches import Matcher
from .query import Asked

#: Entries read in one go.
CHUNK = 1_000


@dataclass(slots=True)
class Scan:
    """What was found, and how much was looked at."""

    found: list[Trace] = field(default_factory=list)
    looked_at: int = 0
    entries: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether every entry was looked at."""
        return self.looked_at >= self.entries


def scan(client: redis.Redis, asked: Asked, hasher: KeyHasher | None, most: int) -> Scan:
    """Look through the streams in which it can be, at ``most`` entries of them (0: all), the oldest first."""
    config = queue_config.read(client)
    shards = range(config.shards if config else 0)
    if asked.key is not None and not asked.is_hashed and shards:
        shards = range(shard_of(asked.key, len(shards)), shard_of(asked.key, len(shards)) + 1)
    result, matcher = Scan(), Matcher(asked, hasher)
    # The shortest first: what a stream leaves of its part is the others'.
    places = sorted(
        (int(client.xlen(stream(shard, lane))), shard, lane) for lane in LANES for shard in shards
    )
    result.entries = sum(length for length, _, _ in places)
    left = most or result.entries
    for index, (length, shard, lane) in enumerate(places):
        part = min(length, left // (len(places) - index))
        _scan_stream(client, matcher, shard, lane, part, result)
        left -= part
    return result


def _scan_stream(
    client: redis.Redis, matcher: Matcher, shard: int, lane: Lane, most: int, result: Scan
) -> None:
    name, ahead, looked_at = stream(shard, lane), 0, 0
    for entry_id, fields in _entries(client, name, most):
        for before, job in matcher.jobs(fields.get(b"j", b"")):
            result.found.append(_trace(client, job, matcher, shard, lane, entry_id, ahead + before))
        held = fields.get(b"n", b"1")
        ahead += int(held) if held.isdigit() else 1
        looked_at += 1
    result.looked_at += looked_at


def _entries(
    client: redis.Redis, name: str, most: int
) -> Iterator[tuple[bytes, dict[bytes, bytes]]]:
    after = "-"
    while most > 0:
        chunk: Any = client.xrange(name, min=after, count=min(CHUNK, most))
        if not chunk:
            return
        yield from chunk
        most -= len(chunk)
        after = f"({chunk[-1][0].decode()}"


def _trace(
    client: redis.Redis,
    job: Job,
    matcher: Matcher,
    shard: int,
    lane: Lane,
    entry_id: bytes,
    ahead: int,
) -> Trace:
    return Trace(
        place="stream",
        id=job.id,
        operation=job.operation,
        keys=matcher.stored(job),
        enqueued_at=job.accepted_ms / 1000
        if job.accepted_ms
        else int(entry_id.partition(b"-")[0]) / 1000,
        source=job.source,
        idempotency_key=job.idempotency_key,
        shard=shard,
        lane=lane,
        ahead=ahead,
        deliveries=_deliveries(client, stream(shard, lane), entry_id),
    )


def _deliveries(client: redis.Redis, name: str, entry_id: bytes) -> int:
    try:
        pending: Any = client.xpending_range(name, GROUP, entry_id, entry_id, 1)
    except redis.ResponseError:
        return 0  # no worker has made the group yet
    return int(pending[0]["times_delivered"]) if pending else 0
