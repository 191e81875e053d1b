"""Sample how many jobs wait and for how long, once a minute, for the charts."""

from __future__ import annotations

import time
from typing import Any

import redis
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from trackrelay.queue.redis_keys import LANES, PREFIX, stream
from trackrelay.worker.queue import queue_config, queue_length
from trackrelay.worker.resources import Resources
from trackrelay.worker.storage import counters
from trackrelay.worker.storage.counts import Name
from trackrelay.worker.storage.queries import backlog_overview

#: Exists once the sample of a minute is taken, whoever takes it.
SAMPLED_KEY = PREFIX + "sampled:"
#: The tick waits for the sample. A backlog that takes longer to count has no sample.
TIMEOUT_MS = 2_000
#: The SQLSTATE of a statement that took too long.
_CANCELLED = "57014"


def sample_waiting(resources: Resources) -> bool:
    """Write down what waits in queue and backlog. Return False if this minute has its sample."""
    client = resources.redis
    minute = f"{SAMPLED_KEY}{int(time.time() // 60)}"
    if not client.set(minute, 1, nx=True, ex=120):
        return False
    config = queue_config.read(client)
    shards = config.shards if config else 0
    jobs = queue_length.jobs_queued(client, shards)
    now, oldest = _oldest_queued(client, shards)
    try:
        with resources.engine.begin() as connection:
            connection.execute(sa.text(f"SET LOCAL statement_timeout = {TIMEOUT_MS}"))
            in_backlog, first = backlog_overview.waiting(connection)
            since = oldest if first is None else min(oldest, first)
            counters.add_sample(connection, Name.WAITING, jobs + in_backlog, max(0.0, now - since))
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", "") != _CANCELLED:
            raise
    return True


def _oldest_queued(client: redis.Redis, shards: int) -> tuple[float, float]:
    """Return Redis' time, and when the oldest entry was enqueued: now, if there is none."""
    with client.pipeline(transaction=False) as pipeline:
        pipeline.time()
        for shard in range(shards):
            for lane in LANES:
                pipeline.xrange(stream(shard, lane), count=1)
        answers: Any = pipeline.execute()
    (seconds, microseconds), *firsts = answers
    now = seconds + microseconds / 1e6
    entered = [int(first[0][0].partition(b"-")[0]) / 1000 for first in firsts if first]
    return now, min((now, *entered))
