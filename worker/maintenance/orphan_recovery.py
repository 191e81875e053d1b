"""Looks, now and then, for rows of the backlog that nobody will ever send, and lets what waits behind them go on."""

from __future__ import annotations

import structlog

from trackrelay.queue.redis_keys import PREFIX, stream
from trackrelay.worker.resources import Resources
from trackrelay.worker.storage import orphaned_rows
from trackrelay.worker.storage.orphaned_rows import Stuck

log = structlog.get_logger("trackrelay.worker")

#: How often the fleet looks.
EVERY_S = 30
_LOOKED_KEY = PREFIX + "orphans"


def recover_orphans(resources: Resources) -> None:
    """Take out what is settled already; what lost its other part is sent without it."""
    if not resources.redis.set(_LOOKED_KEY, 1, nx=True, ex=EVERY_S):
        return
    with resources.engine.connect() as connection:
        found = orphaned_rows.stuck(connection)
    halves = [
        job for job in found if not job.settled and job.missing and _have_passed(resources, job)
    ]
    # Of a repeat, one shard knew the dead letter and dropped it; when the other one read it, somebody had discarded the letter.
    settled = [job for job in found if job.settled] + [
        job for job in halves if job.state == "discarded"
    ]
    alone = [job for job in halves if job.state != "discarded"]
    with resources.engine.begin() as connection:
        taken_out = orphaned_rows.take_out(connection, settled, resources.rules.merge_delay_s)
    with resources.engine.begin() as connection:
        sent_alone = orphaned_rows.send_alone(connection, alone)
    for job_id in taken_out:
        log.info("left-over part of a job taken out", job=job_id)
    for job_id in sent_alone:
        log.warning("a job is sent without its other part", job=job_id)


def _have_passed(resources: Resources, job: Stuck) -> bool:
    # Acknowledged entries are deleted: when the first one left is later, the missing part was read.
    with resources.redis.pipeline(transaction=False) as heads:
        for shard in job.missing:
            heads.xrange(stream(shard, job.lane), count=1)
        return all(
            not first or int(first[0][0].partition(b"-")[0]) > int(job.entered_at * 1000)
            for first in heads.execute()
        )
