#!python
"""Tell whether the workers of this machine or container are alive and ready.

The command ``trackrelay-probe`` is this file alone. It imports nothing of the package, because
that takes ten times as long, and a container is probed every few seconds.

    trackrelay-probe alive    exit status 1: restart the worker
    trackrelay-probe ready    exit status 1: the worker does not take jobs, or not yet

A worker writes a file about itself every second. The probes ask nobody else: while Redis or
Postgres is away, a worker is alive, and a restart would not help.
"""

from __future__ import annotations

import json
import os
import re
import stat
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

#: A worker whose file is older than this does not run any more, or hangs.
SILENT_S = 30.0
#: A worker that takes no message for this time, though messages wait, will take none.
STUCK_S = 120.0
#: The file of a process that does not exist is removed after this time. A container with the same
#: folder may not see the process.
STALE_S = 86_400.0
#: A worker that did not reach Redis for this time is not ready.
UNREACHABLE_S = 10.0
USAGE = "usage: trackrelay-probe alive|ready"


def folder() -> str:
    """Return the folder of the files: one of the user, in the temporary folder."""
    return os.path.join(tempfile.gettempdir(), f"trackrelay-{os.getuid()}")


def write(worker: str, facts: dict[str, Any]) -> None:
    """Write the file of a worker.

    Raises:
        OSError: it cannot be written, or the folder belongs to somebody else.
    """
    where = folder()
    os.makedirs(where, mode=0o700, exist_ok=True)
    found = os.lstat(where)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise PermissionError(f"{where} belongs to somebody else")
    path = _path(where, worker)
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        json.dump(facts, file)
    os.replace(f"{path}.new", path)


def remove(worker: str) -> None:
    """Remove the file of a worker that stops, and the folder after the last one."""
    where = folder()
    try:
        os.remove(_path(where, worker))
        os.rmdir(where)
    except OSError:
        return


def remove_stale() -> None:
    """Remove the files of workers that were killed: their processes do not exist any more."""
    where = folder()
    try:
        names = os.listdir(where)
    except OSError:
        return
    for name in names:
        path = os.path.join(where, name)
        facts = _read(path)
        if not name.endswith(".json") or facts is None or not _runs(facts.get("pid")):
            try:
                if time.time() - os.path.getmtime(path) > STALE_S:
                    os.remove(path)
            except OSError:
                continue


def _path(where: str, worker: str) -> str:
    return os.path.join(where, re.sub(r"[^A-Za-z0-9@._-]", "_", worker)[:200] + ".json")


def read_all() -> list[dict[str, Any]]:
    """Return the facts of each worker whose process exists."""
    try:
        names = sorted(os.listdir(folder()))
    except OSError:
        return []
    facts = [_read(os.path.join(folder(), name)) for name in names if name.endswith(".json")]
    return [each for each in facts if each and _runs(each.get("pid"))]


def _read(path: str) -> dict[str, Any] | None:
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _runs(pid: Any) -> bool:
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def problem(which: str, workers: list[dict[str, Any]], now: float) -> str | None:
    """Return what is wrong in one line, or None.

    Args:
        which: ``alive`` or ``ready``.
        workers: what their files say.
        now: unix seconds of this machine.
    """
    if not workers:
        return "no worker runs here"
    for facts in workers:
        name = str(facts.get("worker", "?"))
        silent_s = now - float(facts.get("at", 0))
        if silent_s > SILENT_S:
            return f"{name} hangs: its last sign of life was {silent_s:.0f} s ago"
        if float(facts.get("stuck_s", 0)) > STUCK_S:
            stuck_s = float(facts["stuck_s"])
            return f"{name} takes no messages: they have waited for it for {stuck_s:.0f} s"
        unreachable_s = now - float(facts.get("reached_at", 0))
        if which == "ready" and unreachable_s > UNREACHABLE_S:
            return f"{name} does not reach Redis"
    return None


class MessageWatch:
    """Notices that a worker takes no messages though messages wait for it.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: float | None = None

    def received(self) -> None:
        """Note that the worker took a message."""
        self._since = None

    def stuck_s(self, messages: int | None) -> float:
        """Return for how long messages have waited while the worker took none.

        Args:
            messages: how many wait now; None: that is not known, or the worker is busy.
        """
        if not messages:
            self._since = None
            return 0.0
        if self._since is None:
            self._since = self._clock()
        return self._clock() - self._since


def main(arguments: list[str]) -> int:
    """Run the command, and return its exit status."""
    if len(arguments) != 1 or arguments[0] not in ("alive", "ready"):
        print(USAGE, file=sys.stderr)
        return 2
    found = problem(arguments[0], read_all(), time.time())
    if found is None:
        return 0
    print(found.encode("ascii", "backslashreplace").decode(), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
