"""A pool process that is told to end finishes what it is at.

Supervisors that speak to a whole process group (honcho, foreman, systemd by default) send SIGTERM to Celery's pool processes as well, which
would die in the middle of a request. The parent, told at the same time, waits for them: so they need only not die.
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any

#: How long after its task a process may still wait for its parent's word: a parent that ended coldly says none.
FAREWELL_S = 2.0

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


def end_task() -> None:
    """The task has ended. Its result is still to be told to the parent, who then ends this process."""
    global _at_work
    _at_work = False
    if _told:
        farewell = threading.Timer(FAREWELL_S, os.kill, (os.getpid(), signal.SIGTERM))
        farewell.daemon = True
        farewell.start()


def is_ending() -> bool:
    """Whether this process was told to end: what can be left to a successor is."""
    return _told


def _told_to_end(signum: int, frame: FrameType | None) -> None:
    global _told
    if _told or not _at_work:
        signal.signal(signal.SIGTERM, _otherwise)
        os.kill(os.getpid(), signal.SIGTERM)
    _told = True
