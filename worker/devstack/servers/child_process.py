"""A child process under a supervisor, which ends it when this process ends."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from . import supervisor

if TYPE_CHECKING:
    from psutil import Process

#: The supervisor prints the process id at once, and a killed process ends at once; this is for
#: a machine that is very busy.
SUPERVISOR_TIMEOUT_S = 30.0
POLL_S = 0.01


class ServerError(Exception):
    """A server could not be started, stopped or found; the message says which and why."""


class ServerDiedError(ServerError):
    """The server ended while it was expected to run."""


@dataclass
class ChildProcess:
    """One program under a supervisor (see ``supervisor.py``).

    It ends when this process ends, even if this process is killed with SIGKILL.
    """

    #: The name in messages.
    name: str
    command: Sequence[str]
    #: The whole environment of the program.
    env: Mapping[str, str]
    cwd: Path
    #: The file descriptor that takes output and errors.
    output: int
    #: The signals that ask it to stop, each with the seconds to wait; SIGKILL follows the last.
    stop_signals: Sequence[tuple[signal.Signals, float]] = ((signal.SIGTERM, 10.0),)
    #: User and group id of the program; None: those of this process.
    owner: tuple[int, int] | None = None
    #: The descriptor of a locked file, which stays locked until the program has ended.
    lock: int | None = None
    #: A folder to remove if this process ends first.
    remove: Path | None = None
    _supervisor: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _pid: int | None = field(default=None, init=False)

    def start(self) -> Self:
        """Start the program, without waiting until it is ready.

        Raises:
            ServerError: The supervisor did not start.
        """
        self._supervisor = subprocess.Popen(
            [sys.executable, "-I", "-S", supervisor.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.output,
            cwd=self.cwd,
            pass_fds=[] if self.lock is None else [self.lock],
            # Ctrl-C reaches this process only, which stops its children in its own order.
            start_new_session=True,
        )
        self._send_order(self._supervisor)
        self._pid = self._read_pid(self._supervisor)
        return self

    @property
    def pid(self) -> int:
        """The process id, also after the end."""
        if self._pid is None:
            raise ServerError(f"{self.name} was not started")
        return self._pid

    @property
    def running(self) -> bool:
        """Whether the process exists; a paused one does."""
        return self._supervisor is not None and self._supervisor.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The exit code as a shell shows it (128 + signal), or None while the process runs."""
        return None if self._supervisor is None else self._supervisor.poll()

    def wait(self, timeout_s: float) -> bool:
        """Wait until the process has ended; return whether it did in time."""
        assert self._supervisor is not None
        try:
            self._supervisor.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process, if it runs: otherwise another process may have its id."""
        if self.running:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def stop(self) -> None:
        """Send the stop signals, and SIGKILL if the process does not end in time."""
        for number, patience_s in self.stop_signals:
            if not self.running:
                break
            self.resume()
            self.send(number)
            if self.wait(patience_s):
                break
        self.kill()

    def kill(self) -> None:
        """Kill the process and all its children with SIGKILL, as a crash does."""
        if self.running:
            self.pause()  # a paused parent starts no new child while the tree is read
            members = self._process_tree()
            _send(members, signal.SIGKILL)
            _wait_until_dead(members)
        if self._supervisor is not None:
            self._supervisor.wait(SUPERVISOR_TIMEOUT_S)
            assert self._supervisor.stdin is not None
            self._supervisor.stdin.close()

    def pause(self) -> None:
        """Pause the process and its children (SIGSTOP): connections stay open without answers."""
        self.send(signal.SIGSTOP)
        _send(self._process_tree()[1:], signal.SIGSTOP)

    def resume(self) -> None:
        """Resume the process and its children after ``pause()``."""
        _send(self._process_tree()[::-1], signal.SIGCONT)

    def _send_order(self, process: subprocess.Popen[bytes]) -> None:
        uid, gid = self.owner or (None, None)
        order = supervisor.Order(
            command=list(self.command),
            env=dict(self.env),
            uid=uid,
            gid=gid,
            stop_signals=[(int(number), patience_s) for number, patience_s in self.stop_signals],
            lock=self.lock,
            remove=None if self.remove is None else str(self.remove),
        )
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # then no process id follows, which is an error
            process.stdin.write(json.dumps(order).encode() + b"\n")
            process.stdin.flush()

    def _read_pid(self, process: subprocess.Popen[bytes]) -> int:
        assert process.stdout is not None
        with process.stdout as output:
            readable, _, _ = select.select([output], [], [], SUPERVISOR_TIMEOUT_S)
            line = output.readline() if readable else b""
        if not line:
            process.kill()
            raise ServerError(f"{self.name} could not be started")
        return int(line)

    def _process_tree(self) -> list["Process"]:
        """Return the process and its children, oldest first.

        They are found by descent: each child of PostgreSQL has a process group of its own.
        """
        # Imported late: without the extra, the missing servers are the error to report.
        import psutil

        try:
            process = psutil.Process(self.pid)
            return [process, *process.children(recursive=True)] if self.running else []
        except psutil.NoSuchProcess:
            return []


def _send(processes: Sequence["Process"], number: signal.Signals) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)


def _wait_until_dead(processes: Sequence["Process"]) -> None:
    """Wait until all processes have ended.

    A zombie has ended, too: whoever adopted an orphan may take seconds to reap it.
    """
    import psutil

    def lives(process: "Process") -> bool:
        try:
            return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    deadline = time.monotonic() + SUPERVISOR_TIMEOUT_S
    while any(map(lives, processes)) and time.monotonic() < deadline:
        time.sleep(POLL_S)
