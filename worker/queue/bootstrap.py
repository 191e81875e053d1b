"""``trackrelay migrate``: create or update the tables in Postgres and the queue in Redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import redis
import sqlalchemy as sa

from trackrelay.worker.storage import ledger_rotation, queue_record, schema
from trackrelay.worker.storage import shards as shards_table
from trackrelay.worker.storage.advisory_lock import advisory_lock
from trackrelay.worker.storage.ledger_partitions import LEDGER_RETENTION

from .queue_agreement import agree
from .queue_config import QueueConfig, QueueConfigError, check_queue, read, set_up

#: How long a migration waits for another one that is running.
WAIT_S = 60.0
#: How long a request may take, unless the caller knows the setting.
REQUEST_TIMEOUT_S = 10.0


def migrate(
    engine: sa.Engine,
    client: redis.Redis,
    shards: int | None,
    *,
    request_timeout_s: float = REQUEST_TIMEOUT_S,
    ledger_retention: timedelta = LEDGER_RETENTION,
) -> QueueConfig:
    """Bring Postgres and Redis to what this version needs. Safe to run again.

    If Postgres knows shards already, a Redis that has lost everything gets the same number.

    Raises:
        QueueConfigError: the setting names another number of shards, Redis and Postgres know
            different queues, or another migration does not end.
    """
    if read(client) is not None:
        check_queue(client, shards)
    with _only_migration(engine), engine.connect() as connection:
        schema.upgrade(connection)
        connection.commit()
        ledger_rotation.make_ahead(engine, ledger_retention)
        known = queue_record.read(connection).shards
        connection.commit()
        if known:
            _refuse_other_number(shards, known)
            agree(client, engine, request_timeout_s)
            config = check_queue(client, shards)
        else:
            config = set_up(client, shards)
        shards_table.set_up(connection, config.shards)
        if not known:
            queue_record.write(connection, config.generation, config.format)
        connection.commit()
    return config


def upgrade_tables(engine: sa.Engine) -> None:
    """Bring the tables in Postgres to what this version needs, and leave Redis alone."""
    with _only_migration(engine), engine.connect() as connection:
        schema.upgrade(connection)
        connection.commit()
        ledger_rotation.make_ahead(engine, LEDGER_RETENTION)


@contextmanager
def _only_migration(engine: sa.Engine) -> Iterator[None]:
    with advisory_lock(engine, "migrate", wait_s=WAIT_S) as acquired:
        if not acquired:
            raise QueueConfigError(
                "another `trackrelay migrate` has been running "
                f"for more than {WAIT_S:g} s: try again later"
            )
        yield


def _refuse_other_number(shards: int | None, known: int) -> None:
    if shards is not None and shards != known:
        raise QueueConfigError(
            f"TRACKRELAY_SHARDS is {shards}, but Postgres knows {known} shards: correct the "
            "setting (or leave it out), or change the queue with `trackrelay reshard`"
        )
