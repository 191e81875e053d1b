"""One exchange over HTTP, with the means to break it off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from . import published_limits
from .track.track_answers import Answer

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

#: The scope's extension under which our server hands us the transport.
TRANSPORT = "sandbox.transport"
#: A dripped answer has at least so many bytes, or there would be nothing to drip.
DRIP_BYTES = 24


class TooLarge(Exception):
    """The body is larger than anything the API takes."""


class Connection:
    """Reads the request, sends the answer, or does not."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send

    async def body(self) -> bytes:
        """The request's body."""
        message = await self._receive()
        body: bytes = message.get("body", b"")
        if not message.get("more_body"):
            return body
        chunks, size = [body], len(body)
        while message.get("more_body"):
            message = await self._receive()
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > published_limits.BODY_BYTES:
                raise TooLarge
        return b"".join(chunks)

    async def answer(self, answer: Answer) -> None:
        """Send an answer as it should be."""
        await self._start(answer)
        await self._send({"type": "http.response.body", "body": answer.body})

    async def drip(
        self, answer: Answer, seconds: float, pause: Callable[[float], Awaitable[None]]
    ) -> None:
        """Send an answer's body byte by byte; `pause` waits between them. JSON may begin with spaces."""
        body = answer.body.rjust(DRIP_BYTES) if answer.body else b""
        await self._start(answer._replace(body=body))
        for place in range(len(body)):
            await pause(seconds / len(body))
            await self._send(
                {"type": "http.response.body", "body": body[place : place + 1], "more_body": True}
            )
        await self._send({"type": "http.response.body", "body": b""})

    async def _start(self, answer: Answer) -> None:
        headers = list(answer.headers)
        if answer.status != 204:
            headers.append((b"content-length", str(len(answer.body)).encode()))
        await self._send(
            {"type": "http.response.start", "status": answer.status, "headers": headers}
        )

    async def close(self) -> None:
        """Close the TCP connection without a word."""
        self._scope["extensions"][TRANSPORT].abort()
        await self.gone()

    async def gone(self) -> None:
        """Wait until the client is no longer there."""
        while (await self._receive())["type"] != "http.disconnect":
            await asyncio.sleep(0)
