"""A child process that never outlives us and is handled with its whole family."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from . import supervisor
from .server_errors import ServerError

if TYPE_CHECKING:
    from psutil import Process

#: The leash prints the process id right after forking; a killed process is gone at once, unless the machine is.
LEASH_TIMEOUT_S = 30.0


@dataclass
class ChildProcess:
    """One program on a leash (see `leash.py`): it ends with this process, however this process ends."""

    #: what people call it
    name: str
    command: Sequence[str]
    #: the whole environment it gets
    env: Mapping[str, str]
    cwd: Path
    #: file descriptor its output and its errors go to
    output: int
    #: how it is asked to end, gently first: (signal, seconds); SIGKILL follows the last
    farewell: Sequence[tuple[signal.Signals, float]] = ((signal.SIGTERM, 10.0),)
    #: user and group id to run as; `None` for whoever we are
    owner: tuple[int, int] | None = None
    #: descriptor of a locked file, kept open, and so locked, until the process has ended
    lock: int | None = None
    #: folder to remove if this process ends first
    remove: Path | None = None
    _leash: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _pid: int | None = field(default=None, init=False)

    def start(self) -> Self:
        """Runs the program; returns as soon as it is on its way."""
        self._leash = subprocess.Popen(
            [sys.executable, "-I", "-S", supervisor.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.output,
            cwd=self.cwd,
            pass_fds=[] if self.lock is None else [self.lock],
            start_new_session=True,  # Ctrl-C in our terminal is for us; we stop our children in our order
        )
        self._give_order(self._leash)
        self._pid = self._read_pid(self._leash)
        return self

    @property
    def pid(self) -> int:
        """Its process id; after its end, the one it had."""
        if self._pid is None:
            raise ServerError(f"{self.name} was not started")
        return self._pid

    @property
    def running(self) -> bool:
        """Whether the process is there, answering or not."""
        return self._leash is not None and self._leash.poll() is None

    @property
    def exit_code(self) -> int | None:
        """As a shell shows it (128 + signal), or `None` while it runs."""
        return None if self._leash is None else self._leash.poll()

    def wait(self, timeout_s: float) -> bool:
        """Waits for its end; whether that came in time."""
        assert self._leash is not None
        try:
            self._leash.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def send(self, number: signal.Signals) -> None:
        """Sends one signal to the process itself; does nothing after its end, when its id may be somebody else's."""
        if self.running:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def stop(self) -> None:
        """Asks it to end, and kills it if it does not within its time."""
        for number, patience_s in self.farewell:
            if not self.running:
                break
            self.resume()
            self.send(number)
            if self.wait(patience_s):
                break
        self.kill()

    def kill(self) -> None:
        """Ends it and all its children with SIGKILL, as a crash would."""
        if self.running:
            self.pause()  # a stopped parent starts no new child while we go through the list
            members = self._family()
            _send(members, signal.SIGKILL)
            from . import process_tree

            process_tree.wait_until_dead(members, LEASH_TIMEOUT_S)
        if self._leash is not None:
            self._leash.wait(LEASH_TIMEOUT_S)
            assert self._leash.stdin is not None
            self._leash.stdin.close()

    def pause(self) -> None:
        """Freezes it and all its children (SIGSTOP): connections stay open and nothing answers."""
        self.send(signal.SIGSTOP)
        _send(self._family()[1:], signal.SIGSTOP)

    def resume(self) -> None:
        """Lets it go on after `pause()`."""
        _send(self._family()[::-1], signal.SIGCONT)

    def _order(self) -> supervisor.Order:
        uid, gid = self.owner or (None, None)
        return supervisor.Order(
            command=list(self.command),
            env=dict(self.env),
            uid=uid,
            gid=gid,
            farewell=[(int(number), patience_s) for number, patience_s in self.farewell],
            lock=self.lock,
            remove=None if self.remove is None else str(self.remove),
        )

    def _give_order(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # the answer that does not come says the same
            process.stdin.write(json.dumps(self._order()).encode() + b"\n")
            process.stdin.flush()

    def _read_pid(self, process: subprocess.Popen[bytes]) -> int:
        assert process.stdout is not None
        with process.stdout as said:
            readable, _, _ = select.select([said], [], [], LEASH_TIMEOUT_S)
            line = said.readline() if readable else b""
        if not line:
            process.kill()
            raise ServerError(f"{self.name} could not be launched")
        return int(line)

    def _family(self) -> list["Process"]:
        from . import (
            process_tree,  # late: who has not installed the servers shall be told so, and not that psutil is missing
        )

        return process_tree.members(self.pid) if self.running else []


def _send(processes: Sequence["Process"], number: signal.Signals) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)
