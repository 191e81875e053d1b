"""Registers dead letters and the backlog; the admin of the backlog."""

from __future__ import annotations

from typing import Any

from django.contrib import admin

from . import html_render
from .dead_letters_admin import DeadLetterAdmin
from .models import DeadLetter, Waiting
from .read_only_admin import EventNameFilter, ReadOnlyAdmin

_FIRST_ROW = """NOT EXISTS (
    SELECT 1 FROM trackrelay_backlog other
    WHERE other.job_id = trackrelay_backlog.job_id AND other.key < trackrelay_backlog.key)"""


class WaitingAdmin(ReadOnlyAdmin):
    """Jobs in the backlog."""

    ordering = ("shard", "lane", "position")
    list_display = ("shown_job", "why", "shown_since")
    list_filter = ("reason", "operation", EventNameFilter, "lane", "shard", "source")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "job_id",
                    ("operation", "shown_name"),
                    "key",
                    ("source", "idempotency_key"),
                    "enqueued_at",
                )
            },
        ),
        (
            "Why it waits",
            {"fields": ("reason", "error", "status", "since", "due_at", "attempts", "replayed")},
        ),
        ("Where", {"fields": ("lane", "shard", "position")}),
        ("Document", {"fields": ("shown_document",)}),
        ("History, oldest first", {"fields": ("shown_history",)}),
    )
    readonly_fields = ("shown_name", "shown_document", "shown_history")

    @admin.display(description="waiting since, due", ordering="since")
    def shown_since(self, job: Waiting) -> str:
        due = html_render.day(job.due_at) if job.due_at else "after an earlier job"
        return html_render.stacked(html_render.day(job.since), due)

    def get_queryset(self, request: Any) -> Any:
        # A job has a row for each of its keys; the list shows the first one that exists.
        return super().get_queryset(request).extra(where=[_FIRST_ROW])


admin.site.register(DeadLetter, DeadLetterAdmin)
admin.site.register(Waiting, WaitingAdmin)
