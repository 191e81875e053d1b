"""A sandbox in a child process."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from .client import SandboxClient
from .options import SandboxOptions

#: How long a sandbox may take to listen, and to stop after SIGTERM.
START_S, STOP_S = 30.0, 5.0
_LISTENING = "sandbox listening on "


class SandboxNotStartedError(Exception):
    """The process did not listen in time."""


class SandboxProcess:
    """Runs a sandbox as a child process that ends with its parent.

    Args:
        port: The port to listen on. 0 is any free port, which ``restart()`` keeps.
        options: Fields of ``SandboxOptions``: ``latency="50ms"``, ``fail=("503:5%",)``, …
    """

    def __init__(self, port: int = 0, **options: Any) -> None:
        self.options = SandboxOptions(port=port, exit_with_stdin=True, **options)
        self.url = ""
        self._process: subprocess.Popen[str] | None = None

    @property
    def client(self) -> SandboxClient:
        """A client for this sandbox."""
        return SandboxClient(self.url)

    @property
    def site_id(self) -> str:
        """The site id at the start."""
        return self.options.site_id

    @property
    def api_key(self) -> str:
        """The Track API key at the start."""
        return self.options.api_key

    @property
    def app_api_key(self) -> str:
        """The App API key at the start."""
        return self.options.app_api_key

    @property
    def pid(self) -> int | None:
        """The process id while the sandbox runs."""
        return self._process.pid if self._process is not None and self.running else None

    @property
    def running(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> SandboxProcess:
        """Start the sandbox, again if it runs, and wait until it listens.

        Raises:
            SandboxNotStartedError: The process did not listen in time.
        """
        self.kill()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "trackrelay.sandbox", *self.options.arguments()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=_environment(),
            process_group=0,
        )
        self.url = self._wait_until_listening(self._process)
        self.options = dataclasses.replace(self.options, port=int(self.url.rpartition(":")[2]))
        return self

    def _wait_until_listening(self, process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        late = threading.Timer(START_S, process.kill)
        late.start()
        try:
            line = process.stdout.readline()
        finally:
            late.cancel()
        if not line.startswith(_LISTENING):
            self.kill()
            raise SandboxNotStartedError(
                f"the sandbox did not start; its first line was {line!r}, its stderr is above"
            )
        return line.removeprefix(_LISTENING).strip()

    def stop(self) -> None:
        """Stop the sandbox after it has answered the current requests."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.kill()
            self._forget()

    def kill(self) -> None:
        """Kill the sandbox with SIGKILL."""
        if self._process is not None:
            if self._process.poll() is None:
                os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._forget()

    def restart(self) -> None:
        """Stop the sandbox and start it on the same port, with nothing remembered."""
        self.stop()
        self.start()

    def _forget(self) -> None:
        process, self._process = self._process, None
        for stream in (process.stdin, process.stdout) if process else ():
            if stream is not None:
                stream.close()

    def __enter__(self) -> SandboxProcess:
        """Start the sandbox."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the sandbox."""
        self.stop()


def _environment() -> dict[str, str]:
    """Return an environment in which the child imports this very package, in any folder."""
    here = str(Path(__file__).parents[2])
    before = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{here}{os.pathsep}{before}" if before else here}
