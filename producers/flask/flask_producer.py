"""The producer of a Flask application: enqueues at the end of the request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from trackrelay.calls.producer import CHUNK_OPERATIONS, Producer, log_lost
from trackrelay.configuration.producer_settings import load
from trackrelay.operations.operation import Operation
from trackrelay.queue.append import Entry
from trackrelay.queue.redis_keys import Lane

from .deferred_jobs import deferred_jobs

if TYPE_CHECKING:
    import sqlalchemy as sa

_WHEN = " at the end of the request"


class FlaskProducer(Producer):
    """In a request, takes operations and lets them wait for its end; anywhere else, enqueues them at once.

    Args:
        engine: gives the application's database, if it has the outbox: all operations then go that way.
        settings: as for :func:`trackrelay.configure`.
    """

    def __init__(self, engine: Callable[[], sa.Engine] | None, **settings: Any) -> None:
        loaded = load(settings, needs_queue=engine is None)
        if engine is None or loaded.backend != "redis":
            super().__init__(**settings)
        else:
            self.settings, self.backend, self.fallback = loaded, RowsBackend(engine), None
            self.set_up()

    def enqueue_all(self, batch: Sequence[Operation], *, lane: Lane = "live") -> list[str]:
        """Enqueue some operations, all or none, and return their jobs' ids."""
        # Nothing has to be waited for where nothing is far away: console, memory, off.
        if (
            lane == "live"
            and self.settings.backend == "redis"
            and (later := deferred_jobs()) is not None
        ):
            later.add(self.entries(batch), self.send_later)
            return [operation.id for operation in batch]
        return super().enqueue_all(batch, lane=lane)

    def awaitable(self, batch: Sequence[Operation], lane: Lane) -> Awaitable[int] | None:
        """What coroutines await."""
        if lane == "live" and deferred_jobs() is not None:
            return _done(len(self.enqueue_all(batch)))
        if isinstance(self.backend, RowsBackend):
            return asyncio.to_thread(self.append, self.entries(batch), lane)
        return None

    def send_later(self, entries: Sequence[Entry]) -> None:
        """Enqueue what waited. Log what goes wrong with the jobs' ids: the view has returned."""
        for start in range(0, len(entries), CHUNK_OPERATIONS):
            chunk = entries[start : start + CHUNK_OPERATIONS]
            try:
                self.append(chunk, "live")
            except Exception as error:
                log_lost(chunk, error, _WHEN, counts=self.counts)
            except BaseException as interrupt:
                # The queue may have this chunk all the same: its answer is what was not waited for.
                why = InterruptedError(f"interrupted by {type(interrupt).__name__}")
                log_lost(entries[start:], why, _WHEN, counts=self.counts)
                raise


class RowsBackend:
    """Writes a row into the outbox for each entry, in a transaction of its own."""

    def __init__(self, engine: Callable[[], sa.Engine]) -> None:
        self._engine = engine

    def append(self, entries: Sequence[Entry], lane: Lane) -> None:
        """Write ``entries`` in order. What the database refuses is raised as SQLAlchemy raises it."""
        from trackrelay.outbox.table import insert

        with self._engine().begin() as connection:
            insert(connection, entries, lane)

    def close(self) -> None:
        """The connections are the application's."""


async def _done(count: int) -> int:
    return count
