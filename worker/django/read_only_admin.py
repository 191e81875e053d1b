"""The base of both admins: reads the workers' database and never writes to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db import DatabaseError, DataError
from django.db.models import Count, Q, TextField
from django.db.models.functions import Cast
from django.shortcuts import redirect

from trackrelay.django.django_settings import django_settings
from trackrelay.operations.checks.name_checks import compared_email

from . import html_render
from .actions import ActionError, actions_of

#: Kinds of keys that a search term may belong to.
_KINDS = ("id", "email", "phone", "cio_id", "anonymous", "object")
#: Names of events that the filter offers.
MAX_NAMES = 20
#: Characters of the longest job id.
MAX_ID = 26


def is_id(text: str) -> bool:
    """Return whether ``text`` can be the id of a job."""
    return 0 < len(text) <= MAX_ID and text.isprintable()


class EventNameFilter(admin.SimpleListFilter):
    """Filters by the name of the event; offers the most frequent names."""

    title = "event name"
    parameter_name = "event_name"

    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, str]]:
        jobs = model_admin.model._default_manager.filter(event_name__isnull=False).order_by()
        names = jobs.values_list("event_name").annotate(jobs=Count("pk")).order_by("-jobs")
        offered = [name for name, _ in names[:MAX_NAMES]]
        if self.value() and self.value() not in offered:
            offered.append(self.value())
        return [(name, html_render.short(name)) for name in offered]

    def queryset(self, request: Any, queryset: Any) -> Any:
        return queryset.filter(event_name=self.value()) if self.value() else queryset


class ReadOnlyAdmin(admin.ModelAdmin):
    """Lists and shows jobs."""

    ordering: tuple[str, ...]
    list_per_page = 50
    show_full_result_count = False
    search_fields = ("job_id",)
    search_help_text = (
        "An event's name, an id, a person (42, ada@example.com, id:42), an idempotency key, "
        "or part of the error."
    )

    def get_queryset(self, request: Any) -> Any:
        """Read the database that TRACKRELAY["DATABASE"] names, whatever the routers choose."""
        # Documents are large, and the driver fails to decode those that are not valid JSON.
        return self.model._default_manager.order_by(*self.ordering).defer("body")

    def has_add_permission(self, request: Any) -> bool:
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def lookup_allowed(self, lookup: str, value: str, request: Any = None) -> bool:
        """Allow only the lookups of the filters beside the list: others may fail."""
        field = lookup.removesuffix("__isnull").removesuffix("__exact").removesuffix("__in")
        shown = {getattr(each, "parameter_name", each) for each in self.list_filter}
        return field in shown or lookup in ("died_at__gte", "died_at__lt")

    def changelist_view(self, request: Any, extra_context: Any = None) -> Any:
        show = super().changelist_view
        return self._shown(request, lambda: show(request, extra_context))

    def change_view(
        self, request: Any, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> Any:
        show = super().change_view
        return self._shown(request, lambda: show(request, object_id, form_url, extra_context))

    def history_view(self, request: Any, object_id: str, extra_context: Any = None) -> Any:
        show = super().history_view
        return self._shown(request, lambda: show(request, object_id, extra_context))

    def get_object(self, request: Any, object_id: str, from_field: Any = None) -> Any:
        """Return None for an impossible id, before the database refuses it."""
        return super().get_object(request, object_id, from_field) if is_id(object_id) else None

    def _shown(self, request: Any, show: Callable[[], Any]) -> Any:
        try:
            return show()
        except DataError:
            self.message_user(request, "This address is not valid.", messages.ERROR)
            return redirect(f"{self.admin_site.name}:index")
        except DatabaseError as error:
            alias = django_settings().database
            reason = str(error).strip().splitlines()[0]
            text = (
                f"trackrelay's tables cannot be read from the database {alias!r} ({reason}). "
                "manage.py trackrelay migrate creates them."
            )
            self.message_user(request, text, messages.ERROR)
            return redirect(f"{self.admin_site.name}:index")

    def get_search_results(self, request: Any, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """Search ids, keys, idempotency keys and errors."""
        term = search_term.strip()
        if not term:
            return queryset, False
        keys = self._keys(request, term)
        # The list shows one row of a job; the key that matches may be in the other.
        of_keys = self.model._default_manager.filter(key__in=keys).values("job_id")
        meant = Q(job_id__in=of_keys) | Q(idempotency_key=term) | Q(error__icontains=term)
        meant |= Q(event_name=term) | Q(email=term.lower())
        if any(field.name == "other_key" for field in self.model._meta.get_fields()):
            meant |= Q(other_key__in=keys) | Q(field__icontains=term)
        if len(term) >= 4:
            meant |= Q(job_id__startswith=term.upper())
        return queryset.filter(meant), False

    def _keys(self, request: Any, term: str) -> list[str]:
        keys = [term, *(f"{kind}:{term}" for kind in _KINDS), f"email:{compared_email(term)}"]
        try:
            with actions_of(request.user) as actions:
                return list(dict.fromkeys([*keys, *actions.stored_keys(keys)]))
        except ActionError as why:
            self.message_user(
                request,
                f"Emails, phones and anonymous ids were not searched: {why}",
                messages.WARNING,
            )
            return keys

    @admin.display(description="job", ordering="operation")
    def shown_job(self, job: Any) -> str:
        name = f"{job.operation} {job.event_name}" if job.event_name else job.operation
        return html_render.job(name, job.key, job.job_id)

    @admin.display(description="event name")
    def shown_name(self, job: Any) -> str:
        return str(job.event_name or "–")

    @admin.display(description="document")
    def shown_document(self, job: Any) -> str:
        if getattr(job, "raw", None):
            return html_render.raw(job.raw)
        rows = self.model._default_manager.filter(pk=job.pk)
        return html_render.document(rows.values_list(Cast("body", TextField()), flat=True).first())

    @admin.display(description="history")
    def shown_history(self, job: Any) -> str:
        return html_render.history(job.history)

    @admin.display(description="error", ordering="reason")
    def why(self, job: Any) -> str:
        field = getattr(job, "field", None)
        error = f"{field}: {job.error}" if field and field not in (job.error or "") else job.error
        return html_render.roomy(f"{job.reason}: {error}" if error else job.reason)
