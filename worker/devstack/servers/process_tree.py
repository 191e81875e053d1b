"""A process and its children. The one place that needs psutil, which comes with the servers."""

import time
from collections.abc import Sequence

import psutil

POLL_S = 0.01


def members(pid: int) -> list[psutil.Process]:
    """The process and its children, oldest first; empty if it is gone.

    Found by descent and not by process group: each child of Postgres makes a group of its own.
    """
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def wait_until_dead(processes: Sequence[psutil.Process], timeout_s: float) -> None:
    """Waits until all are gone, or are zombies.

    Children that lost their parent are somebody else's to bury, who may take seconds: a zombie is dead enough.
    """
    deadline = time.monotonic() + timeout_s
    while any(map(_lives, processes)) and time.monotonic() < deadline:
        time.sleep(POLL_S)


def name_of(pid: int) -> str | None:
    """The name of the program that runs under this id, if any."""
    try:
        return psutil.Process(pid).name()
    except psutil.NoSuchProcess:
        return None


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
