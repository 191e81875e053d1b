"""A pool process that is told to end finishes what it is at.

Supervisors that speak to a whole process group (honcho, foreman, systemd by default) send SIGTERM to Celery's pool processes as well, which
would die in the middle of a request. The parent, told at the same time, waits for them: so they need only not die. One that is
told alone ends after its task, and the parent starts another. All this from a process's first task on.
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
_otherwise: Any = None


def begin() -> None:
    """This is a pool process of ours."""
    global _is_one
    _is_one = True


def is_child() -> bool:
    """Whether this process is of a pool. The solo pool says of the worker itself that it begins."""
    return bool(_current_process().name != "MainProcess")


def begin_task() -> None:
    """A task begins: from now on SIGTERM waits for it."""
    global _at_work, _otherwise
    if not _is_one:
        return
    _at_work = True
    # Not when the process begins: the pool sets handlers of its own after that. Where they ignore SIGTERM, another signal ends them.
    if _otherwise is None and signal.getsignal(signal.SIGTERM) != signal.SIG_IGN:
        _otherwise = signal.signal(signal.SIGTERM, _told_to_end)
        signal.signal(signal.SIGALRM, _end_unless_at_work)


def end_task() -> None:
    """The task has ended. Its result is still to be told to the parent; after that this process takes no other."""
    global _at_work
    if not _is_one:
        return
    if _told and _takes_no_more():
        signal.setitimer(signal.ITIMER_REAL, 0)
        return
    _at_work = False
    if _told:
        signal.setitimer(signal.ITIMER_REAL, FAREWELL_S)


def _takes_no_more() -> bool:
    # The pool's loop writes the result, finds that there is nothing to read from any more, and ends as usual.
    try:
        _current_process()._target.inq._reader.close()
    except (AttributeError, OSError):
        return False
    return True


def end() -> None:
    """This process ends: what the pool sends it now is for the pool's own handler."""
    if _otherwise is not None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGTERM, _otherwise)


def is_ending() -> bool:
    """Whether this process was told to end: what can be left to a successor is."""
    return _told


def _told_to_end(signum: int, frame: FrameType | None) -> None:
    global _told
    if not _told:
        _told = True
        # Idle or not: a task that was just received has not begun yet. By a signal and no thread: this may interrupt whoever starts one.
        signal.setitimer(signal.ITIMER_REAL, FAREWELL_S)


def _end_unless_at_work(signum: int, frame: FrameType | None) -> None:
    if not _at_work:
        signal.signal(signal.SIGTERM, _otherwise)
        os.kill(os.getpid(), signal.SIGTERM)


def _current_process() -> Any:
    # At the call: commands that prune run without Celery, which brings billiard.
    from billiard.process import current_process

    return current_process()
