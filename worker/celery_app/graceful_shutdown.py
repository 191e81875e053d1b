"""Let a pool process that gets SIGTERM finish its task.

Some supervisors signal a whole process group: honcho, foreman, and systemd by default. Then
Celery's pool processes get SIGTERM too, and would end in the middle of a request. The parent gets
the signal as well, and waits for them. So they must only not end. A process that gets the signal
alone ends after its task, and the parent starts another. This applies from a process's first task
on.
"""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Any

#: How long an idle process waits for its parent to end it. A parent that was killed never does.
IDLE_STOP_S = 1.0

_is_pool_process = False
_is_in_task = False
_is_stopping = False
_previous_handler: Any = None


def begin() -> None:
    """Note that this is a pool process of ours."""
    global _is_pool_process
    _is_pool_process = True


def is_child() -> bool:
    """Return whether this process belongs to a pool.

    The solo pool reports the worker itself as one.
    """
    return bool(_current_process().name != "MainProcess")


def begin_task() -> None:
    """Note that a task begins: SIGTERM waits for it from now on."""
    global _is_in_task, _previous_handler
    if not _is_pool_process:
        return
    _is_in_task = True
    # Not when the process begins, because the pool sets its own handlers later. If they ignore
    # SIGTERM, the pool ends its processes by another signal.
    if _previous_handler is None and signal.getsignal(signal.SIGTERM) != signal.SIG_IGN:
        _previous_handler = signal.signal(signal.SIGTERM, _stop)
        signal.signal(signal.SIGALRM, _end_if_idle)


def end_task() -> None:
    """Note that the task has ended.

    The parent still needs its result; after that this process takes no other task.
    """
    global _is_in_task
    if not _is_pool_process:
        return
    if _is_stopping and _takes_no_more():
        signal.setitimer(signal.ITIMER_REAL, 0)
        return
    _is_in_task = False
    if _is_stopping:
        signal.setitimer(signal.ITIMER_REAL, IDLE_STOP_S)


def _takes_no_more() -> bool:
    # The pool's loop writes the result, finds its input closed, and ends as usual.
    try:
        _current_process()._target.inq._reader.close()
    except (AttributeError, OSError):
        return False
    return True


def end() -> None:
    """Give signals back to the pool's handler: this process ends."""
    if _previous_handler is not None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGTERM, _previous_handler)


def is_ending() -> bool:
    """Return whether this process got SIGTERM, and should leave further work to its successor."""
    return _is_stopping


def _stop(signum: int, frame: FrameType | None) -> None:
    global _is_stopping
    if not _is_stopping:
        _is_stopping = True
        # Also during a task that was received but has not begun. A timer and no thread: the signal
        # may have interrupted code that starts one.
        signal.setitimer(signal.ITIMER_REAL, IDLE_STOP_S)


def _end_if_idle(signum: int, frame: FrameType | None) -> None:
    if not _is_in_task:
        signal.signal(signal.SIGTERM, _previous_handler)
        os.kill(os.getpid(), signal.SIGTERM)


def _current_process() -> Any:
    # Imported late: `trackrelay ledger prune` runs without Celery, which brings billiard.
    from billiard.process import current_process

    return current_process()
