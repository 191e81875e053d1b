"""What an answer of the App API means. Pure: no clock, no socket."""

from __future__ import annotations

import re
from typing import Any

from trackrelay.operations.checks.rejection import cut, printable
from trackrelay.operations.json_values import NotJsonError, decode_json
from trackrelay.transport.answers import Answer, NoAnswer

from .app_api_errors import (
    AppApiAuthError,
    AppApiError,
    AppApiNotFoundError,
    AppApiRequestError,
    AppApiResponseError,
    AppApiUnavailableError,
)
from .json_fields import Fields
from .read_requests import Read

#: Characters kept of Customer.io's own words.
MAX_WORDS = 500
#: A longer wait than this is not honoured.
MAX_RETRY_AFTER_S = 30.0

_SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")
_CHECK_URL = "check CUSTOMERIO_APP_URL, and proxies on the way"


def document_of(answer: Answer | NoAnswer, read: Read[Any], base_url: str) -> Fields:
    """Return the document of a successful answer.

    Raises:
        AppApiUnavailableError: it is worth another try.
        AppApiError: it is not.
    """
    if isinstance(answer, NoAnswer):
        if answer.is_too_long:
            raise AppApiResponseError(f"{read.label} gave {answer.error}: ask for smaller pages")
        raise AppApiUnavailableError(f"{base_url} cannot be reached: {answer.error}")
    status = answer.status
    if status == 204:
        return Fields({})
    if status != 200:
        raise _failure(answer, read, base_url)
    try:
        return Fields(decode_json(answer.body))
    except NotJsonError as error:
        raise _unlike(read, f"no JSON ({error})" if answer.body else "nothing", status) from None
    except AppApiResponseError as error:
        raise _unlike(read, str(error), status) from None


def result_of(fields: Fields, read: Read[Any]) -> Any:
    """Return the result of a read.

    Raises:
        AppApiResponseError: the document is not as described.
    """
    try:
        return read.parse(fields)
    except AppApiResponseError as error:
        raise _unlike(read, str(error), 200) from None


def retry_after_s(answer: Answer | NoAnswer) -> float | None:
    """Return the seconds that the answer asks to wait, or None if it does not ask.

    At most ``MAX_RETRY_AFTER_S``.
    """
    header = answer.retry_after if isinstance(answer, Answer) else None
    if header and _SECONDS.fullmatch(header.strip()):
        return min(float(header), MAX_RETRY_AFTER_S)
    return None


def _failure(answer: Answer, read: Read[Any], base_url: str) -> AppApiError:
    status = answer.status
    if status in (401, 403):
        return AppApiAuthError(
            f"{base_url} refuses CUSTOMERIO_APP_API_KEY ({status}): it may be a Track API key, "
            "belong to another region, or not be allowed to read this",
            status=status,
        )
    if status == 404 and read.subject:
        return AppApiNotFoundError(f"Customer.io has no such {read.subject} (404)", status=404)
    if status in (408, 425, 429) or status >= 500:
        meaning = "it limits requests" if status == 429 else "it has an outage"
        return AppApiUnavailableError(
            f"{base_url} answers with status {status}: {meaning}", status=status
        )
    if status in (400, 409, 413, 414, 422):
        words = _words(answer.body)
        hint = (
            f"; {read.id_type} may not be switched on as an identifier in the workspace"
            if read.id_type in ("email", "phone")
            else ""
        )
        said = f": {words}" if words else ""
        return AppApiRequestError(
            f"Customer.io refuses {read.label} ({status}){said}{hint}", status=status
        )
    return AppApiResponseError(
        f"{base_url} answers {read.label} with status {status}, unlike Customer.io's App API: "
        f"{_CHECK_URL}",
        status=status,
    )


def _unlike(read: Read[Any], problem: str, status: int) -> AppApiResponseError:
    return AppApiResponseError(
        f"the answer to {read.label} is not as the App API describes it: {problem[:200]}",
        status=status,
    )


def _words(body: bytes) -> str:
    """Return Customer.io's words in a refusal, of either form that is described."""
    try:
        document = decode_json(body)
    except NotJsonError:
        return ""
    if not isinstance(document, dict):
        return ""
    meta = document.get("meta")
    listed = meta.get("errors") if isinstance(meta, dict) else document.get("errors")
    words = [
        each.get("detail") if isinstance(each, dict) else each
        for each in (listed if isinstance(listed, list) else [])[:20]
    ]
    return printable(cut("; ".join(each for each in words if isinstance(each, str)), MAX_WORDS))
