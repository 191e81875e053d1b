"""How many jobs the streams hold. An entry of the bulk lane may hold several, so an entry is not a job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import redis

from trackrelay.queue.redis_keys import LANES, Lane, more, stream
from trackrelay.worker.delivery.lua_scripts import GROUP
from trackrelay.worker.storage.incident_log import Streams


@dataclass(frozen=True, slots=True)
class QueueLook:
    """What the queue holds at one moment."""

    streams: Streams
    #: The shards with anything in a stream.
    busy: frozenset[int]


def ask(pipeline: Any, shard: int, lane: Lane) -> None:
    """Add the two questions whose answers :func:`length` takes."""
    pipeline.xlen(stream(shard, lane))
    pipeline.get(more(shard, lane))


def length(entries: Any, beyond: Any) -> int:
    """How many jobs there are in ``entries`` entries, by what is counted beyond them. An empty stream holds none."""
    return max(entries, entries + int(beyond or 0)) if entries else 0


def lengths(client: redis.Redis, shards: int) -> dict[tuple[int, Lane], int]:
    """The jobs in each stream of ``shards`` shards, read or not."""
    places = [(shard, lane) for shard in range(shards) for lane in LANES]
    with client.pipeline(transaction=False) as asked:
        for shard, lane in places:
            ask(asked, shard, lane)
        answers = asked.execute()
    return {
        place: length(*answers[2 * index : 2 * index + 2]) for index, place in enumerate(places)
    }


def jobs_queued(client: redis.Redis, shards: int) -> int:
    """The jobs in all of the streams."""
    return sum(lengths(client, shards).values())


def look(client: redis.Redis, shards: int) -> QueueLook:
    """What the streams of ``shards`` shards hold, all at one moment."""
    places = [(shard, lane) for shard in range(shards) for lane in LANES]
    with client.pipeline(transaction=True) as asked:
        for shard, lane in places:
            ask(asked, shard, lane)
            asked.xpending(stream(shard, lane), GROUP)
        asked.time()
        # A stream that no worker has held yet has no group, and nothing in it is pending.
        *answers, (seconds, microseconds) = asked.execute(raise_on_error=False)
    jobs = pending = 0
    busy = set()
    for index, (shard, _) in enumerate(places):
        entries, beyond, in_hand = answers[3 * index : 3 * index + 3]
        if isinstance(entries, Exception):
            raise entries
        held = length(entries, beyond)
        jobs += held
        if entries:
            busy.add(shard)
        if held and not isinstance(in_hand, Exception):
            # Known of the entries: of their jobs it is the like part, rounded up.
            pending += -(-held * int(in_hand["pending"]) // entries)
    return QueueLook(Streams(jobs, pending, seconds + microseconds / 1e6), frozenset(busy))
