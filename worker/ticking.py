"""The tick: due retries and forgotten shards are found even when no bell was rung, by beat or by any worker."""

from __future__ import annotations

import time

import sqlalchemy as sa

from producers.redis_keys import LANES, PREFIX, stream

from . import queue_config
from .delivery.shard_queue import ring
from .endpoint_families import Family
from .queue_recovery import set_up_again
from .resources import Resources
from .store import due, shards

#: How often the fleet ticks, however many beats and workers do.
TICK_S = 1.0
TICK_KEY = PREFIX + "tick"


def ring_forgotten(resources: Resources) -> list[int]:
    """Ring each shard with unread, pending or due jobs and no holder; returns those that were rung."""
    client = resources.redis
    if not client.set(TICK_KEY, int(time.time()), nx=True, px=int(TICK_S * 800)):
        return []
    config = queue_config.read(client) or set_up_again(client, resources.engine, resources.settings)
    count = config.shards if config else 0
    with resources.engine.begin() as connection:
        shards.sign_of_life(connection)
        families = resources.breaker.standings(may_probe=None).may_try
        to_try = _with_something_due(connection, resources, count, families) if families else set()
        paused = shards.paused(connection)
    with client.pipeline(transaction=False) as lengths:
        for shard in range(count):
            for lane in LANES:
                lengths.xlen(stream(shard, lane))
        found = lengths.execute()
    busy = {shard for shard in range(count) if any(found[len(LANES) * shard : len(LANES) * (shard + 1)])}
    return [shard for shard in sorted((busy | to_try) - paused) if ring(client, shard)]


def _with_something_due(
    connection: sa.Connection, resources: Resources, count: int, families: frozenset[Family]
) -> set[int]:
    began = time.monotonic()
    sweeps = {(shard, lane): resources.tick_sweeps[shard, lane] for shard in range(count) for lane in LANES}
    starts = {place: sweep.start(began) for place, sweep in sweeps.items()}
    found = due.firsts(connection, starts, families)
    ended = time.monotonic()
    for place, seen in found.items():
        sweeps[place].looked(starts[place], seen, began, ended)
    return {shard for (shard, _), seen in found.items() if seen.lowest is not None}
