"""Parts of a page that renew themselves: by server-sent events, or when asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

#: How often a part is made anew.
INTERVAL_S = 2.0
#: How often a stream looks whether the server stops.
POLL_S = 0.2
#: A stream ends after this time. The browser opens another one, and its session is looked at again.
STREAM_S = 300.0


def live_response(first: str, make: Callable[[], Any], is_closing: Callable[[], bool]) -> Response:
    """Return a part of a page, and what becomes of it, as a stream.

    Args:
        first: the part as it is now.
        make: makes it anew; a `Response` in place of text says that it cannot be made.
        is_closing: whether the server stops.
    """
    headers = {"x-accel-buffering": "no"}  # nginx would hold events back
    return StreamingResponse(
        _events(first, make, is_closing), media_type="text/event-stream", headers=headers
    )


async def _events(
    first: str, make: Callable[[], Any], is_closing: Callable[[], bool]
) -> AsyncIterator[str]:
    ends = time.monotonic() + STREAM_S
    yield event("part", first)
    while time.monotonic() < ends:
        next_at = time.monotonic() + INTERVAL_S
        while time.monotonic() < next_at:
            if is_closing():
                return
            await asyncio.sleep(POLL_S)
        part = await run_in_threadpool(make)
        if not isinstance(part, str):
            # The page says by itself that it is not live any more.
            return
        if part == first:
            yield event("alive", "")
        else:
            first = part
            yield event("part", part)


def event(name: str, data: str) -> str:
    """Return one server-sent event."""
    lines = "".join(f"data: {line}\n" for line in data.splitlines() or [""])
    return f"event: {name}\n{lines}\n"
