"""Remove from Redis what killed processes left there.

Most keys expire. Two kinds do not, because they are written all the time. One is the table in which
Celery notes the queue of each worker that ever listened to a broadcast. The other one counts how
often backlog jobs were delivered: a job's count goes only when its holder settles the job.
"""

from __future__ import annotations

from typing import Any

import redis
import sqlalchemy as sa

from trackrelay.queue.redis_keys import CELERY_PREFIX, LANES, handed_out
from trackrelay.worker.queue import queue_config
from trackrelay.worker.storage import backlog

#: Celery removes a worker's own entry when the worker stops. Broadcasts do not read these tables:
#: they go by publish and subscribe.
BROADCAST_TABLES = tuple(
    f"{CELERY_PREFIX}_kombu.binding.{name}"
    for name in ("trackrelay.pidbox.pidbox", "trackrelay.celeryev")
)
#: Entries with which such a table is deleted.
MAX_ENTRIES = 1_000
_CHUNK = 500


def remove_leftovers(client: redis.Redis, engine: sa.Engine) -> int:
    """Remove them; return how many entries."""
    return _clear_broadcast_tables(client) + _forget_counts(client, engine)


def _clear_broadcast_tables(client: redis.Redis) -> int:
    removed = 0
    for table in BROADCAST_TABLES:
        entries: Any = client.scard(table)
        if entries > MAX_ENTRIES:
            client.delete(table)
            removed += entries
    return removed


def _forget_counts(client: redis.Redis, engine: sa.Engine) -> int:
    config = queue_config.read(client)
    removed: Any = 0
    for shard in range(config.shards if config else 0):
        for lane in LANES:
            counts = handed_out(shard, lane)
            jobs = [name.decode() for name, _ in client.hscan_iter(counts)]
            for first in range(0, len(jobs), _CHUNK):
                chunk = jobs[first : first + _CHUNK]
                with engine.connect() as connection:
                    gone = set(chunk) - backlog.among(connection, chunk)
                if gone:
                    removed += client.hdel(counts, *gone)
    return int(removed)
