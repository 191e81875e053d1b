"""Find work that no wakeup announces: due retries, forgotten shards, orphaned backlog rows.

A beat or any worker asks for a tick every second.
"""

from __future__ import annotations

import time
from functools import lru_cache

import sqlalchemy as sa
import structlog

from trackrelay.queue.redis_keys import LANES, PREFIX, stream
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
from trackrelay.worker.storage import due_jobs, incident_log, orphaned_rows, shards
from trackrelay.worker.storage.orphaned_rows import OrphanCandidate

log = structlog.get_logger("trackrelay.worker")

#: How often the fleet ticks, however many beats and workers ask for it.
TICK_S = 1.0
TICK_KEY = PREFIX + "tick"
#: How often the fleet searches for orphaned rows.
ORPHANS_S = 30
ORPHANS_KEY = PREFIX + "orphans"


def wake_forgotten_shards(resources: Resources) -> list[int]:
    """Wake each shard with unread, pending or due jobs and no holder, and return those shards."""
    client = resources.redis
    if not client.set(TICK_KEY, int(time.time()), nx=True, px=int(TICK_S * 800)):
        return []
    config = _agreed_config(resources)
    if config is None:
        return []
    with resources.engine.begin() as connection:
        shards.record_heartbeat(connection)
        families = resources.breaker.read_states(may_probe=None).may_try
        due = _shards_with_due_jobs(connection, resources, config.shards, families)
        paused = shards.paused(connection)
        # The transaction began before the streams were read, and settlements that it does not see
        # come after the note.
        content = queue_length.queue_content(client, config.shards)
        incident_log.note_streams(connection, config.generation, content.streams)
        incident_log.count_lost(connection)
    return [shard for shard in sorted((content.busy | due) - paused) if wake_shard(client, shard)]


def _agreed_config(resources: Resources) -> QueueConfig | None:
    request_timeout_s = resources.settings.request_timeout.total_seconds()
    try:
        config = agree(resources.redis, resources.engine, request_timeout_s)
    except StoresDifferError as differ:
        stop_delivery(resources.redis)
        _log_difference_once(str(differ))
        return None
    resume_delivery(resources.redis)
    _log_difference_once.cache_clear()
    return config


@lru_cache(maxsize=16)
def _log_difference_once(message: str) -> None:
    log.error("delivery_stopped", message=message)


def _shards_with_due_jobs(
    connection: sa.Connection, resources: Resources, count: int, families: frozenset[Family]
) -> set[int]:
    if not families:
        return set()
    began = time.monotonic()
    cursors = {
        (shard, lane): resources.tick_cursors[shard, lane]
        for shard in range(count)
        for lane in LANES
    }
    starts = {key: cursor.start(began) for key, cursor in cursors.items()}
    results = due_jobs.first_due(connection, starts, families)
    ended = time.monotonic()
    for key, result in results.items():
        cursors[key].advance(starts[key], result, began, ended)
    return {shard for (shard, _), result in results.items() if result.lowest is not None}


def recover_orphans(resources: Resources) -> None:
    """Remove backlog rows of settled jobs, and send jobs whose other row is lost without it."""
    if not resources.redis.set(ORPHANS_KEY, 1, nx=True, ex=ORPHANS_S):
        return
    with resources.engine.connect() as connection:
        candidates = orphaned_rows.find_candidates(connection)
    halves = [
        job
        for job in candidates
        if not job.is_settled and job.missing_shards and _is_read(resources, job)
    ]
    # One shard dropped a duplicate of an open dead letter. The letter was discarded before the
    # other shard read the duplicate.
    settled = [job for job in candidates if job.is_settled] + [
        job for job in halves if job.state == "discarded"
    ]
    unsettled = [job for job in halves if job.state != "discarded"]
    with resources.engine.begin() as connection:
        removed = orphaned_rows.remove_settled(connection, settled, resources.rules.merge_delay_s)
    with resources.engine.begin() as connection:
        sent = orphaned_rows.send_without_missing(connection, unsettled)
    for job_id in removed:
        log.info("orphaned_row_removed", job=job_id)
    for job_id in sent:
        log.warning("orphaned_job_sent", job=job_id)


def _is_read(resources: Resources, job: OrphanCandidate) -> bool:
    # Acknowledged entries are deleted. If the first remaining entry is later, the missing shards
    # have read theirs.
    with resources.redis.pipeline(transaction=False) as pipeline:
        for shard in job.missing_shards:
            pipeline.xrange(stream(shard, job.lane), count=1)
        return all(
            not first or int(first[0][0].partition(b"-")[0]) > int(job.entered_at * 1000)
            for first in pipeline.execute()
        )
