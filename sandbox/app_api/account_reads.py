"""The App API's operations about the workspace, the email service provider, and metadata."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trackrelay.sandbox.parsed_operations import JsonObject
from trackrelay.sandbox.track.track_messages import NO_CONTENT, Answer, MalformedError, Request
from trackrelay.sandbox.workspace.account import ESP_CATEGORIES, EspSuppression
from trackrelay.sandbox.workspace.workspace_state import State

from .app_messages import BadRequestError, Limit, error_list, number, page, page_limit

_ESP_LIMIT = Limit(100, 1_000)
MAX_ENTRIES, MAX_DESCRIPTION = 100, 255


def workspaces(state: State, request: Request) -> JsonObject:
    """Answer listWorkspaces: there is one."""
    sent = len(state.account.deliveries)
    return {
        "workspaces": [
            {
                "id": state.settings.environment_id,
                "name": "Sandbox",
                "messages_sent": sent,
                "billable_messages_sent": sent,
                "people": len(state.people),
                "object_types": len({found.type_id for found in state.objects}),
                "objects": len(state.objects),
            }
        ]
    }


def esp_search(state: State, request: Request) -> JsonObject:
    """Answer getSuppression; the category is that of the address's first suppression."""
    email = request.segments[3].lower()
    found = [each for each in state.account.esp_suppressions if each.email.lower() == email]
    category = {"category": ESP_CATEGORIES[found[0].type]} if found else {}
    return {**category, "suppressions": [_view(each) for each in found]}


def esp_by_type(state: State, request: Request) -> JsonObject:
    """Answer getSuppressionByType, which is paged by an offset."""
    type, domain = request.segments[3], request.query("domain", "")
    found = [each for each in _of_type(state, type) if domain in ("", each.domain)]
    offset, limit = number(request, "offset", 0), page_limit(request, _ESP_LIMIT)
    shown = [_view(each) for each in found[offset : offset + limit]]
    return {"category": ESP_CATEGORIES[type], "suppressions": shown}


def esp_by_domain(state: State, request: Request) -> JsonObject:
    """Answer getDomainSuppressionsByType; with ``email``, at most one and no further page."""
    _, _, _, domain, _, type = request.segments
    found = [each for each in _of_type(state, type) if each.domain == domain]
    category = ESP_CATEGORIES[type]
    if email := request.query("email", "").lower():
        one = [_view(each) for each in found if each.email.lower() == email][:1]
        return {"category": category, "suppressions": one}
    shown, more = page(state, request, found, _ESP_LIMIT)
    return {"category": category, "suppressions": [_view(each) for each in shown], **more}


def _of_type(state: State, type: str) -> list[EspSuppression]:
    if type not in ESP_CATEGORIES:
        raise BadRequestError(f"suppression_type must be one of {', '.join(ESP_CATEGORIES)}")
    return [each for each in state.account.esp_suppressions if each.type == type]


def _view(suppression: EspSuppression) -> JsonObject:
    return {
        "created": suppression.created,
        "email": suppression.email,
        "reason": suppression.reason,
        "status": suppression.status,
    }


class _InvalidEntryError(Exception):
    """An entry of a metadata update; the arguments are what is wrong, and where."""


def update_metadata(kind: str) -> Callable[[State, Request], Answer]:
    """Return the answer of updateAttributeMetadata or updateEventMetadata.

    Args:
        kind: attributes or events.
    """

    def answer(state: State, request: Request) -> Answer:
        try:
            document = request.json()
        except MalformedError:
            document = None
        entries = document.get(kind) if isinstance(document, dict) else None
        if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
            return error_list(400, "Invalid request format")
        try:
            _check_entries(kind, entries)
        except _InvalidEntryError as invalid:
            detail, where = invalid.args
            return error_list(422, detail, f"/data/attributes/{kind}{where}")
        for entry in entries:
            state.account.metadata[kind].setdefault(entry["name"], {}).update(entry)
        return NO_CONTENT

    return answer


def _check_entries(kind: str, entries: list[Any]) -> None:
    if not entries:
        raise _InvalidEntryError(f"At least one {kind[:-1]} is required", "")
    if len(entries) > MAX_ENTRIES:
        raise _InvalidEntryError(f"Can not update more than {MAX_ENTRIES} {kind} at once", "")
    for index, entry in enumerate(entries):
        name, description = entry.get("name"), entry.get("description", "")
        if not isinstance(name, str) or not name:
            raise _InvalidEntryError("The name is required", f"[{index}].name")
        if not isinstance(description, str) or len(description) > MAX_DESCRIPTION:
            detail = f"The description can not have more than {MAX_DESCRIPTION} characters"
            raise _InvalidEntryError(detail, f"[{index}].description")
        if kind == "attributes" and entry.get("privacy_level", 0) not in (0, 1):
            raise _InvalidEntryError("The privacy level must be 0 or 1", f"[{index}].privacy_level")
