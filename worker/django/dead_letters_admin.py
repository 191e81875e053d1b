"""The admin of dead letters: find, read, repair, replay, discard and export them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE
from django.contrib.admin.utils import quote, unquote
from django.contrib.auth import get_permission_codename
from django.core.exceptions import PermissionDenied
from django.http import Http404, StreamingHttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse

from trackrelay.worker.cli.common.humanize import count
from trackrelay.worker.cli.dead_letters.letter_export import export_line
from trackrelay.worker.cli.dead_letters.letter_render import campaigns
from trackrelay.worker.dead_letters.eligibility import RefusedReplay, ReplayPolicy, without_options
from trackrelay.worker.storage.dead_letter_queries import State

from . import html_render
from .actions import ActionError, Actions, actions_of
from .forms import ConfirmForm, RepairForm
from .models import DeadLetter
from .read_only_admin import EventNameFilter, ReadOnlyAdmin, is_id

#: Dead letters in one action; the command line takes more, and shows its progress.
MAX_SELECTED = 5_000
#: Refusals that are listed one by one.
MAX_LISTED = 20
REPLAYABLE: frozenset[State] = frozenset({"open", "discarded"})


class StateFilter(admin.SimpleListFilter):
    """Filters by state; by default only open dead letters."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in ("replaying", "delivered", "discarded", "all")]

    def choices(self, changelist: Any) -> Iterable[dict[str, Any]]:
        first, *others = super().choices(changelist)
        return [{**first, "display": "open"}, *others]

    def queryset(self, request: Any, queryset: Any) -> Any:
        return queryset if self.value() == "all" else queryset.filter(state=self.value() or "open")


