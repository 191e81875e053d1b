"""The workers' tables as Django sees them, and the permissions that go with them.

Makes no table.
"""

from __future__ import annotations

from django.db import migrations, models

from trackrelay.worker.django.models import Document


class Migration(migrations.Migration):
    initial = True

    dependencies: list[tuple[str, str]] = []

    operations = [
        migrations.CreateModel(
            name="DeadLetter",
            fields=[
                (
                    "job_id",
                    models.CharField(
                        max_length=26, primary_key=True, serialize=False, verbose_name="id"
                    ),
                ),
                (
                    "key",
                    models.TextField(
                        help_text=(
                            "Whose order holds. Made of an email, a phone or an anonymous id, it "
                            "is a hash."
                        )
                    ),
                ),
                ("operation", models.TextField()),
                ("lane", models.CharField(max_length=4)),
                ("source", models.TextField(null=True)),
                ("idempotency_key", models.TextField(null=True)),
                ("trace", models.TextField(null=True)),
                ("body", Document(null=True)),
                ("reason", models.TextField()),
                ("error", models.TextField(null=True, verbose_name="what was said")),
                ("status", models.SmallIntegerField(null=True, verbose_name="HTTP status")),
                (
                    "attempts",
                    models.SmallIntegerField(
                        help_text="Those that counted against it; an outage does not."
                    ),
                ),
                ("enqueued_at", models.DateTimeField(verbose_name="enqueued")),
                ("history", Document()),
                ("other_key", models.TextField(null=True)),
                ("raw", models.BinaryField(null=True)),
                ("field", models.TextField(null=True)),
                ("state", models.CharField(max_length=10)),
                ("died_at", models.DateTimeField(verbose_name="died")),
                ("updated_at", models.DateTimeField(verbose_name="last changed")),
            ],
            options={
                "verbose_name": "dead letter",
                "db_table": "trackrelay_dead_letters",
                "permissions": (
                    ("replay_deadletter", "Can replay dead letters"),
                    ("repair_deadletter", "Can repair dead letters"),
                    ("discard_deadletter", "Can discard dead letters"),
                    ("export_deadletter", "Can export dead letters"),
                ),
                "abstract": False,
                "managed": False,
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="Waiting",
            fields=[
                (
                    "job_id",
                    models.CharField(
                        max_length=26, primary_key=True, serialize=False, verbose_name="id"
                    ),
                ),
                (
                    "key",
                    models.TextField(
                        help_text=(
                            "Whose order holds. Made of an email, a phone or an anonymous id, it "
                            "is a hash."
                        )
                    ),
                ),
                ("operation", models.TextField()),
                ("lane", models.CharField(max_length=4)),
                ("source", models.TextField(null=True)),
                ("idempotency_key", models.TextField(null=True)),
                ("trace", models.TextField(null=True)),
                ("body", Document(null=True)),
                ("reason", models.TextField()),
                ("error", models.TextField(null=True, verbose_name="what was said")),
                ("status", models.SmallIntegerField(null=True, verbose_name="HTTP status")),
                (
                    "attempts",
                    models.SmallIntegerField(
                        help_text="Those that counted against it; an outage does not."
                    ),
                ),
                ("enqueued_at", models.DateTimeField(verbose_name="enqueued")),
                ("history", Document()),
                ("shard", models.IntegerField()),
                ("position", models.BigIntegerField()),
                (
                    "due_at",
                    models.DateTimeField(
                        help_text="Empty: an earlier job of its key comes first.",
                        null=True,
                        verbose_name="due",
                    ),
                ),
                ("since", models.DateTimeField(verbose_name="waiting since")),
                ("replayed", models.BooleanField(help_text="It was a dead letter.")),
            ],
            options={
                "verbose_name": "waiting job",
                "verbose_name_plural": "backlog",
                "db_table": "trackrelay_backlog",
                "abstract": False,
                "managed": False,
                "default_permissions": ("view",),
            },
        ),
    ]
