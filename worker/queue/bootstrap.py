"""``trackrelay migrate``: tables in Postgres, set-up in Redis. Can be run again at any time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import redis
import sqlalchemy as sa

from trackrelay.worker.storage import queue_record, schema, state
from trackrelay.worker.storage.advisory_lock import advisory_lock

from .queue_agreement import agree_within
from .queue_config import QueueConfig, QueueConfigError, check_queue, read, set_up

#: How long one migration waits for another that began before it.
WAIT_S = 60.0
#: How long a request may be under way, unless the caller knows the setting.
REQUEST_TIMEOUT_S = 10.0


def migrate(
    engine: sa.Engine,
    client: redis.Redis,
    shards: int | None,
    *,
    request_timeout_s: float = REQUEST_TIMEOUT_S,
) -> QueueConfig:
    """Bring Postgres and Redis to what this version needs.

    Where Postgres has shards already, it decides: a Redis that lost everything gets as many.

    Raises:
        QueueConfigError: the queue has another number of shards than the setting says, Redis and Postgres know different queues,
            or another migration does not end.
    """
    if read(client) is not None:
        check_queue(client, shards)
    with _alone(engine), engine.connect() as connection:
        schema.upgrade(connection)
        connection.commit()
        known = queue_record.read(connection).shards
        connection.commit()
        if known:
            _refuse_other_number(shards, known)
            agree_within(client, engine, request_timeout_s)
            config = check_queue(client, shards)
        else:
            config = set_up(client, shards)
        state.set_up(connection, config.shards)
        if not known:
            queue_record.write(connection, config.generation, config.format)
        connection.commit()
    return config


def upgrade_tables(engine: sa.Engine) -> None:
    """Bring the tables in Postgres to what this version needs, and leave Redis alone."""
    with _alone(engine), engine.connect() as connection:
        schema.upgrade(connection)
        connection.commit()


@contextmanager
def _alone(engine: sa.Engine) -> Iterator[None]:
    with advisory_lock(engine, "migrate", wait_s=WAIT_S) as mine:
        if not mine:
            raise QueueConfigError(
                f"another `trackrelay migrate` has been running for more than {WAIT_S:g} s: try again later"
            )
        yield


def _refuse_other_number(shards: int | None, known: int) -> None:
    if shards is not None and shards != known:
        raise QueueConfigError(
            f"TRACKRELAY_SHARDS is {shards}, but Postgres knows {known} shards: correct the setting (or leave it out), or "
            "change the queue with `trackrelay reshard`"
        )
