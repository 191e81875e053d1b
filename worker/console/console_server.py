"""Serves the console with uvicorn, in one process."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import uvicorn
from starlette.types import ASGIApp

#: Seconds that open streams get when the process is told to stop.
GRACE_S = 1


def serve(app: ASGIApp, listening: socket.socket, root_path: str = "") -> None:
    """Serve until a signal stops the process.

    Args:
        app: the console.
        listening: the socket.
        root_path: the path that a reverse proxy removes.
    """
    server = uvicorn.Server(
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
        )
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(server.serve(sockets=[listening]))
