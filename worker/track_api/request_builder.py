"""Requests to the Track API, built from encoded documents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote, urlencode

import msgspec

from trackrelay.operations.json_values import decode_json
from trackrelay.operations.limits import SEGMENT_ID
from trackrelay.operations.registry import BY_NAME, V1Request

Kind = Literal["batch", "entity", "v1"]

BATCH_PATH = "/api/v2/batch"
ENTITY_PATH = "/api/v2/entity"
REGION_PATH = "/api/v1/accounts/region"
#: Producers accept names of up to 1,000 bytes, which are three characters each when
#: percent-encoded. Servers refuse longer paths with pages of their own, which would look like an
#: outage.
MAX_PATH_SEGMENT = 3_000


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, ready to be sent."""

    kind: Kind
    path: str
    body: bytes
    #: How many operations it carries.
    size: int


class UnsendableDocumentError(Exception):
    """A document that fits no request: it bypassed the checks, or another version wrote it."""


def batch(bodies: Sequence[bytes]) -> Request:
    """Return v2 operations in one request. One operation alone is no batch."""
    if len(bodies) == 1:
        return Request("entity", ENTITY_PATH, bodies[0], 1)
    return Request("batch", BATCH_PATH, b'{"batch":[' + b",".join(bodies) + b"]}", len(bodies))


def segment_endpoint(body: bytes) -> str:
    """Return the path and query of a segment operation. Those with the same share a request.

    Raises:
        UnsendableDocumentError: it names no segment, person or action.
    """
    return _segment_member(body)[0]


def segment(bodies: Sequence[bytes]) -> Request:
    """Return segment operations with the same endpoint in one request of up to 1,000 ids.

    Raises:
        UnsendableDocumentError: one of them names no segment, person or action.
    """
    members = [_segment_member(body) for body in bodies]
    return Request(
        "v1", members[0][0], msgspec.json.encode({"ids": [id for _, id in members]}), len(bodies)
    )


def _segment_member(body: bytes) -> tuple[str, str]:
    try:
        document = decode_json(body)
        kind, value = _identifier(document["person"])
        verb = {"add": "add_customers", "remove": "remove_customers"}[document["action"]]
        path = f"/api/v1/segments/{_segment(document)}/{verb}?{urlencode({'id_type': kind})}"
    except _NOT_A_DOCUMENT as error:
        raise UnsendableDocumentError(f"it names no segment or person: {_brief(error)}") from None
    return path, value


def single(operation: str, body: bytes) -> Request:
    """Return the v1 request for one operation that v2 cannot carry.

    Raises:
        UnsendableDocumentError: no v1 endpoint takes the operation.
    """
    try:
        path, payload = _SINGLES[BY_NAME[operation].v1_request](decode_json(body))
        return Request("v1", path, msgspec.json.encode(payload), 1)
    except _NOT_A_DOCUMENT as error:
        raise UnsendableDocumentError(
            f"{operation[:100]} has no v1 request: {_brief(error)}"
        ) from None


#: What the functions below raise for a document of another shape.
_NOT_A_DOCUMENT = (
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)


def _brief(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:200]}"


def _identifier(person: dict[str, str]) -> tuple[str, str]:
    ((kind, value),) = person.items()
    if not isinstance(value, str):
        raise TypeError(f"{kind[:100]} is not text")
    return kind, value


def _segment(document: dict[str, Any]) -> int:
    number = int(document["identifiers"]["segment_id"])
    if not 0 <= number <= SEGMENT_ID:
        raise ValueError(f"a segment's id is at most {SEGMENT_ID}")
    return number


def path_segment(value: str) -> str:
    """Return ``value`` as one segment of a path.

    ``.`` and ``..`` would name another endpoint even when encoded.

    Raises:
        ValueError: it cannot stand in a path.
    """
    if value in ("", ".", ".."):
        raise ValueError(f"{value!r} cannot stand in a path")
    segment = quote(value, safe="")
    if len(segment) > MAX_PATH_SEGMENT:
        raise ValueError(
            f"{len(segment):,} characters cannot stand in a path: {MAX_PATH_SEGMENT:,} at most"
        )
    return segment


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
    return f"/api/v1/forms/{form}/submit", {
        "data": {**document.get("attributes", {}), **document["person"]}
    }


def _metric(document: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    payload = {"delivery_id": document["identifiers"]["id"], "metric": document["name"]}
    names = ("recipient", "reason", "href", "timestamp")
    return "/api/v1/metrics", payload | {name: document[name] for name in names if name in document}


def _unsubscribe(document: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return f"/unsubscribe/{path_segment(document['identifiers']['id'])}", {"unsubscribe": True}


_SINGLES: dict[V1Request | None, Callable[[dict[str, Any]], tuple[str, dict[str, Any]]]] = {
    V1Request.PERSON_EVENT: _person_event,
    V1Request.ANONYMOUS_EVENT: _anonymous_event,
    V1Request.FORM: _form,
    V1Request.METRIC: _metric,
    V1Request.UNSUBSCRIBE: _unsubscribe,
}