class DeadLetterAdmin(ReadOnlyAdmin):
    """Jobs that cannot succeed unless something is changed."""

    ordering = ("-died_at", "-job_id")
    list_display = ("shown_job", "why", "shown_died")
    list_filter = (StateFilter, "reason", "operation", EventNameFilter, "source", "died_at")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "shown_state",
                    ("operation", "shown_name"),
                    ("key", "other_key"),
                    ("source", "idempotency_key"),
                )
            },
        ),
        ("Error", {"fields": ("reason", "error", "field", ("status", "attempts"))}),
        ("Document", {"fields": ("shown_document",)}),
        (
            "History, oldest first",
            {"fields": ("shown_history", ("enqueued_at", "died_at", "updated_at"))},
        ),
    )
    readonly_fields = ("shown_state", "shown_name", "shown_document", "shown_history")
    actions = ("replay", "discard", "export")
    change_form_template = "admin/trackrelay_ops/deadletter/change_form.html"

    # -- permissions

    def _may(self, request: Any, action: str) -> bool:
        codename = get_permission_codename(action, self.opts)
        return bool(request.user.has_perm(f"{self.opts.app_label}.{codename}"))

    def has_replay_permission(self, request: Any) -> bool:
        return self._may(request, "replay")

    def has_discard_permission(self, request: Any) -> bool:
        return self._may(request, "discard")

    def has_export_permission(self, request: Any) -> bool:
        return self._may(request, "export")

    def has_repair_permission(self, request: Any) -> bool:
        """Return whether the user may repair and replay: a repair includes a replay."""
        return self._may(request, "repair") and self._may(request, "replay")

    def _demand(self, request: Any, what: str) -> None:
        # Each of these pages shows data of a dead letter.
        may_act = getattr(self, f"has_{what}_permission")(request)
        if not (may_act and self.has_view_permission(request)):
            raise PermissionDenied

    # -- pages

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        own = [
            path("replay/", view(self.replay_view), name="trackrelay_ops_deadletter_replay"),
            path("discard/", view(self.discard_view), name="trackrelay_ops_deadletter_discard"),
            path(
                "<str:id>/repair/", view(self.repair_view), name="trackrelay_ops_deadletter_repair"
            ),
        ]
        return own + super().get_urls()

    def get_queryset(self, request: Any) -> Any:
        queryset = super().get_queryset(request)
        match = request.resolver_match
        # Documents are large, and the list does not show them.
        if match and match.url_name and match.url_name.endswith("_changelist"):
            return queryset.defer("body", "raw", "history")
        return queryset

    def render_change_form(
        self, request: Any, context: Any, *args: Any, obj: Any = None, **kwargs: Any
    ) -> Any:
        """Add what this user may do with the dead letter."""
        for what in ("replay", "repair", "discard"):
            context[f"may_{what}"] = getattr(self, f"has_{what}_permission")(request)
        state = getattr(obj, "state", None)
        context |= {"is_open": state == "open", "is_replayable": state in REPLAYABLE}
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)

    @admin.display(description="state", ordering="state")
    def shown_state(self, letter: DeadLetter) -> str:
        return html_render.state(letter.state)

    @admin.display(description="died", ordering="died_at")
    def shown_died(self, letter: DeadLetter) -> str:
        return html_render.stacked(html_render.day(letter.died_at), self.shown_state(letter))

    # -- actions on a list

    @admin.action(description="Replay selected dead letters", permissions=["replay"])
    def replay(self, request: Any, queryset: Any) -> Any:
        return self._confirm(request, "replay", self._ids(request, queryset))

    @admin.action(description="Discard selected dead letters", permissions=["discard"])
    def discard(self, request: Any, queryset: Any) -> Any:
        return self._confirm(request, "discard", self._ids(request, queryset))

    @admin.action(description="Export selected dead letters as JSON Lines", permissions=["export"])
    def export(self, request: Any, queryset: Any) -> Any:
        ids = list(queryset.order_by("enqueued_at", "job_id").values_list("job_id", flat=True))
        try:
            lines = _started(_exported(request.user, ids))
        except ActionError as why:
            self.message_user(request, f"Nothing was exported: {why}", messages.ERROR)
            return redirect(self._list())
        self._log(request, ids, "Exported.")
        disposition = {"Content-Disposition": 'attachment; filename="dead-letters.jsonl"'}
        return StreamingHttpResponse(lines, content_type="application/jsonl", headers=disposition)

    def _ids(self, request: Any, queryset: Any) -> list[str]:
        ids = list(
            queryset.order_by("enqueued_at", "job_id").values_list("job_id", flat=True)[
                : MAX_SELECTED + 1
            ]
        )
        if len(ids) > MAX_SELECTED:
            text = (
                f"Only the oldest {MAX_SELECTED:,} are selected. The command line takes more at "
                "once."
            )
            self.message_user(request, text, messages.WARNING)
        return ids[:MAX_SELECTED]

    # -- replay and discard

    def replay_view(self, request: Any) -> Any:
        """Show what a replay would do; replay after the confirmation."""
        self._demand(request, "replay")
        return self._act(request, "replay")

    def discard_view(self, request: Any) -> Any:
        """Discard after the confirmation."""
        self._demand(request, "discard")
        return self._act(request, "discard")

    def _act(self, request: Any, what: str) -> Any:
        form = ConfirmForm(request.POST if request.method == "POST" else request.GET)
        if not form.is_valid() or not form.cleaned_data["ids"]:
            return redirect(self._list())
        ids: list[str] = form.cleaned_data["ids"]
        if request.method != "POST":
            return self._confirm(request, what, ids)
        try:
            with actions_of(request.user, form.cleaned_data["note"]) as actions:
                if what == "replay":
                    self._replay(request, actions, ids, form.policy(REPLAYABLE))
                else:
                    self._discard(request, actions, ids)
        except ActionError as why:
            self.message_user(request, f"Nothing was done: {why}", messages.ERROR)
        return redirect(self._list() if len(ids) != 1 else self._letter(ids[0]))

    def _confirm(self, request: Any, what: str, ids: list[str]) -> Any:
        if not ids:
            return redirect(self._list())
        try:
            with actions_of(request.user) as actions:
                plan = (
                    actions.plan(actions.order(ids), ReplayPolicy(states=REPLAYABLE))
                    if what == "replay"
                    else None
                )
        except ActionError as why:
            self.message_user(request, str(why), messages.ERROR)
            return redirect(self._list())
        context = {
            **self.admin_site.each_context(request),
            "title": f"{what.capitalize()} {count(len(ids), 'dead letter')}?",
            "opts": self.opts,
            "what": what,
            "form": ConfirmForm(initial={"ids": ",".join(ids)}),
            "number": len(ids),
            "number_ready": plan.replayed if plan else len(ids),
            "plan": plan,
            "by_operation": plan.by_operation.most_common() if plan else (),
            "campaigns": campaigns(plan.younger_events, plan.older_events) if plan else "",
            "refused": [
                replace(each, why=without_options(each.why)) for each in plan.refused[:MAX_LISTED]
            ]
            if plan
            else (),
            "more_refused": max(0, len(plan.refused) - MAX_LISTED) if plan else 0,
            "can_be_overridden": any(each.kind == "newer" for each in plan.refused)
            if plan
            else False,
        }
        return TemplateResponse(request, "admin/trackrelay_ops/deadletter/confirm.html", context)

    def _replay(self, request: Any, actions: Actions, ids: list[str], policy: ReplayPolicy) -> None:
        ids = actions.order(ids)
        done = actions.replay(ids, policy)
        refused = {each.id for each in done.refused}
        self._log(request, [id for id in ids if id not in refused], "Replayed.")
        if done.replayed:
            self.message_user(
                request,
                f"{count(done.replayed, 'dead letter')} replayed.",
                messages.SUCCESS,
            )
        self._report_refused(request, done.refused)

    def _report_refused(self, request: Any, refused: list[RefusedReplay]) -> None:
        for each in refused[:MAX_LISTED]:
            self.message_user(
                request, f"{each.id} was not replayed: {without_options(each.why)}", messages.ERROR
            )
        if len(refused) > MAX_LISTED:
            self.message_user(
                request,
                f"… and {len(refused) - MAX_LISTED:,} more were not replayed.",
                messages.ERROR,
            )

    def _discard(self, request: Any, actions: Actions, ids: list[str]) -> None:
        discarded = actions.discard(ids)
        self._log(request, discarded, "Discarded.")
        left = len(ids) - len(discarded)
        text = f"{count(len(discarded), 'dead letter')} discarded; their rows stay."
        level = messages.WARNING if left else messages.SUCCESS
        self.message_user(
            request, text + (f" {left:,} not discarded: they are not open." if left else ""), level
        )

    # -- repair

    def repair_view(self, request: Any, id: str) -> Any:
        """Change the document of a dead letter, check it, and replay it."""
        self._demand(request, "repair")
        id = unquote(id)
        if not is_id(id):
            raise Http404("no dead letter can have this id")
        try:
            with actions_of(request.user, request.POST.get("note", "")) as actions:
                letter = actions.letter(id)
                if letter is None:
                    raise Http404(f"there is no dead letter {id}")
                form = RepairForm(letter, request.POST or None)
                if request.method == "POST" and form.check(actions) and "replay" in request.POST:
                    done = actions.replay([id], form.policy(REPLAYABLE))
                    if not done.refused:
                        self._log(request, [id], "Repaired and replayed.")
                        self.message_user(request, "Repaired and replayed.", messages.SUCCESS)
                        return redirect(self._letter(id))
                    form.refuse(done.refused[0])
        except ActionError as why:
            self.message_user(request, f"Nothing was done: {why}", messages.ERROR)
            return redirect(self._letter(id))
        context = {
            **self.admin_site.each_context(request),
            "title": f"Repair {id}",
            "opts": self.opts,
            "letter": letter,
            "form": form,
            "changes": [html_render.change(each) for each in form.changes],
        }
        return TemplateResponse(request, "admin/trackrelay_ops/deadletter/repair.html", context)

    # -- places

    def _list(self) -> str:
        return reverse(f"{self.admin_site.name}:trackrelay_ops_deadletter_changelist")

    def _letter(self, id: str) -> str:
        return reverse(
            f"{self.admin_site.name}:trackrelay_ops_deadletter_change", args=(quote(id),)
        )

    def _log(self, request: Any, ids: list[str], message: str) -> None:
        letters = DeadLetter.objects.only("job_id").filter(pk__in=ids)
        self._write_log(request, letters, message)

    def _write_log(self, request: Any, letters: Any, message: str) -> None:
        from django.contrib.admin.models import LogEntry

        if found := list(letters):
            LogEntry.objects.log_actions(
                request.user.pk, found, CHANGE, message, single_object=len(found) == 1
            )


def _exported(user: Any, ids: list[str]) -> Iterator[str]:
    with actions_of(user) as actions:
        for number, letter in enumerate(actions.letters(ids), 1):
            yield json.dumps(export_line(number, letter), ensure_ascii=False) + "\n"


def _started(lines: Iterator[str]) -> Iterator[str]:
    # Read the first line now, while a page can still report an error.
    first = next(lines, "")

    def rest() -> Iterator[str]:
        yield first
        yield from lines

    return rest()
