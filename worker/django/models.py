"""The workers' tables as read-only models. `trackrelay migrate` creates the tables."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models.expressions import RawSQL

from trackrelay.django.django_settings import django_settings
from trackrelay.worker.storage.queries.job_conditions import email, event_name


class Document(models.JSONField):
    """A JSON column: the driver decodes ``json``, Django decodes ``jsonb``."""

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return (
            super().from_db_value(value, expression, connection)
            if isinstance(value, str)
            else value
        )


class Moment(models.DateTimeField):
    """A timestamp column, clamped to the years that Python knows: a hostile entry may name any."""

    def select_format(self, compiler: Any, sql: str, params: Any) -> tuple[str, Any]:
        """Clamp the column in the query."""
        first, last = "'0001-01-03 00:00+00'", "'9999-12-29 00:00+00'"
        return f"LEAST(GREATEST({sql}, {first}), {last})", params


class JobManager(models.Manager):
    """Reads the workers' database, with what people know a job by: ``event_name`` and ``email``."""

    def get_queryset(self) -> Any:
        """Return all jobs."""
        body = f'"{self.model._meta.db_table}"."body"'
        text = models.TextField()
        return (
            super()
            .get_queryset()
            .using(django_settings().database)
            .annotate(
                event_name=RawSQL(event_name(body), (), text), email=RawSQL(email(body), (), text)
            )
        )


class _Job(models.Model):
    job_id = models.CharField("id", max_length=26, primary_key=True)
    key = models.TextField(
        help_text="Jobs with the same key are delivered in order. "
        "The key of an email, a phone or an anonymous id is stored as a hash."
    )
    operation = models.TextField()
    lane = models.CharField(max_length=4)
    source = models.TextField(null=True)
    idempotency_key = models.TextField(null=True)
    trace = models.TextField(null=True)
    body = Document(null=True)
    reason = models.TextField()
    error = models.TextField("error", null=True)
    status = models.SmallIntegerField("HTTP status", null=True)
    attempts = models.SmallIntegerField(help_text="Attempts during an outage do not count.")
    enqueued_at = Moment("enqueued")
    history = Document()

    objects = JobManager()

    class Meta:
        abstract = True
        managed = False

    def __str__(self) -> str:
        return str(self.job_id)


class DeadLetter(_Job):
    """A job that cannot succeed unless something is changed."""

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
    """A job that could not be delivered yet. A job with two keys has two rows."""

    shard = models.IntegerField()
    position = models.BigIntegerField()
    due_at = Moment("due", null=True, help_text="Empty: it waits for an earlier job of its key.")
    since = Moment("waiting since")
    replayed = models.BooleanField(help_text="It was a dead letter.")

    class Meta(_Job.Meta):
        abstract = False
        db_table = "trackrelay_backlog"
        verbose_name = "waiting job"
        verbose_name_plural = "backlog"
        default_permissions = ("view",)
