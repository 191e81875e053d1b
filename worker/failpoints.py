"""Points at which tests stop or kill a worker. Off unless TRACKRELAY_FAILPOINT is set."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

#: ``point=action`` pairs separated by commas: ``after_read=kill``, ``before_send=stop``,
#: ``after_settle=raise``, ``before_settle=sleep:2``; ``@n`` after the action: only the n-th time,
#: as in ``after_read=kill@3``.
_PLAN = os.environ.get("TRACKRELAY_FAILPOINT", "")


class FailpointError(RuntimeError):
    """Raised by the ``raise`` action."""


def _no_failpoint(point: str) -> None:
    pass


def _planned(plan: str) -> Callable[[str], None]:
    actions = dict(part.split("=", 1) for part in plan.split(","))
    seen: dict[str, int] = {}

    def act(point: str) -> None:
        if point not in actions:
            return
        action, _, nth = actions[point].partition("@")
        seen[point] = seen.get(point, 0) + 1
        if nth and int(nth) != seen[point]:
            return
        match action.split(":"):
            case ["kill"]:
                os.kill(os.getpid(), signal.SIGKILL)
            case ["stop"]:
                os.kill(os.getpid(), signal.SIGSTOP)
            case ["sleep", seconds]:
                time.sleep(float(seconds))
            case ["raise"]:
                raise FailpointError(point)

    return act


#: Call this at a point of the delivery cycle, with its name.
failpoint: Callable[[str], None] = _planned(_PLAN) if _PLAN else _no_failpoint
