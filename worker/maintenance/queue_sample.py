"""Sample how many jobs wait and for how long, once a minute, for the charts."""

from __future__ import annotations

import time
from typing import Any

import redis
import sqlalchemy as sa

from trackrelay.queue.redis_keys import LANES, PREFIX, stream
from trackrelay.worker.queue import queue_config, queue_length
from trackrelay.worker.resources import Resources
from trackrelay.worker.storage import counters
from trackrelay.worker.storage.counts import Name
from trackrelay.worker.storage.queries.backlog_overview import read_backlog

#: Exists once the sample of a minute is taken, whoever takes it.
SAMPLED_KEY = PREFIX + "sampled:"
#: A backlog that cannot be counted in this time is sampled in another minute.
TIMEOUT_MS = 5_000


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
    with resources.engine.begin() as connection:
        connection.execute(sa.text(f"SET LOCAL statement_timeout = {TIMEOUT_MS}"))
        backlog = read_backlog(connection)
        jobs += sum(each.jobs for each in backlog)
        first = min((oldest, *(each.oldest for each in backlog)))
        counters.add_sample(connection, Name.WAITING, jobs, max(0.0, now - first))
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
