"""Keep Redis and Postgres agreed on the queue: its shards, its format and its generation.

A worker compares them when it starts, then at each tick; so do the relay, when the generation has
changed, and ``trackrelay migrate``. While the streams are empty, a difference is repaired from
Postgres. Otherwise delivery stops until somebody decides: a wrong number of shards breaks the order
of jobs, and a wrong Redis holds the jobs of another environment.

After Redis has lost everything (a FLUSHALL, or an empty replacement), the queue is set up again.
Jobs that were in a stream and in no outbox are lost, and an incident records them. Postgres records
the new generation before Redis does, so a crash in between does not look like another queue.
"""

from __future__ import annotations

import redis
import sqlalchemy as sa
import structlog

from trackrelay.operations.ids import new_id
from trackrelay.queue.job import FORMAT_VERSION
from trackrelay.queue.lua_files import lua_script
from trackrelay.queue.redis_keys import CONFIG, MOVING, PREFIX
from trackrelay.worker.delivery.rate_limiter import GRACE_S
from trackrelay.worker.storage import incident_log, queue_record
from trackrelay.worker.storage.incident_log import Kind
from trackrelay.worker.storage.queue_record import QueueRecord

from . import queue_config
from .queue_config import Moving, QueueConfig, QueueConfigError, end_moving, set_moving

log = structlog.get_logger("trackrelay.worker")

DIFFERS = Moving.DIFFERS
#: Delivery resumes after this time if no worker compares the stores any more.
DIFFERS_MS = 15_000
#: Most comparisons while another process changes both stores.
MAX_READS = 4
#: The command that makes the queue in Redis the one that belongs to the database.
ADOPT = "trackrelay migrate --adopt"

_REPAIR = lua_script(__package__, "repair_config")
_RECREATE = lua_script(__package__, "recreate_config")
_REPLACE_GENERATION = lua_script(__package__, "replace_generation")


class StoresDifferError(QueueConfigError):
    """Redis and Postgres know different queues. The message names the command that repairs it."""


def agree(client: redis.Redis, engine: sa.Engine, request_timeout_s: float) -> QueueConfig | None:
    """Compare the stores, repair what is safe to repair, and return the queue's configuration.

    Args:
        request_timeout_s: how long a request of a shard's holder may take.

    Returns:
        None if there is no queue.

    Raises:
        StoresDifferError: nothing may be delivered until somebody decides.
    """
    problem: str | None = None
    for _ in range(MAX_READS):
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
            _record(engine, config, record)
            return config
        # Another process may have changed both stores between the two reads. Then compare again.
        if _read(client) == (config, moving):
            _repair(client, engine, config, record, request_timeout_s)
    if problem:
        raise StoresDifferError(problem)
    return config


def difference(config: QueueConfig, record: QueueRecord, moving: str = "") -> str | None:
    """Say in one sentence how the queue in Redis differs from the one in Postgres.

    Args:
        moving: the state of a change of the number of shards.

    Returns:
        None if there is no difference.
    """
    if not record.shards or moving in (Moving.DRAIN, Moving.CLOSED, Moving.LAYOUT):
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
    differences = [
        f"the queue in Redis has {ours}, Postgres knows {theirs}"
        for ours, theirs, differs in pairs
        if differs
    ]
    if not differences:
        return None
    return (
        f"{'; '.join(differences)}: nothing is delivered. If this Redis and this database belong "
        f"together, run `{ADOPT}`; else correct TRACKRELAY_REDIS_URL or TRACKRELAY_DATABASE_URL"
    )


def stop_delivery(client: redis.Redis) -> None:
    """Let no worker take a shard for a few seconds, because the stores differ."""
    set_moving(client, Moving.DIFFERS, DIFFERS_MS, Moving.NO, Moving.DIFFERS)


def resume_delivery(client: redis.Redis) -> None:
    """Let workers take shards again, if they were stopped because the stores differed."""
    if end_moving(client, Moving.DIFFERS):
        log.info("stores_agree_again")


def recover(client: redis.Redis, engine: sa.Engine, request_timeout_s: float) -> QueueConfig | None:
    """Set the queue up under a new generation if Redis has lost it, and return its configuration.

    If Postgres knows no shards, the queue was never set up, and only ``trackrelay migrate`` does
    that.
    """
    with engine.begin() as connection:
        record = queue_record.lock(connection)
        if not record.shards or queue_config.read(client) is not None:
            return queue_config.read(client)
        settling_s = request_timeout_s + GRACE_S if record.held else 0.0
        generation = record.generation if record.pending else new_id()
        if not record.pending:
            incident_log.open_incident(connection, Kind.WIPED, record.generation, settling_s)
            queue_record.write(connection, generation, FORMAT_VERSION, pending=True)
    settling_ms = max(1, int(settling_s * 1000))
    if client.eval(
        _RECREATE, 1, CONFIG, PREFIX, generation, FORMAT_VERSION, record.shards, settling_ms
    ):
        log.error(
            "queue_lost",
            message="Redis has lost the queue. It was set up again, and the outbox relays what it "
            "still has. `trackrelay status` says how many jobs were lost",
            shards=record.shards,
            delivery_resumes_in_s=settling_s,
        )
    with engine.begin() as connection:
        queue_record.confirm(connection, generation)
    return queue_config.read(client)


def replace_generation(client: redis.Redis, engine: sa.Engine, lost: str) -> None:
    """Replace the generation ``lost``, whose latest entries Redis has lost.

    Each relay then sends again what may not have arrived.
    """
    with engine.begin() as connection:
        record = queue_record.lock(connection)
        generation = record.generation
        if record.generation in ("", lost):
            generation = new_id()
            incident_log.open_incident(connection, Kind.ROLLED_BACK, lost, 0.0)
            queue_record.write(connection, generation, FORMAT_VERSION, pending=True)
    client.eval(_REPLACE_GENERATION, 1, CONFIG, lost, generation)
    with engine.begin() as connection:
        queue_record.confirm(connection, generation)


def _read(client: redis.Redis) -> tuple[QueueConfig | None, str]:
    state = queue_config.moving(client)
    return queue_config.read(client), state


def _record(engine: sa.Engine, config: QueueConfig, record: QueueRecord) -> None:
    if record.generation and not record.pending:
        return
    with engine.begin() as connection:
        latest = queue_record.lock(connection)
        if latest.generation in ("", config.generation):
            queue_record.write(connection, config.generation, config.format)


def _repair(
    client: redis.Redis,
    engine: sa.Engine,
    config: QueueConfig,
    record: QueueRecord,
    request_timeout_s: float,
) -> None:
    version = record.format or config.format
    if (config.shards, config.format) == (record.shards, version) and record.pending:
        # A process that replaced the generation crashed before it wrote the new one to Redis.
        client.eval(_REPLACE_GENERATION, 1, CONFIG, config.generation, record.generation)
        return
    if version > FORMAT_VERSION:
        return
    before = (config.generation, config.shards)
    after = (record.shards, version)
    if not client.eval(_REPAIR, 2, CONFIG, MOVING, PREFIX, *before, *after, Moving.DIFFERS):
        return
    log.error("queue_config_repaired", shards=record.shards)
    with engine.begin() as connection:
        latest = queue_record.lock(connection)
        if latest == record and record.generation not in ("", config.generation):
            settling_s = request_timeout_s + GRACE_S if record.held else 0.0
            incident_log.open_incident(connection, Kind.REPLACED, record.generation, settling_s)
            queue_record.write(connection, config.generation, version)
