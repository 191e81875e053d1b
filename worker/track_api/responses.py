"""What a response means. Pure: no clock, no socket, no store.

Only a response with the documented body means that something was delivered. Every response that is
not documented is the endpoint's problem, never the job's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

from trackrelay.operations.json_values import NotJsonError, decode_json
from trackrelay.transport.answers import Answer, NoAnswer

from .request_builder import Request

#: Characters kept of one error's text.
MAX_WORDS = 500
#: Errors kept of one operation. Further ones are only counted.
MAX_ERRORS = 20
#: Characters kept of all texts together.
MAX_MESSAGE = 4_000
#: A longer header is neither a number of seconds nor a date.
_MAX_HEADER = 100

_SECONDS = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?")


@dataclass(frozen=True, slots=True)
class FieldError:
    """One error of an operation, in Customer.io's words."""

    message: str
    reason: str | None = None
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why Customer.io refused an operation, in its words."""

    #: All errors: ``attributes.a: too long; attributes.b: too long``.
    message: str
    status: int
    #: Of the first error.
    reason: str | None = None
    field: str | None = None
    #: Each of several errors, up to ``MAX_ERRORS``; empty if there is only one.
    errors: tuple[FieldError, ...] = ()


@dataclass(frozen=True, slots=True)
class Accepted:
    """Customer.io took the request: all is delivered but the operations refused by index."""

    refused: Mapping[int, Refusal]


@dataclass(frozen=True, slots=True)
class Refused:
    """Customer.io refused the whole request: nothing is delivered."""

    refusal: Refusal


@dataclass(frozen=True, slots=True)
class AuthRejected:
    """A 401, 403 or 3xx. The region endpoint knows whether the credentials are the cause."""

    status: int
    error: str


@dataclass(frozen=True, slots=True)
class EndpointFailure:
    """The endpoint failed. That says nothing against the jobs."""

    error: str
    status: int | None = None
    #: Seconds that the endpoint asked to wait.
    retry_after_s: float | None = None

    @property
    def too_fast(self) -> bool:
        """Whether the endpoint said that requests come too fast."""
        return self.status == 429


Classification = Accepted | Refused | AuthRejected | EndpointFailure

#: The longest Retry-After that is believed without a documented error, as on a proxy's page.
MAX_FOREIGN_RETRY_AFTER_S = 300.0

_REFUSALS_OF_ONE = {400, 404, 413, 422}
_REFUSALS_OF_BATCH = {400, 413}
#: v1 endpoints whose success has no documented body.
_BODILESS = ("/api/v1/metrics", "/unsubscribe/")


def classify_response(request: Request, answer: Answer | NoAnswer) -> Classification:
    """Return what ``answer`` to ``request`` means."""
    if isinstance(answer, NoAnswer):
        return EndpointFailure(answer.error)
    status = answer.status
    if status in (401, 403) or 300 <= status < 400:
        return AuthRejected(status, _said(answer))
    if status == 207 and request.kind == "batch":
        return _partly_accepted(request, answer)
    if _is_success(request, answer):
        return Accepted({})
    refusals = _REFUSALS_OF_BATCH if request.size > 1 else _REFUSALS_OF_ONE
    if status in refusals and (refusal := _refusal(answer)):
        return Refused(refusal)
    wait_s = retry_after_s(answer.retry_after, answer.date)
    if wait_s is not None and _refusal(answer) is None:
        wait_s = min(wait_s, MAX_FOREIGN_RETRY_AFTER_S)
    return EndpointFailure(_said(answer), status, wait_s)


def retry_after_s(header: str | None, date: str | None = None) -> float | None:
    """Return the seconds in a Retry-After header; None if it is missing or makes no sense.

    HTTP also allows a date. It counts from the answer's own ``date``, because a worker's clock may
    be minutes off.
    """
    if not header or len(header) > _MAX_HEADER:
        return None
    if _SECONDS.fullmatch(header.strip(" \t")):
        return float(header)
    until, answered = _moment(header), _moment(date)
    if until is None or answered is None or until < answered:
        return None
    return until - answered


def _moment(header: str | None) -> float | None:
    """Return a date header as unix seconds. Python's parser raises more than ValueError."""
    if not header or len(header) > _MAX_HEADER:
        return None
    try:
        moment = parsedate_to_datetime(header)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError):
        return None


