"""Answers and questions of the views."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response

#: Records a page, if the question does not say.
PAGE = 1_000
#: A page ends early when the bodies in it reach this: batches are half a megabyte each.
PAGE_BYTES = 8_000_000
#: No order needs more.
BODY_BYTES = 1_000_000


class Shown(Protocol):
    """A record that can be shown."""

    seq: int
    body: bytes | None

    def view(self) -> dict[str, Any]:
        """As it is shown."""


def shown(document: Any, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(msgspec.json.encode(document), status, media_type="application/json")


def wrong(message: str, status: int = 400) -> Response:
    """What is wrong with a question."""
    return shown({"error": message}, status)


def number(request: Request, name: str, default: int) -> int:
    """A number in the query; anything else is the default."""
    text = request.query_params.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else default


def page_of(request: Request, name: str, records: Iterable[Shown]) -> Response:
    """One page of records; `next` is the `after` of the page that follows, null if there is none."""
    limit = max(1, number(request, "limit", PAGE))
    page: list[Shown] = []
    size = 0
    for record in records:
        if len(page) == limit or size > PAGE_BYTES:
            return shown({name: [each.view() for each in page], "next": page[-1].seq})
        page.append(record)
        size += len(record.body or b"")
    return shown({name: [each.view() for each in page], "next": None})


async def document(request: Request) -> dict[str, Any]:
    """Return the object in the body; an empty body is an empty object. `ValueError` says what is wrong with it."""
    chunks, size = [], 0
    async for chunk in request.stream():
        chunks.append(chunk)
        size += len(chunk)
        if size > BODY_BYTES:
            raise ValueError(f"the body is larger than {BODY_BYTES:,} bytes")
    body = b"".join(chunks)
    try:
        asked = msgspec.json.decode(body) if body.strip() else {}
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(f"the body is not valid JSON: {error}") from None
    if not isinstance(asked, dict):
        raise ValueError("the body must be an object")
    return asked
