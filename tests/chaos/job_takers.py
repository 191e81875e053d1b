"""Who takes a producer's jobs: the queue, or an outbox in the application's database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from trackrelay import Producer, QueueFullError, QueueUnavailableError, configure
from trackrelay.errors import QueueNotSetUpError
from trackrelay.operations.operation import Operation
from trackrelay.outbox import Outbox
from trackrelay.queue.redis_keys import Lane

#: Errors after which it is unknown whether the jobs were taken.
UNSURE = (QueueUnavailableError, QueueFullError, QueueNotSetUpError, SQLAlchemyError)
TIMEOUT_S = 5


class Taker(Protocol):
    """Takes jobs, all or none; raises one of `UNSURE` if it may have taken none."""

    def take(self, batch: Sequence[Operation], lane: Lane) -> None:
        """Take jobs."""


class IntoQueue:
    """A call on the queue."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer

    def take(self, batch: Sequence[Operation], lane: Lane) -> None:
        self._producer.enqueue_all(batch, lane=lane)


class IntoOutbox:
    """A transaction of the application's own."""

    def __init__(self, url: str, redis_url: str) -> None:
        configure(redis_url=redis_url, source="chaos-outbox")
        self._engine = sa.create_engine(
            url,
            connect_args={
                "connect_timeout": TIMEOUT_S,
                "options": f"-c statement_timeout={TIMEOUT_S * 1000}",
            },
        )

    def take(self, batch: Sequence[Operation], lane: Lane) -> None:
        with self._engine.begin() as connection:
            Outbox(connection).enqueue_all(batch, lane=lane)

    def roll_back(self, batch: Sequence[Operation]) -> None:
        """Write jobs, and take the transaction back: they never existed."""
        with self._engine.connect() as connection:
            Outbox(connection).enqueue_all(batch)
            connection.rollback()
