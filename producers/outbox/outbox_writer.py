"""Write jobs into a transaction that the caller commits."""

from __future__ import annotations

from collections.abc import Sequence

from trackrelay.calls.call_spans import NO_SPAN, call_span
from trackrelay.calls.invalid_calls import InvalidCallPolicy
from trackrelay.calls.operation_methods import OperationMethods
from trackrelay.calls.planned_calls import call_plan_of
from trackrelay.calls.trace_context import current_traceparent
from trackrelay.default import default_producer, default_settings
from trackrelay.operations import plan_hook, scalars
from trackrelay.operations.cautions import caution_about_times
from trackrelay.operations.checks.object_types import set_object_types
from trackrelay.operations.operation import Operation
from trackrelay.queue.append import Entry
from trackrelay.queue.call_counts import counts_of
from trackrelay.queue.redis_keys import Lane

from .table import Transaction, insert


class Outbox(OperationMethods):
    """Write jobs through ``transaction``. The caller's commit enqueues them.

    Args:
        transaction: a SQLAlchemy session or connection on PostgreSQL or SQLite. With an
            ``AsyncSession``: ``await session.run_sync(lambda session: Outbox(session).track(…))``.
        source: the name of the application; left out, as configured.

    Each method of the vocabulary (``identify``, ``track`` …) returns the job's id and raises
    :class:`~trackrelay.InvalidOperationError`. Errors of the database are SQLAlchemy's. With a
    ``TRACKRELAY_BACKEND`` other than ``redis``, the operation goes to that backend at once, and no
    row is written.
    """

    def __init__(self, transaction: Transaction, *, source: str | None = None) -> None:
        self._transaction = transaction
        self._settings = default_settings()
        self._source = source or self._settings.source
        self.invalid_calls = InvalidCallPolicy(self._settings.on_invalid, counts_of(self._settings))
        scalars.set_naive_timezone(self._settings.naive_timezone)
        set_object_types(self._settings.object_types)
        plan_hook.set_call_plan(call_plan_of(self._settings))

    def enqueue(self, operation: Operation, *, lane: Lane = "live") -> str:
        """Write an operation and return its job's id.

        An operation that is written twice is delivered once.
        """
        return self.enqueue_all((operation,), lane=lane)[0]

    def enqueue_all(self, batch: Sequence[Operation], *, lane: Lane = "live") -> list[str]:
        """Write operations in order, and return their jobs' ids."""
        with call_span(batch, lane) if batch and self._settings.tracing else NO_SPAN:
            trace = current_traceparent() if self._settings.tracing else None
            entries = [Entry.of(each, source=self._source, trace=trace) for each in batch]
            if lane == "live":
                caution_about_times(entries)
            if self._settings.backend != "redis":
                default_producer().backend.append(entries, lane)
            elif entries:
                insert(self._transaction, entries, lane)
        return [operation.id for operation in batch]

    def _submit(self, batch: Sequence[Operation]) -> list[str]:
        return self.enqueue_all(batch)
