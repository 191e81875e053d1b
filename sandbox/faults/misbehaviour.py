"""What each kind of fault does to an exchange."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from trackrelay.sandbox.connection import Connection
from trackrelay.sandbox.track.track_answers import Answer, Headers

from .fault import Fault
from .fault_book import Entry

#: Lets the operations take effect and says how the API would answer.
Carry = Callable[[], Answer]
#: The API's own answer of a given status with a given message.
Usual = Callable[[int, str], Answer]


class Misbehaviour:
    """A struck request, and what is done to it; returns the status sent, None if there was none."""

    def __init__(
        self, entry: Entry, connection: Connection, carry_out: Carry, usual: Usual
    ) -> None:
        self._entry = entry
        self._fault = entry.fault
        self._connection = connection
        self._carry_out = carry_out
        self._usual = usual

    async def perform(self) -> int | None:
        """Do it."""
        acts: dict[str, Callable[[], Awaitable[int | None]]] = {
            "close_before": self._close_before,
            "close_after": self._close_after,
            "hang": self._hang,
            "drip": self._drip,
        }
        return await acts.get(self._fault.kind, self._answer)()

    async def _answer(self) -> int | None:
        if self._fault.effect:
            self._carry_out()
        answer = faulty_answer(self._fault, self._usual)
        await self._connection.answer(answer)
        return answer.status

    async def _close_before(self) -> None:
        await self._connection.close()

    async def _close_after(self) -> None:
        self._carry_out()
        await self._connection.close()

    async def _drip(self) -> int | None:
        answer = self._carry_out()
        await self._connection.drip(
            answer, self._fault.seconds or 0, lambda gap: pause(self._entry, gap)
        )
        return answer.status

    async def _hang(self) -> None:
        if self._fault.effect:
            self._carry_out()
        waits = {
            asyncio.ensure_future(self._entry.deleted.wait()),
            asyncio.ensure_future(self._connection.gone()),
        }
        _, pending = await asyncio.wait(
            waits, timeout=self._fault.seconds, return_when=asyncio.FIRST_COMPLETED
        )
        for each in pending:
            each.cancel()
        await self._connection.close()


async def pause(entry: Entry, seconds: float) -> None:
    """Wait, but not longer than the fault is in force."""
    try:
        async with asyncio.timeout(seconds):
            await entry.deleted.wait()
    except TimeoutError:
        return


def faulty_answer(fault: Fault, usual: Usual) -> Answer:
    """The answer of a fault of kind status, body or redirect."""
    status = fault.answered_status
    extra: Headers = ()
    if fault.retry_after is not None:
        extra += ((b"retry-after", fault.retry_after.encode()),)
    if fault.kind == "redirect":
        extra += ((b"location", (fault.location or "https://track-eu.customer.io/").encode()),)
    if fault.body is None:
        answer = usual(status, fault.message)
        return answer._replace(headers=answer.headers + extra)
    return Answer(
        status, fault.body.encode(), ((b"content-type", fault.content_type.encode()), *extra)
    )
