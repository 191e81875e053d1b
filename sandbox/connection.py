"""One HTTP exchange, and what a fault does to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from . import published_limits
from .faults import ActiveFault, Fault
from .track.track_messages import Answer

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

#: The extension of the scope in which our server passes the transport.
TRANSPORT = "sandbox.transport"
#: The minimum size of a dripped body: a shorter one could not be spread over time.
DRIP_BYTES = 24


class BodyTooLargeError(Exception):
    """The body is larger than any request of the API."""


class Connection:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send

    async def body(self) -> bytes:
        """Return the body of the request.

        Raises:
            BodyTooLargeError: The body is larger than any request of the API.
        """
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
                raise BodyTooLargeError
        return b"".join(chunks)

    async def answer(self, answer: Answer) -> None:
        """Send an answer."""
        await self._start(answer)
        await self._send({"type": "http.response.body", "body": answer.body})

    async def drip(
        self, answer: Answer, seconds: float, pause: Callable[[float], Awaitable[None]]
    ) -> None:
        """Send an answer's body byte by byte, with calls of ``pause`` between the bytes."""
        # JSON may begin with spaces.
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
        """Close the TCP connection without an answer."""
        self._scope["extensions"][TRANSPORT].abort()
        await self.wait_for_disconnect()

    async def wait_for_disconnect(self) -> None:
        """Return when the client has disconnected."""
        while (await self._receive())["type"] != "http.disconnect":
            await asyncio.sleep(0)


#: Applies the operations of a request and returns the API's answer.
Apply = Callable[[], Answer]
#: Returns the API's answer with a status and a message.
DefaultAnswer = Callable[[int, str], Answer]


async def misbehave(
    active: ActiveFault, connection: Connection, apply: Apply, default_answer: DefaultAnswer
) -> int | None:
    """Do to a request what a fault says.

    Args:
        active: A fault of any kind but ``delay`` and ``reject``.
        connection: The request.
        apply: Applies the operations of the request and returns the API's answer.
        default_answer: Returns the API's answer with a status and a message.

    Returns:
        The status of the answer, or None if there was none.
    """
    fault = active.fault
    kind = fault.kind
    if kind == "drip":
        answer = apply()
        await connection.drip(answer, fault.seconds or 0, lambda gap: pause(active, gap))
        return answer.status
    if kind == "close_after" or (fault.effect and kind != "close_before"):
        apply()
    if kind == "hang":
        await _hang(active, connection)
    if kind in ("close_before", "close_after", "hang"):
        await connection.close()
        return None
    answer = _faulty_answer(fault, default_answer)
    await connection.answer(answer)
    return answer.status


async def _hang(active: ActiveFault, connection: Connection) -> None:
    waits = {
        asyncio.ensure_future(active.deleted.wait()),
        asyncio.ensure_future(connection.wait_for_disconnect()),
    }
    _, pending = await asyncio.wait(
        waits, timeout=active.fault.seconds, return_when=asyncio.FIRST_COMPLETED
    )
    for each in pending:
        each.cancel()


async def pause(active: ActiveFault, seconds: float) -> None:
    """Wait, but only while the fault is in force."""
    try:
        async with asyncio.timeout(seconds):
            await active.deleted.wait()
    except TimeoutError:
        return


def _faulty_answer(fault: Fault, default_answer: DefaultAnswer) -> Answer:
    status = fault.answered_status
    if fault.body is None:
        answer = default_answer(status, fault.message)
    else:
        content_type = (b"content-type", fault.content_type.encode())
        answer = Answer(status, fault.body.encode(), (content_type,))
    if fault.retry_after is not None:
        answer = answer.with_headers((b"retry-after", fault.retry_after.encode()))
    if fault.kind == "redirect":
        location = fault.location or "https://track-eu.customer.io/"
        answer = answer.with_headers((b"location", location.encode()))
    return answer
