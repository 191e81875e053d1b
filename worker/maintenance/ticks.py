"""The tick: due retries and forgotten shards are found even without a wakeup, by beat or by any worker."""

from __future__ import annotations

import time
from functools import lru_cache

import sqlalchemy as sa
import structlog

from trackrelay.queue.redis_keys import LANES, PREFIX
from trackrelay.worker.delivery.shard_queue import wake_shard
from trackrelay.worker.endpoint_families import Family
from trackrelay.worker.queue import queue_length
from trackrelay.worker.queue.queue_agreement import (
    StoresDifferError,
    agree,
    resume_delivery,
    stop_delivery,
)
from trackrelay.worker.queue.queue_config import QueueConfig
from trackrelay.worker.resources import Resources
from trackrelay.worker.storage import due_jobs, incident_log, shards

log = structlog.get_logger("trackrelay.worker")

#: How often the fleet ticks, however many beats and workers do.
TICK_S = 1.0
TICK_KEY = PREFIX + "tick"


def wake_forgotten_shards(resources: Resources) -> list[int]:
    """Wake each shard with unread, pending or due jobs and no holder. Return the shards that were woken."""
    client = resources.redis
    if not client.set(TICK_KEY, int(time.time()), nx=True, px=int(TICK_S * 800)):
        return []
    config = _agreed(resources)
    if config is None:
        return []
    with resources.engine.begin() as connection:
        shards.record_heartbeat(connection)
        families = resources.breaker.read_states(may_probe=None).may_try
        to_try = (
            _with_something_due(connection, resources, config.shards, families)
            if families
            else set()
        )
        paused = shards.paused(connection)
        # What the streams hold is noted in the transaction that began before they were looked at.
        found = queue_length.look(client, config.shards)
        incident_log.note_streams(connection, config.generation, found.streams)
        incident_log.count_lost(connection)
    return [shard for shard in sorted((found.busy | to_try) - paused) if wake_shard(client, shard)]


def _agreed(resources: Resources) -> QueueConfig | None:
    try:
        config = agree(resources.redis, resources.engine, resources.settings)
    except StoresDifferError as differ:
        stop_delivery(resources.redis)
        _say_once(str(differ))
        return None
    resume_delivery(resources.redis)
    _say_once.cache_clear()
    return config


@lru_cache(maxsize=16)
def _say_once(message: str) -> None:
    log.error("delivery stopped", message=message)


def _with_something_due(
    connection: sa.Connection, resources: Resources, count: int, families: frozenset[Family]
) -> set[int]:
    began = time.monotonic()
    sweeps = {
        (shard, lane): resources.tick_cursors[shard, lane]
        for shard in range(count)
        for lane in LANES
    }
    starts = {place: sweep.start(began) for place, sweep in sweeps.items()}
    found = due_jobs.first_due(connection, starts, families)
    ended = time.monotonic()
    for place, seen in found.items():
        sweeps[place].looked(starts[place], seen, began, ended)
    return {shard for (shard, _), seen in found.items() if seen.lowest is not None}
