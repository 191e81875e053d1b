"""Requests and responses of the control endpoints."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

#: Maximum size of a request's body.
BODY_BYTES = 1_000_000


def json_response(document: Any, status: int = 200) -> Response:
    """Return a JSON response."""
    return Response(msgspec.json.encode(document), status, media_type="application/json")


def error_response(message: str, status: int = 400) -> Response:
    """Return a response that says what is wrong with the request."""
    return json_response({"error": message}, status)


def path_number(request: Request) -> int:
    """Return the number in the path; 0 if it is none."""
    text = str(request.path_params["number"])[:10]
    return int(text) if text.isascii() and text.isdigit() else 0


async def read_document(request: Request) -> dict[str, Any]:
    """Return the object in the body; an empty body counts as an empty object.

    Raises:
        ValueError: The body is too large, or not an object in JSON.
    """
    chunks, size = [], 0
    async for chunk in request.stream():
        chunks.append(chunk)
        size += len(chunk)
        if size > BODY_BYTES:
            raise ValueError(f"the body is larger than {BODY_BYTES:,} bytes")
    body = b"".join(chunks)
    try:
        document = msgspec.json.decode(body) if body.strip() else {}
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(f"the body is not valid JSON: {error}") from None
    if not isinstance(document, dict):
        raise ValueError("the body must be an object")
    return document
