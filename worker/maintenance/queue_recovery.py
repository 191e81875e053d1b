"""Set the queue up again after Redis lost everything (a FLUSHALL, or an empty replacement).

Jobs that were in a stream and in no outbox are lost, and an incident records them. The rest recovers
without help. Postgres records the new generation before Redis does, so a crash in between leaves
nothing that looks like another queue.
"""

from __future__ import annotations

import redis
import sqlalchemy as sa
import structlog

from trackrelay.operations.ids import new_id
from trackrelay.queue.job import FORMAT_VERSION
from trackrelay.queue.redis_keys import CONFIG, PREFIX
from trackrelay.worker.delivery.rate_limiter import GRACE_S
from trackrelay.worker.queue import queue_config
from trackrelay.worker.queue.queue_config import QueueConfig
from trackrelay.worker.settings import Settings
from trackrelay.worker.storage import incident_log, queue_record
from trackrelay.worker.storage.incident_log import Kind

log = structlog.get_logger("trackrelay.worker")

# A shard's holder may have a request on its way, and its lease went with everything else: until that request has
# ended one way or the other, nobody takes the shard. KEYS: config. ARGV: prefix, generation, format, shards, milliseconds
_SET_UP = """
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'generation', ARGV[2], 'format', ARGV[3], 'shards', ARGV[4])
for shard = 0, tonumber(ARGV[4]) - 1 do
  redis.call('SET', ARGV[1] .. shard .. ':lease', 'set up again', 'NX', 'PX', ARGV[5])
end
return 1
"""
# KEYS: config. ARGV: the generation that lost entries, another one
_REPLACE = """
if redis.call('HGET', KEYS[1], 'generation') == ARGV[1] then redis.call('HSET', KEYS[1], 'generation', ARGV[2]) end
"""


def recover_queue(
    client: redis.Redis, engine: sa.Engine, configured: Settings
) -> QueueConfig | None:
    """Set the queue up under a new generation if it is gone, and return what stands there now.

    Where Postgres knows of no shards, nothing was ever set up: that is left to ``trackrelay migrate``.
    """
    return recover(client, engine, configured.request_timeout.total_seconds())


def recover(client: redis.Redis, engine: sa.Engine, request_timeout_s: float) -> QueueConfig | None:
    """Do the same; a holder's request takes ``request_timeout_s`` at the most."""
    with engine.begin() as connection:
        record = queue_record.lock(connection)
        if not record.shards or queue_config.read(client) is not None:
            return queue_config.read(client)
        settling_s = request_timeout_s + GRACE_S if record.held else 0.0
        generation = record.generation if record.pending else new_id()
        if not record.pending:
            incident_log.open_incident(connection, Kind.WIPED, record.generation, settling_s)
            queue_record.write(connection, generation, FORMAT_VERSION, pending=True)
    quarantine_ms = max(1, int(settling_s * 1000))
    arguments: list[str | int] = [PREFIX, generation, FORMAT_VERSION, record.shards, quarantine_ms]
    if client.register_script(_SET_UP)(keys=[CONFIG], args=arguments):
        log.error(
            "Redis has lost the queue; it was set up again, and what an outbox still has is relayed again; "
            "`trackrelay status` says how many jobs were lost",
            shards=record.shards,
            delivery_resumes_in_s=settling_s,
        )
    with engine.begin() as connection:
        queue_record.confirm(connection, generation)
    return queue_config.read(client)


def replace_generation(client: redis.Redis, engine: sa.Engine, lost: str) -> None:
    """Give the queue another generation than ``lost``, whose latest entries Redis has lost.

    Every relay then goes back to what it cannot be sure of.
    """
    with engine.begin() as connection:
        record = queue_record.lock(connection)
        generation = record.generation
        if record.generation in ("", lost):
            generation = new_id()
            incident_log.open_incident(connection, Kind.ROLLED_BACK, lost, 0.0)
            queue_record.write(connection, generation, FORMAT_VERSION, pending=True)
    put_generation(client, lost, generation)
    with engine.begin() as connection:
        queue_record.confirm(connection, generation)


def put_generation(client: redis.Redis, lost: str, generation: str) -> None:
    """Write ``generation`` in Redis where ``lost`` stands."""
    client.eval(_REPLACE, 1, CONFIG, lost, generation)
