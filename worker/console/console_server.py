"""Serves the console with uvicorn, in one process."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import uvicorn
from starlette.applications import Starlette

from .console_parts import ConsoleParts

#: Seconds that open streams get when the process is told to stop.
GRACE_S = 2


class ConsoleServer(uvicorn.Server):
    """uvicorn's server; it ends the streams of open pages before it stops."""

    def __init__(self, config: uvicorn.Config, parts: ConsoleParts) -> None:
        super().__init__(config)
        self._parts = parts

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then stop."""
        self._parts.closing = True
        await super().shutdown(sockets)


def serve(app: Starlette, listening: socket.socket, root_path: str = "") -> None:
    """Serve until a signal stops the process.

    Args:
        app: the console.
        listening: the socket.
        root_path: the path that a reverse proxy removes.
    """
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(console_server(app, root_path).serve(sockets=[listening]))


def console_server(app: Starlette, root_path: str = "") -> ConsoleServer:
    """Return the server, for :func:`serve`."""
    return ConsoleServer(
        uvicorn.Config(
            app,
            ws="none",
            log_level="warning",
            # Addresses in it could name people.
            access_log=False,
            server_header=False,
            # The console itself decides whose X-Forwarded-For it believes.
            proxy_headers=False,
            root_path=root_path,
            timeout_graceful_shutdown=GRACE_S,
        ),
        app.state.parts,
    )
