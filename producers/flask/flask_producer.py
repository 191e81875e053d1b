"""The producer of a Flask application: it enqueues at the end of the request."""

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
    """Enqueue operations at the end of the request, and outside a request at once.

    Args:
        engine: returns the engine of the database with the outbox; None if there is no outbox.
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
        """Enqueue operations, all or none, and return their jobs' ids."""
        # The other backends take no time: console, memory, off.
        if (
            lane == "live"
            and self.settings.backend == "redis"
            and (later := deferred_jobs()) is not None
        ):
            with self.span(batch, lane):
                later.add(self.entries(batch), self.send_later)
            return [operation.id for operation in batch]
        return super().enqueue_all(batch, lane=lane)

    def awaitable(self, batch: Sequence[Operation], lane: Lane) -> Awaitable[int] | None:
        """Return what coroutines await; None for what the asynchronous queue does itself."""
        if lane == "live" and deferred_jobs() is not None:
            return _done(len(self.enqueue_all(batch)))
        if isinstance(self.backend, RowsBackend):
            with self.span(batch, lane):
                return asyncio.to_thread(self.append, self.entries(batch), lane)
        return None

    def send_later(self, entries: Sequence[Entry]) -> None:
        """Enqueue the waiting jobs. The view has returned, so log errors with the jobs' ids."""
        for start in range(0, len(entries), CHUNK_OPERATIONS):
            chunk = entries[start : start + CHUNK_OPERATIONS]
            try:
                self.append(chunk, "live")
            except Exception as error:
                log_lost(chunk, error, _WHEN, counts=self.counts)
            except BaseException as interrupt:
                # The queue may have this chunk all the same: only its answer is missing.
                why = InterruptedError(f"interrupted by {type(interrupt).__name__}")
                log_lost(entries[start:], why, _WHEN, counts=self.counts)
                raise


class RowsBackend:
    """Write a row into the outbox for each entry, in a new transaction."""

    def __init__(self, engine: Callable[[], sa.Engine]) -> None:
        self._engine = engine

    def append(self, entries: Sequence[Entry], lane: Lane) -> None:
        """Write ``entries`` in order. Errors of the database are SQLAlchemy's."""
        from trackrelay.outbox.table import insert

        with self._engine().begin() as connection:
            insert(connection, entries, lane)

    def close(self) -> None:
        """Do nothing: the connections are the application's."""


async def _done(count: int) -> int:
    return count