def _is_success(request: Request, answer: Answer) -> bool:
    if answer.status == 204:
        return request.path.startswith("/api/v1/forms/") and not answer.body
    if answer.status != 200:
        return False
    if not answer.body and request.path.startswith(_BODILESS):
        return True
    return isinstance(_json(answer.body), dict)


def _partly_accepted(request: Request, answer: Answer) -> Classification:
    document = _json(answer.body)
    errors = document.get("errors") if isinstance(document, dict) else None
    if not isinstance(errors, list):
        return EndpointFailure(f"207 without errors: {_said(answer)}", 207)
    found: dict[int, list[Mapping[str, Any]]] = {}
    for error in errors:
        index = error.get("batch_index") if isinstance(error, dict) else None
        if type(index) is not int or not 0 <= index < request.size:
            shown = (
                f"{index:,}" if type(index) is int and abs(index) < 1e15 else type(index).__name__
            )
            return EndpointFailure(
                f"207 with an index that makes no sense: {shown} of {request.size:,}", 207
            )
        found.setdefault(index, []).append(error)
    return Accepted({index: _v2_refusal(of, 207) for index, of in found.items()})


def _refusal(answer: Answer) -> Refusal | None:
    document = _json(answer.body)
    if not isinstance(document, dict):
        return None
    errors = document.get("errors")
    found = [each for each in errors if isinstance(each, dict)] if isinstance(errors, list) else []
    if found:
        return _v2_refusal(found, answer.status)
    meta = document.get("meta")
    if not isinstance(meta, dict):
        return None
    said = meta.get("errors", meta.get("error"))
    words = [
        word
        for word in (said if isinstance(said, list) else [said])
        if isinstance(word, str) and word
    ]
    if not words:
        return None
    return _refusal_of(
        [FieldError(word[:MAX_WORDS]) for word in words[:MAX_ERRORS]], answer.status, len(words)
    )


def _v2_refusal(errors: Sequence[Mapping[str, Any]], status: int) -> Refusal:
    return _refusal_of([_field_error(error) for error in errors[:MAX_ERRORS]], status, len(errors))


def _field_error(error: Mapping[str, Any]) -> FieldError:
    def text(name: str) -> str | None:
        value = error.get(name)
        return value[:MAX_WORDS] if isinstance(value, str) and value else None

    return FieldError(
        text("message") or text("reason") or "no reason given", text("reason"), text("field")
    )


def _refusal_of(errors: Sequence[FieldError], status: int, count: int) -> Refusal:
    """Return one refusal for all errors of an operation: ``errors`` are the first of ``count``."""
    first, distinct = errors[0], tuple(dict.fromkeys(errors))
    if len(distinct) == 1 and count == len(errors):
        return Refusal(first.message, status, first.reason, first.field)
    message = "; ".join(
        f"{each.field}: {each.message}" if each.field else each.message for each in distinct
    )
    if len(message) > MAX_MESSAGE:
        message = f"{message[:MAX_MESSAGE]}…"
    if count > len(errors):
        message += f"; and {count - len(errors):,} more"
    return Refusal(message, status, first.reason, first.field, distinct)


def _json(body: bytes) -> Any:
    try:
        return decode_json(body)
    except NotJsonError:
        return None


def _said(answer: Answer) -> str:
    # Quote only documented errors: other text may echo the payload.
    refusal = _refusal(answer)
    if refusal:
        return f"{answer.status}: {refusal.message}"
    kind = (
        "nothing"
        if not answer.body
        else "JSON"
        if _json(answer.body) is not None
        else "something that is not JSON"
    )
    return f"{answer.status} with {kind} of {len(answer.body)} bytes"
