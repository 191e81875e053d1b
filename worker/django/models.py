"""The workers' tables as Django sees them: to be read. `trackrelay migrate` makes them, and what acts on them is elsewhere."""

from __future__ import annotations

from typing import Any

from django.db import models


class Document(models.JSONField):
    """A column of JSON: the driver decodes ``json`` by itself, and Django ``jsonb``."""

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return (
            super().from_db_value(value, expression, connection)
            if isinstance(value, str)
            else value
        )


class Moment(models.DateTimeField):
    """A column of moments, read within the years that Python knows: a hostile entry may name any."""

    def select_format(self, compiler: Any, sql: str, params: Any) -> tuple[str, Any]:
        """Bound the column where it is read."""
        first, last = "'0001-01-03 00:00+00'", "'9999-12-29 00:00+00'"
        return f"LEAST(GREATEST({sql}, {first}), {last})", params


class _Job(models.Model):
    job_id = models.CharField("id", max_length=26, primary_key=True)
    key = models.TextField(
        help_text="Whose order holds. Made of an email, a phone or an anonymous id, it is a hash."
    )
    operation = models.TextField()
    lane = models.CharField(max_length=4)
    source = models.TextField(null=True)
    idempotency_key = models.TextField(null=True)
    trace = models.TextField(null=True)
    body = Document(null=True)
    reason = models.TextField()
    error = models.TextField("what was said", null=True)
    status = models.SmallIntegerField("HTTP status", null=True)
    attempts = models.SmallIntegerField(
        help_text="Those that counted against it; an outage does not."
    )
    enqueued_at = Moment("enqueued")
    history = Document()

    class Meta:
        abstract = True
        managed = False

    def __str__(self) -> str:
        return str(self.job_id)


class DeadLetter(_Job):
    """A job that will never succeed as it is."""

    other_key = models.TextField(null=True)
    raw = models.BinaryField(null=True)
    field = models.TextField(null=True)
    state = models.CharField(max_length=10)
    died_at = Moment("died")
    updated_at = Moment("last changed")

    class Meta(_Job.Meta):
        abstract = False
        db_table = "trackrelay_dead_letters"
        verbose_name = "dead letter"
        default_permissions = ("view",)
        permissions = (
            ("replay_deadletter", "Can replay dead letters"),
            ("repair_deadletter", "Can repair dead letters"),
            ("discard_deadletter", "Can discard dead letters"),
            ("export_deadletter", "Can export dead letters"),
        )


class Waiting(_Job):
    """A job that could not be delivered yet. One that has two keys has two rows, of which one is shown."""

    shard = models.IntegerField()
    position = models.BigIntegerField()
    due_at = Moment("due", null=True, help_text="Empty: an earlier job of its key comes first.")
    since = Moment("waiting since")
    replayed = models.BooleanField(help_text="It was a dead letter.")

    class Meta(_Job.Meta):
        abstract = False
        db_table = "trackrelay_backlog"
        verbose_name = "waiting job"
        verbose_name_plural = "backlog"
        default_permissions = ("view",)
