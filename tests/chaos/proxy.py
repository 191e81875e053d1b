"""A TCP proxy that cuts, refuses, stalls and delays, or cuts when a certain word is sent."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Literal, Self

from trackrelay.worker.devstack.servers import ports

CHUNK = 65_536
Side = Literal["client", "server"]


class Proxy:
    """Passes connections on to a server, from its own thread.

    Args:
        port: the server's, on this machine.
    """

    def __init__(self, port: int) -> None:
        self.port = ports.free_port()
        self._target = port
        self._loop = asyncio.new_event_loop()
        self._links: set[_Link] = set()
        self._open = asyncio.Event()
        self._open.set()
        self.refusing = False
        #: Seconds by which everything is late.
        self.delay_s = 0.0
        #: Called with what a client is about to say; its answer is done to the connection.
        self.listener: Callable[[bytes], Literal["pass", "cut before", "cut after"]] | None = None

    def start(self) -> Self:
        """Listen."""
        ready = threading.Event()
        threading.Thread(
            target=self._run, args=(ready,), name=f"proxy-{self.port}", daemon=True
        ).start()
        ready.wait(10)
        return self

    def close(self) -> None:
        """Stop listening and cut everything."""
        self._do(self._shut())

    def cut(self, share: float = 1.0, chance: random.Random | None = None) -> int:
        """Cut connections, all or a share of them at random; returns how many."""
        return int(self._do(self._cut(share, chance or random.Random())))

    def stall(self) -> None:
        """Pass nothing on any more; connections stay open, and new ones are taken."""
        self._loop.call_soon_threadsafe(self._open.clear)

    def go_on(self) -> None:
        """Pass on what waited, and behave."""
        self.refusing, self.delay_s, self.listener = False, 0.0, None
        self._loop.call_soon_threadsafe(self._open.set)

    def _run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(asyncio.start_server(self._accept, ports.HOST, self.port))
        ready.set()
        self._loop.run_forever()

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _shut(self) -> None:
        await self._cut(1.0, random.Random())
        self._loop.call_soon(self._loop.stop)

    async def _cut(self, share: float, chance: random.Random) -> int:
        chosen = [link for link in self._links if chance.random() < share]
        for link in chosen:
            link.cut()
        return len(chosen)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            writer.transport.abort()
            return
        try:
            server_reader, server_writer = await asyncio.open_connection(ports.HOST, self._target)
        except OSError:
            writer.transport.abort()
            return
        link = _Link(writer, server_writer)
        self._links.add(link)
        await asyncio.gather(
            self._pump(link, reader, server_writer, "client"),
            self._pump(link, server_reader, writer, "server"),
        )
        self._links.discard(link)

    async def _pump(
        self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, side: Side
    ) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while data := await reader.read(CHUNK):
                await self._open.wait()
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                verdict = self.listener(data) if self.listener and side == "client" else "pass"
                if verdict == "cut before":
                    break
                if verdict == "cut after":
                    # The server hears it to the end; the client never hears what became of it.
                    link.half_cut()
                writer.write(data)
                await writer.drain()
                if verdict == "cut after":
                    await asyncio.sleep(0.05)
                    break
        link.cut()


class _Link:
    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self._client = client
        self._server = server

    def half_cut(self) -> None:
        self._client.transport.abort()

    def cut(self) -> None:
        self._client.transport.abort()
        self._server.transport.abort()
