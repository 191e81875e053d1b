"""The App API's operations about activities."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from trackrelay.sandbox import published_limits
from trackrelay.sandbox.parsed_operations import JsonObject, person_ref
from trackrelay.sandbox.track.track_messages import Request
from trackrelay.sandbox.workspace.activities import Entry, StoredEvent, entry_id
from trackrelay.sandbox.workspace.conditions import text
from trackrelay.sandbox.workspace.workspace_state import State

from .app_messages import (
    BadRequestError,
    Limit,
    find_person,
    id_type,
    identifiers,
    page,
    path_person,
)

_LIMIT = Limit(10, 100)
_TYPE = re.compile(r"[a-z_]+|_o:[0-9]+:[a-z_]+|_r:[0-9]+:[a-z_]+")


def of_person(state: State, request: Request) -> JsonObject:
    """Answer getPersonActivities."""
    person = path_person(state, request)
    entries = state.activities.of_person(person.cio_id, person.events, _type(request))
    return _answer(state, request, entries)


def all_activities(state: State, request: Request) -> JsonObject:
    """Answer listActivities: those of deleted people only if they are asked for."""
    type = _type(request)
    entries = state.activities.latest(type)
    deleted = request.query("deleted", "false").lower() in ("true", "1")
    customer_id = request.query("customer_id", "")
    if customer_id:
        cio_id = _cio_id(state, id_type(state, request), customer_id, deleted)
        person = state.people.by_cio_id(cio_id or "")
        if person is not None:
            entries = state.activities.of_person(person.cio_id, person.events, type)
        entries = (entry for entry in entries if entry.cio_id == cio_id is not None)
    return _answer(
        state, request, (entry for entry in entries if _is_deleted(state, entry) is deleted)
    )


def _cio_id(state: State, kind: str, value: str, deleted: bool) -> str | None:
    """Return the cio_id of a person whom the query names: here a cio_id needs its prefix."""
    if kind == "cio_id" and not value.startswith("cio_"):
        return None
    if not deleted:
        person = find_person(state, kind, value)
        return person.cio_id if person else None
    if kind == "cio_id":
        return value.removeprefix("cio_")
    key = person_ref(kind, value).key
    for cio_id, named in reversed(state.people.deleted.items()):
        if kind in named and person_ref(kind, named[kind]).key == key:
            return cio_id
    return None


def _is_deleted(state: State, entry: Entry) -> bool:
    return entry.cio_id is not None and state.people.by_cio_id(entry.cio_id) is None


def _type(request: Request) -> str:
    """Return the type of the activities that a request asks for; "" is any.

    Raises:
        BadRequestError: It is no type.
    """
    type = request.query("type", "")
    if type and not _TYPE.fullmatch(type):
        raise BadRequestError("type is no type of activity")
    return type


def _answer(state: State, request: Request, entries: Iterable[Entry]) -> JsonObject:
    found, more = page(state, request, _chosen(state, request, entries), _LIMIT, _place)
    return {"activities": [_view(state, entry) for entry in found], **more}


def _place(entry: Entry) -> int:
    seq, count = entry.order
    # The newest comes first, and places ascend.
    return -(seq << 40 | count)


def _chosen(state: State, request: Request, entries: Iterable[Entry]) -> Iterator[Entry]:
    """Return the entries of the last 30 days that have the name in a request."""
    name = request.query("name", "")
    since = state.clock.now() - published_limits.EVENT_HISTORY_S
    return (
        entry
        for entry in entries
        if entry.at >= since
        and (not name or entry.concerns(name))
        and not (isinstance(entry, StoredEvent) and entry.cio_id is None)
    )


def _view(state: State, entry: Entry) -> JsonObject:
    shown: JsonObject = {"id": entry_id(entry), "type": entry.type, "timestamp": int(entry.at)}
    if entry.cio_id is not None:
        person = state.people.by_cio_id(entry.cio_id)
        gone = state.people.deleted.get(entry.cio_id, {})
        named = identifiers(person) if person else {**_of_deleted(gone), "cio_id": entry.cio_id}
        shown |= {"customer_id": named["id"], "customer_identifiers": named}
    if entry.name:
        shown["url" if entry.type == "page" else "name"] = entry.name
    if isinstance(entry, StoredEvent):
        return shown
    if entry.data is not None:
        shown["data"] = _data(entry.data)
    return shown | (entry.fields or {})


def _of_deleted(gone: dict[str, str]) -> dict[str, str | None]:
    return {"email": gone.get("email"), "id": gone.get("id")}


def _data(data: JsonObject | tuple[Any, ...]) -> JsonObject:
    if isinstance(data, tuple):
        return {
            name: {"from": _change_text(old), "to": _change_text(new)}
            for name, old, new in zip(data[::3], data[1::3], data[2::3], strict=True)
        }
    return {
        name: (
            {**value, "from": _change_text(value["from"]), "to": _change_text(value["to"])}
            if isinstance(value, dict) and "from" in value
            else value
        )
        for name, value in data.items()
    }


def _change_text(value: Any) -> str:
    return "" if value is None else text(value)
