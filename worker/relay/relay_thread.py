"""The relay inside a worker: a thread of each pool process, of which one works at a time, in the whole fleet.

A thread, and no task: a row is relayed within a second of its commit even while every process of the pool delivers. A thread of the pool's
processes, and not of their parent: nothing of it is carried across a fork.
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
    """Say that this process is a worker of ours: an application's own worker may have imported our app too."""
    global _allowed
    _allowed = True


def start() -> None:
    """Begin to relay, if ``TRACKRELAY_OUTBOX_URL`` is set and this process does not do so yet."""
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
    """Stop relaying, so that another process takes over at once."""
    if _running is not None and _running.pid == os.getpid():
        _running.stop.set()
        _running.thread.join(wait_s)


def _run(configured: Settings, stop: threading.Event) -> None:
    from trackrelay.worker.storage.engine import engine

    from .relay_loop import make_loop
    from .sql_outbox_rows import SqlRows

    make_loop(
        SqlRows(configured.outbox_url.get_secret_value()),
        configured,
        connect(configured),
        engine(),
        stop,
    ).run()
