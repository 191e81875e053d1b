"""The producer of a Django project: it enqueues after the commit, and never after a rollback."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connections

from trackrelay.calls.producer import Producer, log_lost
from trackrelay.configuration.producer_settings import load
from trackrelay.errors import TrackRelayError
from trackrelay.operations.operation import Operation
from trackrelay.queue.append import Entry
from trackrelay.queue.job import FORMAT_VERSION
from trackrelay.queue.redis_keys import Lane

from .commit_hooks import after_commit, open_transactions
from .django_settings import django_settings

_AFTER = " after the commit"


class DjangoProducer(Producer):
    """Enqueue when the transaction around a call is committed.

    With the outbox, write rows in that transaction.

    Outside a transaction, enqueue at once. Errors after a commit are logged with the jobs' ids and
    not raised, because the request has done its work.
    """

    def __init__(self, **settings: Any) -> None:
        loaded = load(settings, needs_queue=False)
        alias = django_settings().outbox_alias if loaded.backend == "redis" else None
        #: Databases whose commits need no waiting: the rows are part of their transactions.
        self._joins: frozenset[str] = frozenset({alias} if alias else ())
        if alias is None:
            super().__init__(**settings)
        else:
            self.settings, self.backend, self.fallback = loaded, RowsBackend(alias), None
            self.set_up()

    def enqueue_all(self, batch: Sequence[Operation], *, lane: Lane = "live") -> list[str]:
        """Enqueue operations after the commit, and return their jobs' ids at once."""
        if batch:
            with self.span(batch, lane):
                entries = self.entries(batch)
                self._when_committed(entries, functools.partial(self.append, entries, lane))
        return [operation.id for operation in batch]

    def enqueue_chunk(self, entries: Sequence[Entry]) -> int:
        """Enqueue one chunk of many operations.

        Inside a transaction it waits in memory for the commit.
        """
        return self._when_committed(entries, functools.partial(super().enqueue_chunk, entries))

    def awaitable(self, batch: Sequence[Operation], lane: Lane) -> Awaitable[int]:
        """Return what coroutines await.

        It runs in the thread that has this request's transactions.
        """
        if lane == "bulk":
            with self.span(batch, lane):
                return sync_to_async(self.enqueue_chunk)(self.entries(batch))
        return sync_to_async(lambda: len(self.enqueue_all(batch, lane=lane)))()

    def _when_committed(self, entries: Sequence[Entry], act: Callable[[], int]) -> int:
        if waits := open_transactions() - self._joins:
            after_commit(
                waits,
                functools.partial(self._robustly, entries, act),
                functools.partial(self._interrupted, entries),
            )
            return len(entries)
        return act()

    def _robustly(self, entries: Sequence[Entry], act: Callable[[], int]) -> None:
        try:
            act()
        except Exception as error:
            log_lost(
                entries,
                error,
                _AFTER,
                exc_info=not isinstance(error, TrackRelayError),
                counts=self.counts,
            )
        except BaseException as interrupt:
            # The queue may have the jobs all the same: only its answer is missing.
            self._interrupted(entries, interrupt)
            raise

    def _interrupted(self, entries: Sequence[Entry], interrupt: BaseException) -> None:
        why = InterruptedError(f"interrupted by {type(interrupt).__name__}")
        log_lost(entries, why, _AFTER, counts=self.counts)


class RowsBackend:
    """Write a row for each entry in the open transaction, or in a new one.

    Args:
        alias: the database with the outbox.
    """

    def __init__(self, alias: str) -> None:
        self.alias = alias

    def append(self, entries: Sequence[Entry], lane: Lane) -> None:
        """Write ``entries`` in order. Errors of the database are Django's."""
        from .models import MomentMs, OutboxRow

        # Django 6.0.0 asks SQLite for its limits before it connects.
        connections[self.alias].ensure_connection()
        OutboxRow.objects.using(self.alias).bulk_create(
            OutboxRow(
                job_id=entry.operation.id,
                lane=lane,
                format=FORMAT_VERSION,
                entry=entry.data.decode(),
                accepted_ms=MomentMs(),
            )
            for entry in entries
        )

    def close(self) -> None:
        """Do nothing: the connection is Django's."""
