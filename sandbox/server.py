"""The server of the sandbox: uvicorn, in one process and one thread."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import select
import socket
import sys
import threading
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .app import SandboxApp
from .connection import TRANSPORT
from .core import Sandbox
from .options import SandboxOptions

#: How often a child checks that its parent is still there.
WATCH_S = 0.5
#: Real servers keep idle connections longer than uvicorn's default of 5 s.
KEEP_ALIVE_S = 75


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol; it also passes on the transport, so that a fault can close it."""

    def on_message_begin(self) -> None:
        """Add the transport to the request's scope."""
        super().on_message_begin()
        self.scope["extensions"] = {TRANSPORT: self.transport}  # type: ignore[dict-item]


class Server(uvicorn.Server):
    """uvicorn's server; it prints its address, and releases held requests when it stops."""

    def __init__(self, config: uvicorn.Config, sandbox: Sandbox) -> None:
        super().__init__(config)
        self._sandbox = sandbox

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then print the address."""
        await super().startup(sockets)
        for each in sockets or []:
            host, port = each.getsockname()[:2]
            named = f"[{host}]" if ":" in host else host
            print(f"sandbox listening on http://{named}:{port}", flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Delete the faults, which releases the requests they hold, then stop."""
        self._sandbox.faults.delete_all()
        await super().shutdown(sockets)


def serve(options: SandboxOptions) -> None:
    """Serve until a signal stops the process."""
    listening = _listen(options.host, options.port)
    sandbox = Sandbox(options)
    server = Server(_config(SandboxApp(sandbox)), sandbox)
    if options.exit_with_stdin:
        threading.Thread(target=_stop_with_parent, args=(server,), daemon=True).start()
    # The records form no cycles; scanning them often would cost more than serving.
    gc.set_threshold(100_000, 20, 100)
    with contextlib.suppress(KeyboardInterrupt):
        _runner()(server.serve(sockets=[listening]))


def _runner() -> Any:
    try:
        import uvloop
    except ImportError:
        return asyncio.run
    return uvloop.run


def _config(app: SandboxApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=1,
    )


def _listen(host: str, port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, port))
    listening.listen(2048)
    return listening


def _stop_with_parent(server: uvicorn.Server) -> None:
    """Stop when stdin closes, or when the parent changes: its fork may hold stdin open."""
    parent = os.getppid()
    while os.getppid() == parent:
        readable, _, _ = select.select([sys.stdin], [], [], WATCH_S)
        if readable and not os.read(sys.stdin.fileno(), 4096):
            break
    server.should_exit = True
    threading.Timer(2, os._exit, args=(0,)).start()
