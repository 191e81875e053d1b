"""Both stores know the same queue: its shards, its format, its generation.

Compared when a worker starts, by every tick, by each relay that meets a generation it does not know, and by ``trackrelay
migrate``. A difference is mended from Postgres while the streams are empty. Otherwise nothing is delivered until somebody has
decided: the wrong number of shards breaks the order of jobs, and the wrong Redis holds somebody else's jobs.
"""

from __future__ import annotations

from typing import Any

import redis
import sqlalchemy as sa
import structlog

from trackrelay.queue.job import FORMAT_VERSION
from trackrelay.queue.redis_keys import CONFIG, MOVING, PREFIX
from trackrelay.worker.delivery.rate_limiter import GRACE_S
from trackrelay.worker.maintenance.queue_recovery import put_generation, recover
from trackrelay.worker.settings import Settings
from trackrelay.worker.storage import incident_log, queue_record
from trackrelay.worker.storage.incident_log import Kind
from trackrelay.worker.storage.queue_record import QueueRecord

from . import queue_config
from .queue_config import QueueConfig, QueueConfigError

log = structlog.get_logger("trackrelay.worker")

#: What stands in the key MOVING while the stores differ: workers take no shard, applications go on enqueueing.
DIFFERS = "differs"
#: It expires if nobody looks any more.
DIFFERS_MS = 15_000
#: How often two stores are read when something seems to be changing between the two reads.
READS = 4
#: The command that makes the queue in Redis the one that belongs to the database.
ADOPT = "trackrelay migrate --adopt"

# KEYS: moving. ARGV: what to set, milliseconds
_STOP = """
local moving = redis.call('GET', KEYS[1])
if not moving or moving == ARGV[1] then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
"""
# KEYS: moving. ARGV: what to delete
_GO_ON = (
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
)

# KEYS: config, moving. ARGV: prefix, generation and shards as they were read, shards and format as they should be, what stands
# in moving while the stores differ
_MEND = """
local config = redis.call('HMGET', KEYS[1], 'generation', 'shards')
if config[1] ~= ARGV[2] or config[2] ~= ARGV[3] then return 0 end
local moving = redis.call('GET', KEYS[2])
if moving and moving ~= ARGV[6] then return 0 end
for shard = 0, math.max(tonumber(ARGV[3]), tonumber(ARGV[4])) - 1 do
  local base = ARGV[1] .. shard
  if redis.call('EXISTS', base .. ':lease') == 1 then return 0 end
  if redis.call('XLEN', base .. ':live') + redis.call('XLEN', base .. ':bulk') > 0 then return 0 end
end
redis.call('HSET', KEYS[1], 'shards', ARGV[4], 'format', ARGV[5])
return 1
"""


class StoresDifferError(QueueConfigError):
    """Redis and Postgres know different queues; the message says which command mends that."""


def agree(client: redis.Redis, engine: sa.Engine, configured: Settings) -> QueueConfig | None:
    """Compare what the stores know, mend what is safe to mend, and return the queue's set-up; None: there is none.

    Raises:
        StoresDifferError: nothing may be delivered until somebody has decided.
    """
    return agree_within(client, engine, configured.request_timeout.total_seconds())


def agree_within(
    client: redis.Redis, engine: sa.Engine, request_timeout_s: float
) -> QueueConfig | None:
    """Do the same; a holder's request takes ``request_timeout_s`` at the most."""
    problem: str | None = None
    for _ in range(READS):
        config, moving = _read(client)
        with engine.connect() as connection:
            record = queue_record.read(connection)
        if not record.shards:
            return config
        if config is None:
            recover(client, engine, request_timeout_s)
            continue
        problem = difference(config, record, moving)
        if not problem:
            _note(engine, config, record)
            return config
        # Another process may have changed both stores between the two reads: then nothing is mended, and they are read again.
        if _read(client) == (config, moving):
            _mend(client, engine, config, record, request_timeout_s)
    if problem:
        raise StoresDifferError(problem)
    return config


def difference(config: QueueConfig, record: QueueRecord, moving: str = "") -> str | None:
    """Say in one sentence how the queue in Redis differs from the one in Postgres; None: it does not.

    Args:
        moving: how far a change of the number of shards has come.
    """
    if not record.shards or moving in ("drain", "closed", "layout"):
        return None
    pairs = [(f"{config.shards} shards", f"{record.shards}", config.shards != record.shards)]
    if record.generation:
        pairs += [
            (f"format {config.format}", f"{record.format}", config.format != record.format),
            (
                f"generation {config.generation}",
                record.generation,
                config.generation != record.generation,
            ),
        ]
    found = [
        f"the queue in Redis has {ours}, Postgres knows {theirs}"
        for ours, theirs, differs in pairs
        if differs
    ]
    if not found:
        return None
    return (
        f"{'; '.join(found)}: nothing is delivered. If this Redis and this database belong together, run `{ADOPT}`; else "
        "correct TRACKRELAY_REDIS_URL or TRACKRELAY_DATABASE_URL"
    )


def stop_delivery(client: redis.Redis) -> None:
    """Let no worker take a shard for a few seconds, because the stores differ."""
    client.eval(_STOP, 1, MOVING, DIFFERS, DIFFERS_MS)


def resume_delivery(client: redis.Redis) -> None:
    """Let workers take shards again, if they were stopped because the stores differed."""
    if client.eval(_GO_ON, 1, MOVING, DIFFERS):
        log.info("stores_agree_again")


def _read(client: redis.Redis) -> tuple[QueueConfig | None, str]:
    moving: Any = client.get(MOVING)
    return queue_config.read(client), (moving or b"").decode()


def _note(engine: sa.Engine, config: QueueConfig, record: QueueRecord) -> None:
    if record.generation and not record.pending:
        return
    with engine.begin() as connection:
        now = queue_record.lock(connection)
        if now.generation in ("", config.generation):
            queue_record.write(connection, config.generation, config.format)


def _mend(
    client: redis.Redis,
    engine: sa.Engine,
    config: QueueConfig,
    record: QueueRecord,
    request_timeout_s: float,
) -> None:
    version = record.format or config.format
    if (config.shards, config.format) == (record.shards, version) and record.pending:
        # Somebody who gave the queue another generation ended before he wrote it in Redis.
        put_generation(client, config.generation, record.generation)
        return
    if version > FORMAT_VERSION:
        return
    arguments: list[str | int] = [
        PREFIX,
        config.generation,
        config.shards,
        record.shards,
        version,
        DIFFERS,
    ]
    if not client.eval(_MEND, 2, CONFIG, MOVING, *arguments):
        return
    log.error(
        "Redis had another queue than Postgres, an empty one; it has what Postgres knows now",
        shards=record.shards,
    )
    with engine.begin() as connection:
        now = queue_record.lock(connection)
        if now == record and record.generation not in ("", config.generation):
            settling_s = request_timeout_s + GRACE_S if record.held else 0.0
            incident_log.open_incident(connection, Kind.REPLACED, record.generation, settling_s)
            queue_record.write(connection, config.generation, version)
