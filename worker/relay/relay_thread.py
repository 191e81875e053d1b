"""The relay inside a worker: a thread in each pool process, of which one works in the whole fleet.

It is not a task, so that a row is relayed within a second of its commit even while every pool
process delivers. It does not run in the parent process, so that a fork copies nothing of it.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass

from trackrelay.worker.queue.redis_client import connect
from trackrelay.worker.settings import Settings, settings


@dataclass(frozen=True, slots=True)
class _Running:
    pid: int
    thread: threading.Thread
    stop: threading.Event


_allowed = False
_running: _Running | None = None


def allow() -> None:
    """Note that this process is a trackrelay worker. An application's worker may import our app."""
    global _allowed
    _allowed = True


def start() -> None:
    """Start the thread, if ``TRACKRELAY_OUTBOX_URL`` is set and this process has none yet."""
    global _running
    if not _allowed or (_running is not None and _running.pid == os.getpid()):
        return
    configured = settings()
    if not configured.outbox_url.get_secret_value():
        return
    stop = threading.Event()
    thread = threading.Thread(
        target=_run, args=(configured, stop), name="trackrelay-relay", daemon=True
    )
    _running = _Running(os.getpid(), thread, stop)
    thread.start()


def stop(wait_s: float = 2.0) -> None:
    """Stop the thread, so that another process takes over at once."""
    if _running is not None and _running.pid == os.getpid():
        _running.stop.set()
        _running.thread.join(wait_s)


def _run(configured: Settings, stop: threading.Event) -> None:
    from trackrelay.worker.storage.engine import engine

    from .outbox_rows import OutboxRows
    from .relay_loop import make_loop

    make_loop(
        OutboxRows(configured.outbox_url.get_secret_value()),
        configured,
        connect(configured),
        engine(),
        stop,
    ).run()
