"""How many jobs the streams hold. An entry of the bulk lane may hold several, so an entry is not a job."""

from __future__ import annotations

from typing import Any

import redis

from producers.redis_keys import LANES, Lane, more, stream


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
    return {place: length(*answers[2 * index : 2 * index + 2]) for index, place in enumerate(places)}


def jobs_queued(client: redis.Redis, shards: int) -> int:
    """The jobs in all of the streams."""
    return sum(lengths(client, shards).values())
