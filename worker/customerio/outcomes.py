"""What an answer means. Pure: no clock, no socket, no store.

Delivered needs the documented body. Whatever is not listed here is the endpoint's problem, never the job's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from .requests import Request


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back over HTTP."""

    status: int
    body: bytes
    #: The Retry-After header, as sent.
    retry_after: str | None = None
    #: The Date header, as sent: when the endpoint answered, by its own clock.
    date: str | None = None


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Nothing usable came back: a timeout, a connection that failed or broke."""

    error: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why Customer.io refused an operation, in its words."""

    message: str
    status: int
    reason: str | None = None
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The request was taken: everything in it is delivered but the operations refused by index."""

    refused: Mapping[int, Refusal]


@dataclass(frozen=True, slots=True)
class Refused:
    """The request as a whole was refused: nothing of it was taken."""

    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Denied:
    """Credentials, permissions or the address: 401, 403, 3xx. The region endpoint knows whose problem it is."""

    status: int
    error: str


@dataclass(frozen=True, slots=True)
class Troubled:
    """The endpoint's problem."""

    error: str
    status: int | None = None
    #: Seconds the endpoint asked to be left alone.
    retry_after_s: float | None = None

    @property
    def too_fast(self) -> bool:
        """Whether the endpoint said that requests come too fast."""
        return self.status == 429


Meaning = Accepted | Refused | Denied | Troubled

#: A Retry-After that comes with anything but the API's documented errors, such as a proxy's page, is believed up to so many seconds.
MAX_FOREIGN_RETRY_AFTER_S = 300.0

_REFUSALS_OF_ONE = {400, 404, 413, 422}
_REFUSALS_OF_BATCH = {400, 413}
#: v1 endpoints whose success has no documented body.
_BODILESS = ("/api/v1/metrics", "/unsubscribe/")


def meaning(request: Request, answer: Answer | NoAnswer) -> Meaning:
    """What ``answer`` to ``request`` means."""
    if isinstance(answer, NoAnswer):
        return Troubled(answer.error)
    status = answer.status
    if status in (401, 403) or 300 <= status < 400:
        return Denied(status, _said(answer))
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
    return Troubled(_said(answer), status, wait_s)


def retry_after_s(header: str | None, date: str | None = None) -> float | None:
    """Seconds in a Retry-After header; None if there is none, or none that makes sense.

    A moment, which HTTP allows too, counts from the answer's own ``date``: a worker's clock may be minutes off the endpoint's.
    """
    try:
        seconds = float(header) if header else -1.0
    except ValueError:
        until, answered = _moment(header), _moment(date)
        seconds = (until - answered).total_seconds() if until and answered else -1.0
    return seconds if 0 <= seconds < float("inf") else None


def _moment(header: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(header or "")
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _is_success(request: Request, answer: Answer) -> bool:
    if answer.status == 204:
        return request.path.startswith("/api/v1/forms/") and not answer.body
    if answer.status != 200:
        return False
    if not answer.body and request.path.startswith(_BODILESS):
        return True
    return isinstance(_json(answer.body), dict)


def _partly_accepted(request: Request, answer: Answer) -> Meaning:
    document = _json(answer.body)
    errors = document.get("errors") if isinstance(document, dict) else None
    if not isinstance(errors, list) or not errors:
        return Troubled(f"207 without errors: {_said(answer)}", 207)
    refused: dict[int, Refusal] = {}
    for error in errors:
        index = error.get("batch_index") if isinstance(error, dict) else None
        if type(index) is not int or not 0 <= index < request.size or index in refused:
            return Troubled(f"207 with an index that makes no sense: {index!r} of {request.size}", 207)
        refused[index] = _v2_refusal(error, 207)
    return Accepted(refused)


def _refusal(answer: Answer) -> Refusal | None:
    document = _json(answer.body)
    if not isinstance(document, dict):
        return None
    errors = document.get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        return _v2_refusal(errors[0], answer.status)
    meta = document.get("meta")
    if not isinstance(meta, dict):
        return None
    said = meta.get("errors", meta.get("error"))
    words = [word for word in (said if isinstance(said, list) else [said]) if isinstance(word, str) and word]
    return Refusal("; ".join(words), answer.status) if words else None


def _v2_refusal(error: Mapping[str, Any], status: int) -> Refusal:
    def text(name: str) -> str | None:
        value = error.get(name)
        return value[:500] if isinstance(value, str) and value else None

    return Refusal(text("message") or text("reason") or "no reason given", status, text("reason"), text("field"))


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _said(answer: Answer) -> str:
    # What the endpoint says is kept, but not whatever it may echo of what it was sent: only documented shapes are quoted.
    refusal = _refusal(answer)
    if refusal:
        return f"{answer.status}: {refusal.message}"
    kind = "nothing" if not answer.body else "JSON" if _json(answer.body) is not None else "something that is not JSON"
    return f"{answer.status} with {kind} of {len(answer.body)} bytes"
