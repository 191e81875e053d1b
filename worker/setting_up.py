"""``trackrelay migrate``: tables in Postgres, set-up in Redis. Can be run again at any time."""

from __future__ import annotations

import redis
import sqlalchemy as sa

from .queue_config import QueueConfig, QueueProblem, check_queue, read, set_up
from .store import migrating, state
from .store.alone import alone

#: How long one migration waits for another that began before it.
WAIT_S = 60.0


def migrate(engine: sa.Engine, client: redis.Redis, shards: int | None) -> QueueConfig:
    """Bring Postgres and Redis to what this version needs.

    Raises:
        QueueProblem: the queue has another number of shards than the setting says, or another migration does not end.
    """
    if read(client) is not None:
        check_queue(client, shards)
    with alone(engine, "migrate", wait_s=WAIT_S) as mine, engine.connect() as connection:
        if not mine:
            raise QueueProblem(
                f"another `trackrelay migrate` has been running for more than {WAIT_S:g} s: try again later"
            )
        migrating.upgrade(connection)
        config = set_up(client, shards)
        state.set_up(connection, config.shards)
        connection.commit()
    return config
