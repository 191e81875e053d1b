"""A real Celery worker as a child process."""

import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from trackrelay.worker.devstack.servers import ChildProcess

from .waiting import patient, wait_until

ROOT = Path(__file__).parents[2]
READY = re.compile(rb"\bready\b")


class WorkerEndedError(Exception):
    """A worker ended before it was ready."""


class WorkerProcess:
    """`celery -A trackrelay worker` with the given settings and without this process's.

    Arguments:
        settings: its environment variables by name, on top of what the system needs.
        log: file that gets everything it writes.
        pool, concurrency: Celery's.
        arguments: further arguments for Celery.
        cwd: folder it is started in.
        python: interpreter that runs it.
        app: what Celery is told to run.
        as_script: start as the `celery` script does, which does not search the current folder
            first.
    """

    def __init__(
        self,
        settings: Mapping[str, str],
        *,
        log: Path,
        pool: str = "prefork",
        concurrency: int = 1,
        name: str = "worker",
        arguments: Sequence[str] = (),
        cwd: Path = ROOT,
        python: Path | str = sys.executable,
        app: str = "trackrelay",
        as_script: bool = False,
    ) -> None:
        self.settings = dict(settings)
        self.log = log
        self.command = [
            *(str(python), *(["-P"] if as_script else []), "-m", "celery", "-A", app, "worker"),
            *(
                f"--pool={pool}",
                f"--concurrency={concurrency}",
                f"--hostname={name}@%h",
                *arguments,
            ),
        ]
        self.cwd = cwd
        self._child: ChildProcess | None = None
        self._log_start = 0

    def start(self, *, ready_within: float | None = 30.0) -> Self:
        """Start it and wait until it takes work; `ready_within=None` does not wait."""
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as output:
            self._child = ChildProcess(
                "the worker",
                self.command,
                env=clean_environment() | self.settings,
                cwd=self.cwd,
                output=output.fileno(),
                stop_signals=[(signal.SIGTERM, patient(20.0))],
            ).start()
        if ready_within is not None:
            wait_until(
                self._is_ready,
                ready_within,
                lambda: f"the worker to be ready; its log:\n{self.output}",
            )
        return self

    @property
    def child(self) -> ChildProcess:
        """The process, for what is not offered here."""
        assert self._child is not None, "the worker was not started"
        return self._child

    @property
    def pid(self) -> int:
        """Celery's main process."""
        return self.child.pid

    @property
    def running(self) -> bool:
        """Whether it is there, answering or not."""
        return self._child is not None and self._child.running

    @property
    def exit_code(self) -> int | None:
        """The exit status as a shell shows it, or `None` while it runs."""
        return self.child.exit_code

    @property
    def output(self) -> str:
        """Everything it has written since its last start."""
        return (
            self.log.read_bytes()[self._log_start :].decode(errors="replace")
            if self.log.exists()
            else ""
        )

    def wait(self, timeout: float) -> int:
        """Wait for it to end and return its exit code; see `patient` for `timeout`."""
        timeout = patient(timeout)
        assert self.child.wait(timeout), f"the worker still ran after {timeout:g} s"
        code = self.child.exit_code
        assert code is not None
        return code

    def term(self) -> None:
        """Asks for a warm shutdown (SIGTERM) and returns at once."""
        self.child.send(signal.SIGTERM)

    def stop(self) -> None:
        """Warm shutdown; killed if that takes longer than it may."""
        if self._child is not None:
            self._child.stop()

    def kill(self) -> None:
        """SIGKILL to it and its pool processes, as when a machine is lost."""
        if self._child is not None:
            self._child.kill()

    def pause(self) -> None:
        """Freezes it and its pool processes (SIGSTOP)."""
        self.child.pause()

    def resume(self) -> None:
        """Continue it."""
        self.child.resume()

    def _is_ready(self) -> bool:
        if not self.running:
            raise WorkerEndedError(
                f"the worker ended with code {self.exit_code}; its log:\n{self.output}"
            )
        return READY.search(self.log.read_bytes(), self._log_start) is not None


def clean_environment() -> dict[str, str]:
    """Return this process's environment without our settings or a framework's."""
    ours = ("TRACKRELAY_", "CUSTOMERIO_", "CELERY", "DJANGO_", "PYTHONPATH", "COLUMNS", "LINES")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | {
        "PYTHONUNBUFFERED": "1"
    }
