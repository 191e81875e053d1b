"""Requests of the Track API's v1, read into operations."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from trackrelay.errors import InvalidOperationError
from trackrelay.operations.checks.form_checks import RESERVED
from trackrelay.operations.checks.rejection import RefusalError
from trackrelay.operations.checks.text_checks import open_fields
from trackrelay.operations.ids import is_ulid
from trackrelay.operations.operation import Operation
from trackrelay.operations.payloads import payload

from .leniency import is_blank, operation, operations

log = logging.getLogger("trackrelay")

_DEVICE = ("last_used", "platform", "attributes")


def person_of(identifier: str) -> dict[str, str]:
    """Return the identifiers of a person. In v1 the shape of the identifier decides its kind."""
    if "@" in identifier:
        return {"email": identifier}
    return {"cio_id" if identifier.startswith("cio_") else "id": identifier}


def identify(data: Mapping[str, Any], person: str) -> list[Operation]:
    """Read PUT /customers/{person}. Its attributes also contain instructions."""
    attributes = dict(data)
    timestamp = attributes.pop("_timestamp", None)
    related = attributes.pop("cio_relationships", None)
    adds, deletes = _relationships(related)
    made = payload(
        "person",
        person_of(person),
        "identify",
        timestamp=timestamp,
        attributes=attributes or None,
        cio_relationships=adds,
    )
    if not deletes:
        return [operation(made)]
    # v2 has a separate operation for it.
    undo = payload("person", person_of(person), "delete_relationships", cio_relationships=deletes)
    return operations([made, undo])


def _relationships(related: Any) -> tuple[Any, Any]:
    if related is None:
        return None, None
    action = related.get("action", "add_relationships") if isinstance(related, dict) else None
    if action not in ("add_relationships", "delete_relationships"):
        raise InvalidOperationError(
            "cio_relationships must be "
            "{'action': 'add_relationships' or 'delete_relationships', 'relationships': […]}",
            field="attributes.cio_relationships",
            limit="an action and relationships",
            actual="something else",
        )
    relationships = related.get("relationships") or None
    return (relationships, None) if action == "add_relationships" else (None, relationships)


def bare(action: str) -> Callable[..., list[Operation]]:
    """Return the reader of a request without a body: deletion, suppression and its end."""

    def read(data: Mapping[str, Any], person: str) -> list[Operation]:
        return [operation(payload("person", person_of(person), action))]

    return read


def event(data: Mapping[str, Any], person: str) -> list[Operation]:
    """Read POST /customers/{person}/events."""
    return [_event("person", person_of(person), data)]


def anonymous_event(data: Mapping[str, Any]) -> list[Operation]:
    """Read POST /events: an anonymous event, or an invite."""
    anonymous_id = data.get("anonymous_id")
    who = {} if is_blank(anonymous_id) else {"anonymous_id": anonymous_id}
    return [_event("anonymous", who, data)]


def _event(type: str, who: Mapping[str, Any], data: Mapping[str, Any]) -> Operation:
    kind = data.get("type")
    action = kind if kind in ("page", "screen") else "event"
    fields = {
        "id": _event_id(data.get("id")),
        "timestamp": data.get("timestamp"),
        "attributes": data.get("data"),
    }
    return operation(payload(type, who, action, name=data.get("name"), **fields))


def _event_id(given: Any) -> Any:
    """Return the id of an event, or None for one that Customer.io ignores.

    The PHP client sends the id of the person.
    """
    if given is None or (isinstance(given, str) and is_ulid(given.upper())):
        return given
    log.warning(
        "trackrelay: the id of an event is no ULID and was left out: Customer.io recognises "
        "repeats by ULIDs"
    )
    return None


def add_device(data: Mapping[str, Any], person: str) -> list[Operation]:
    """Read PUT /customers/{person}/devices."""
    given = data.get("device")
    given = given if isinstance(given, dict) else {}
    device = {"token": given.get("id")} | {
        name: given[name] for name in _DEVICE if given.get(name) is not None
    }
    for name in given.keys() - {"id", *_DEVICE}:
        # The API accepts it silently.
        log.warning("trackrelay: a device has no field %r; did you mean attributes={…}?", name)
        with suppress(RefusalError):
            device |= open_fields({name: given[name]}, ("token", *_DEVICE))
    return [operation(payload("person", person_of(person), "add_device", device=device))]


def delete_device(data: Mapping[str, Any], person: str, token: str) -> list[Operation]:
    """Read DELETE /customers/{person}/devices/{token}."""
    return [
        operation(payload("person", person_of(person), "delete_device", device={"token": token}))
    ]


def merge(data: Mapping[str, Any]) -> list[Operation]:
    """Read POST /merge_customers."""
    return [operation({"type": "person", "action": "merge", **data})]


def segment(action: str) -> Callable[..., list[Operation]]:
    """Return the reader of POST /segments/{segment}/…: an operation for each id."""

    def read(data: Mapping[str, Any], segment: str, id_type: str = "id") -> list[Operation]:
        ids = data.get("ids")
        if not isinstance(ids, list) or not ids:
            raise InvalidOperationError(
                "ids of a segment must be a list of at least one id",
                field="ids",
                limit="a list of ids",
                actual="none",
            )
        made = {"type": "segment", "action": action, "identifiers": {"segment_id": segment}}
        return operations(
            [{**made, "person": {id_type: id}} for id in ids if not _is_ignored(id, id_type)]
        )

    return read


def _is_ignored(id: Any, id_type: str) -> bool:
    """Return whether Customer.io ignores an id for a segment, because it is blank or no address."""
    return isinstance(id, str) and (is_blank(id) or (id_type == "email" and "@" not in id))


def form(data: Mapping[str, Any], form: str) -> list[Operation]:
    """Read POST /forms/{form}/submit."""
    given = data.get("data")
    if not isinstance(given, dict):
        raise InvalidOperationError(
            "data of a form must be an object",
            field="data",
            limit="an object",
            actual="another type",
        )
    fields = {name: value for name, value in given.items() if name not in RESERVED}
    person = {
        kind: fields.pop(kind) for kind in ("id", "email") if fields.get(kind) not in (None, "")
    }
    made = {"type": "form", "action": "submit", "identifiers": {"form_id": form}, "person": person}
    return [operation({**made, "attributes": fields})]


def metric(data: Mapping[str, Any]) -> list[Operation]:
    """Read POST /metrics."""
    rest = {name: data.get(name) for name in ("recipient", "reason", "href", "timestamp")}
    return [
        operation(
            payload(
                "delivery",
                {"id": data.get("delivery_id")},
                "metric",
                name=data.get("metric"),
                **rest,
            )
        )
    ]


def push_metric(data: Mapping[str, Any]) -> list[Operation]:
    """Read POST /push/events, which /metrics has superseded."""
    if is_blank(data.get("delivery_id")) or data.get("event") is None:
        log.warning(
            "trackrelay: a push metric without delivery_id or event was ignored, as Customer.io "
            "ignores it"
        )
        return []
    told = {
        "delivery_id": data.get("delivery_id"),
        "metric": data.get("event"),
        "recipient": data.get("device_id"),
    }
    return metric({**told, "timestamp": data.get("timestamp")})


def unsubscribe(data: Mapping[str, Any], delivery: str) -> list[Operation]:
    """Read POST /unsubscribe/{delivery}."""
    if data.get("unsubscribe") is not True:
        log.warning(
            "trackrelay: an unsubscribe that does not say true was ignored, as Customer.io ignores "
            "it"
        )
        return []
    return [operation(payload("delivery", {"id": delivery}, "unsubscribe"))]
