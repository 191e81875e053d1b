"""A pool process that is told to end finishes what it is at.

Supervisors that speak to a whole process group (honcho, foreman, systemd by default) send SIGTERM to Celery's pool processes as well, which
would die in the middle of a request. The parent, told at the same time, waits for them: so they need only not die.
"""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Any

#: How long an idle process waits for its parent to end it, before it ends by itself: a parent that ends coldly says no word.
FAREWELL_S = 1.0

_is_one = False
_at_work = False
_told = False
_otherwise: Any = signal.SIG_DFL


def begin() -> None:
    """This is a pool process."""
    global _is_one
    _is_one = True


def begin_task() -> None:
    """A task begins: from now on SIGTERM waits for it."""
    global _at_work, _otherwise
    _at_work = True
    # Not when the process begins: the pool sets handlers of its own after that.
    if _is_one and signal.getsignal(signal.SIGTERM) is not _told_to_end:
        _otherwise = signal.signal(signal.SIGTERM, _told_to_end)
        signal.signal(signal.SIGALRM, _end_unless_at_work)


def end_task() -> None:
    """The task has ended. Its result is still to be told to the parent."""
    global _at_work
    _at_work = False
    if _told:
        _end_soon()


def is_ending() -> bool:
    """Whether this process was told to end: what can be left to a successor is."""
    return _told


def _told_to_end(signum: int, frame: FrameType | None) -> None:
    global _told
    _told = True
    # Idle or not: a task that was just received has not begun yet.
    _end_soon()


def _end_soon() -> None:
    # A signal and no thread: a handler may interrupt whoever is just starting one.
    signal.setitimer(signal.ITIMER_REAL, FAREWELL_S)


def _end_unless_at_work(signum: int, frame: FrameType | None) -> None:
    if not _at_work:
        signal.signal(signal.SIGTERM, _otherwise)
        os.kill(os.getpid(), signal.SIGTERM)
