"""The outbox's table, as :mod:`trackrelay.outbox` has it: the relay reads one whoever made it."""

from __future__ import annotations

from typing import Any

from django.db import NotSupportedError, models
from django.db.models import Q


class MomentMs(models.Func):
    """The database's clock at the very moment, in unix milliseconds; ``now()`` would be the transaction's beginning."""

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
    """One row for each call. Rows of one transaction, and of transactions that followed one another, have growing ids."""

    id = models.BigAutoField(primary_key=True)
    job_id = models.CharField(max_length=26)
    lane = models.CharField(max_length=4)
    #: How ``entry`` is to be read: a relay leaves a newer one alone.
    format = models.SmallIntegerField()
    #: The stream entry: the job, or an event and the identify that travels with it, as JSON.
    entry = models.TextField()
    accepted_ms = models.BigIntegerField()
    #: The generation of the queue into which the row was relayed last; None: not yet, or its entry was lost.
    generation = models.CharField(max_length=26, null=True)
    #: The number of the append that carried it.
    turn = models.BigIntegerField(null=True)
    #: Where its entries lie: ``shard:entry id``, two for a job with keys in two shards.
    place = models.TextField(null=True)

    class Meta:
        db_table = "trackrelay_outbox"
        verbose_name = "outbox row"
        # Nobody has a permission on it: it is the relay's.
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
