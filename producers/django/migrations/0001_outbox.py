"""The outbox's table."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies: list[tuple[str, str]] = []

    operations = [
        migrations.CreateModel(
            name="OutboxRow",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("job_id", models.CharField(max_length=26)),
                ("lane", models.CharField(max_length=4)),
                ("format", models.SmallIntegerField()),
                ("entry", models.TextField()),
                ("accepted_ms", models.BigIntegerField()),
                ("generation", models.CharField(max_length=26, null=True)),
                ("turn", models.BigIntegerField(null=True)),
                ("place", models.TextField(null=True)),
            ],
            options={
                "verbose_name": "outbox row",
                "db_table": "trackrelay_outbox",
                "default_permissions": (),
                "indexes": [
                    models.Index(
                        condition=models.Q(("generation__isnull", True)),
                        fields=["id"],
                        name="ix_trackrelay_outbox_unrelayed",
                    )
                ],
            },
        ),
    ]
