"""``trackrelay migrate``: tables in Postgres, set-up in Redis. Can be run again at any time."""

from __future__ import annotations

import redis
import sqlalchemy as sa

from .queue_config import QueueConfig, check_queue, read, set_up
from .store import migrating, state

#: Two migrations at the same moment wait for each other. Any number will do, as long as it stays.
_LOCK = 7_403_911_260


def migrate(engine: sa.Engine, client: redis.Redis, shards: int | None) -> QueueConfig:
    """Bring Postgres and Redis to what this version needs.

    Raises:
        QueueProblem: the queue has another number of shards than the setting says.
    """
    if read(client) is not None:
        check_queue(client, shards)
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
        connection.commit()
        try:
            migrating.upgrade(connection)
            config = set_up(client, shards)
            state.set_up(connection, config.shards)
            connection.commit()
        finally:
            connection.rollback()
            connection.execute(sa.text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
            connection.commit()
    return config
