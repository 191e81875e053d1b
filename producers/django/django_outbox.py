"""Jobs as rows in the application's own transaction, through Django's connection."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connections

from trackrelay.queue.append import Entry
from trackrelay.queue.job import FORMAT_VERSION
from trackrelay.queue.redis_keys import Lane


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
