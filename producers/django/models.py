"""The outbox's table, the same as in :mod:`trackrelay.outbox`, so that the relay can read both."""

from __future__ import annotations

from typing import Any

from django.db import NotSupportedError, models
from django.db.models import Q


class MomentMs(models.Func):
    """The database's current time in unix milliseconds.

    ``now()`` would be the start of the transaction.
    """

    function = None
    output_field = models.BigIntegerField()

    def as_sql(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, list[Any]]:
        raise NotSupportedError(
            f"the outbox works on PostgreSQL and SQLite, not on {connection.vendor}"
        )

    def as_postgresql(
        self, compiler: Any, connection: Any, **context: Any
    ) -> tuple[str, list[Any]]:
        return "CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS bigint)", []

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, list[Any]]:
        return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)", []


class OutboxRow(models.Model):
    """A row for each call.

    Ids increase within a transaction, and from one to the next that starts after it.
    """

    id = models.BigAutoField(primary_key=True)
    job_id = models.CharField(max_length=26)
    lane = models.CharField(max_length=4)
    #: The format of ``entry``. A relay does not touch a newer one.
    format = models.SmallIntegerField()
    #: The stream entry as JSON: the job, or an event with its identify.
    entry = models.TextField()
    accepted_ms = models.BigIntegerField()
    #: The generation of the queue that got the row; None if it was not relayed yet, or its entry
    #: was lost.
    generation = models.CharField(max_length=26, null=True)
    #: The number of the append that carried it.
    turn = models.BigIntegerField(null=True)
    #: Its entries, as ``shard:entry id``: two for a job with keys in two shards.
    place = models.TextField(null=True)

    class Meta:
        db_table = "trackrelay_outbox"
        verbose_name = "outbox row"
        # There are no permissions on it, because only the relay uses it.
        default_permissions = ()
        indexes = (
            models.Index(
                fields=["id"],
                condition=Q(generation__isnull=True),
                name="ix_trackrelay_outbox_unrelayed",
            ),
        )

    def __str__(self) -> str:
        return f"job {self.job_id}"
