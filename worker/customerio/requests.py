"""Requests to the Track API, built from documents that are already encoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote, urlencode

import msgspec

Kind = Literal["batch", "entity", "v1"]

BATCH_PATH = "/api/v2/batch"
ENTITY_PATH = "/api/v2/entity"
REGION_PATH = "/api/v1/accounts/region"


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, ready to be sent."""

    kind: Kind
    path: str
    body: bytes
    #: How many operations it carries.
    size: int


class UnsendableDocument(Exception):
    """A document that fits no request: it was changed behind the checks, or written by another version."""


def batch(bodies: Sequence[bytes]) -> Request:
    """Some v2 operations in one request; a single one goes by itself, so that its answer is its own."""
    if len(bodies) == 1:
        return Request("entity", ENTITY_PATH, bodies[0], 1)
    return Request("batch", BATCH_PATH, b'{"batch":[' + b",".join(bodies) + b"]}", len(bodies))


def segment_endpoint(body: bytes) -> str:
    """The path and query of a segment operation: those with the same one can be gathered in one request."""
    document = msgspec.json.decode(body)
    kind, _ = _identifier(document["person"])
    verb = {"add": "add_customers", "remove": "remove_customers"}[document["action"]]
    return f"/api/v1/segments/{_segment(document)}/{verb}?{urlencode({'id_type': kind})}"


def segment(bodies: Sequence[bytes]) -> Request:
    """Segment operations with the same endpoint in one request of up to 1,000 ids."""
    ids = [_identifier(msgspec.json.decode(body)["person"])[1] for body in bodies]
    return Request("v1", segment_endpoint(bodies[0]), msgspec.json.encode({"ids": ids}), len(bodies))


def single(operation: str, body: bytes) -> Request:
    """The v1 request for one operation that v2 cannot carry.

    Raises:
        UnsendableDocument: no v1 endpoint takes it.
    """
    document = msgspec.json.decode(body)
    try:
        path, payload = _SINGLES[operation](document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnsendableDocument(f"{operation} has no v1 request: {type(error).__name__}: {error}") from error
    return Request("v1", path, msgspec.json.encode(payload), 1)


def _identifier(person: dict[str, str]) -> tuple[str, str]:
    ((kind, value),) = person.items()
    return kind, value


def _segment(document: dict[str, Any]) -> int:
    return int(document["identifiers"]["segment_id"])


def path_segment(value: str) -> str:
    """``value`` as one segment of a path. ``.`` and ``..`` would name another endpoint even when encoded.

    Raises:
        ValueError: it cannot stand in a path.
    """
    if value in ("", ".", ".."):
        raise ValueError(f"{value!r} cannot stand in a path")
    return quote(value, safe="")


def _event(document: dict[str, Any]) -> dict[str, Any]:
    payload: dict[str, Any] = {
        "name": document["name"],
        "type": document["action"],
        "data": document.get("attributes", {}),
    }
    payload |= {name: document[name] for name in ("id", "timestamp") if name in document}
    return payload


def _person_event(document: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    kind, person = _identifier(document["identifiers"])
    # v1 tells what an identifier is by its shape: a cio_id by this beginning.
    shaped = f"cio_{person}" if kind == "cio_id" else person
    return f"/api/v1/customers/{path_segment(shaped)}/events", _event(document)


def _anonymous_event(document: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "/api/v1/events", {**_event(document), **document.get("identifiers", {})}


def _form(document: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    form = path_segment(document["identifiers"]["form_id"])
    return f"/api/v1/forms/{form}/submit", {"data": {**document.get("attributes", {}), **document["person"]}}


def _metric(document: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    payload = {"delivery_id": document["identifiers"]["id"], "metric": document["name"]}
    names = ("recipient", "reason", "href", "timestamp")
    return "/api/v1/metrics", payload | {name: document[name] for name in names if name in document}


def _unsubscribe(document: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return f"/unsubscribe/{path_segment(document['identifiers']['id'])}", {"unsubscribe": True}


_SINGLES = {
    "person.event": _person_event,
    "person.page": _person_event,
    "anonymous.event": _anonymous_event,
    "anonymous.page": _anonymous_event,
    "anonymous.screen": _anonymous_event,
    "form.submit": _form,
    "delivery.metric": _metric,
    "delivery.unsubscribe": _unsubscribe,
}
