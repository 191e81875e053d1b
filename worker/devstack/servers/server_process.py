"""What the embedded servers have in common: a port, a data folder, and waiting until they answer."""

import fcntl
import os
import shutil
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from . import ports
from .child_process import ChildProcess
from .server_errors import ServerDied, ServerError, tail

START_TIMEOUT_S = 60.0
POLL_S = 0.01
#: A port that was ours can be held for a moment by somebody else when we come back to it.
PORT_TIMEOUT_S = 10.0
#: Nothing of ours: a server that starts differently on a German terminal is of no use.
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


class ServerProcess(ABC):
    """One server on 127.0.0.1, with its data in one folder.

    Arguments:
        data_dir: keeps the data from one start to the next; without it a temporary folder is used and removed by
            `close()`, or when this process ends.
        port: chosen free when not given. It is kept for the object's life: clients find a restarted server again.
    """

    #: what people call it
    name: ClassVar[str]
    #: how it is asked to end, gently first: (signal, seconds)
    farewell: ClassVar[tuple[tuple[signal.Signals, float], ...]]

    def __init__(self, data_dir: Path | str | None = None, *, port: int | None = None) -> None:
        self._temporary = data_dir is None
        self.data_dir = self._temporary_dir() if data_dir is None else Path(data_dir).absolute()
        self._keeps_port = port is not None
        self.port = port if port is not None else ports.free_port()
        self._child: ChildProcess | None = None

    # What each server has to say about itself.

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients reach it."""

    @abstractmethod
    def _temporary_dir(self) -> Path:
        """A new empty folder."""

    @abstractmethod
    def _prepare(self) -> None:
        """Makes the data folder ready for the server to start on."""

    @abstractmethod
    def _command(self) -> list[str]:
        """The program and its arguments."""

    @abstractmethod
    def _is_ready(self, pid: int) -> bool:
        """Whether the process with this id, ours, answers."""

    def _owner(self) -> tuple[int, int] | None:
        """User and group id to run as; `None` for whoever we are."""
        return None

    # What is done with it.

    @property
    def pid(self) -> int:
        """The server's process id; raises `ServerError` when it is not running."""
        return self._running_child().pid

    @property
    def running(self) -> bool:
        """Whether the process is there, answering or not."""
        return self._child is not None and self._child.running

    @property
    def log(self) -> Path:
        """What the server wrote."""
        return self.data_dir / "server.log"

    def start(self) -> Self:
        """Starts the server and returns when it answers; raises `ServerError` with the end of its log otherwise."""
        if not self.running:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            with self._locked() as lock:
                self._prepare()
                self._start_on_a_port(lock)
            self._keeps_port = True
        return self

    def stop(self) -> None:
        """Asks the server to end, and kills it if it does not within its time. The data stays."""
        if self._child is not None:
            self._child.stop()

    def kill(self) -> None:
        """Ends the server and all its children with SIGKILL, as a crash would. The data stays."""
        if self._child is not None:
            self._child.kill()

    def restart(self) -> None:
        """Stops and starts it on the same port and data."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freezes the server and all its children (SIGSTOP): connections stay open and nothing answers."""
        self._running_child().pause()

    def resume(self) -> None:
        """Lets a paused server go on."""
        self._running_child().resume()

    def close(self) -> None:
        """Stops the server and removes its folder if that was a temporary one."""
        if self._temporary:
            self.kill()  # nobody will read this data again
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

    # How it is done.

    def _running_child(self) -> ChildProcess:
        if self._child is None or not self._child.running:
            raise ServerError(f"{self.name} is not running")
        return self._child

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """Keeps a second server off the data folder, which Valkey itself would not.

        The lock belongs to the open file, which the leash inherits: it lasts exactly as long as the leash.
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
            except ServerDied:
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
                farewell=self.farewell,
                owner=self._owner(),
                lock=lock,
                remove=self.data_dir if self._temporary else None,
            ).start()

    def _wait_until_ready(self, child: ChildProcess) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            if not child.running:
                child.kill()
                raise ServerDied(
                    f"{self.name} ended with code {child.exit_code} at its start; its log ends with:\n{tail(self.log)}"
                )
            if self._is_ready(child.pid):
                return
            if time.monotonic() > deadline:
                child.kill()
                raise ServerError(
                    f"{self.name} did not answer within {START_TIMEOUT_S:.0f} s of its start; its log ends with:\n"
                    f"{tail(self.log)}"
                )
            time.sleep(POLL_S)
