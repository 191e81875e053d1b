"""The whole stack as child processes, which end when this process ends."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Protocol, Self

import trackrelay
from trackrelay.sandbox.sandbox_process import SandboxNotStartedError, SandboxProcess
from trackrelay.worker.maintenance.heartbeat_keys import WORKER_KEY
from trackrelay.worker.queue.bootstrap import migrate
from trackrelay.worker.queue.redis_client import connect
from trackrelay.worker.settings import load
from trackrelay.worker.storage.engine import make_engine

from .servers import ChildProcess, PostgresProcess, ServerError, ValkeyProcess, ports

#: How long the worker may take to start.
READY_S = 60.0
POLL_S = 0.05
#: The worker finishes its current requests before it stops.
WORKER_STOP_SIGNALS = ((signal.SIGTERM, 15.0),)
#: A single worker has no other workers to look for at its start, which would take a second.
WORKER = (
    "--pool=threads",
    "--concurrency=4",
    "--hostname=worker@%h",
    "--without-mingle",
    "--without-gossip",
)
#: The stack sets these itself; the terminal's values are not passed on.
OWN_PREFIXES = ("TRACKRELAY_", "CUSTOMERIO_", "CELERY")


def wait_until(condition: Callable[[], bool], timeout_s: float, poll_s: float = POLL_S) -> bool:
    """Poll until ``condition`` is true; return whether it was within ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(poll_s)
    return True


@contextmanager
def like_ctrl_c() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP like Ctrl-C, so that the stack is stopped in order."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {
        number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def shell_command(name: str) -> str:
    """Return how to type a program of this environment: by its full path if the PATH lacks it."""
    installed = Path(sys.executable).with_name(name)
    found = shutil.which(name)
    if not installed.exists() or (found and Path(found).parent.samefile(installed.parent)):
        return name
    return shlex.quote(str(installed))


class Output(Protocol):
    """A destination for the output of the children."""

    def of(self, name: str) -> int:
        """Return a file descriptor for the output of a child; the caller closes it."""


class Stack:
    """Valkey, PostgreSQL, a sandbox, a worker, a beat, and a console if it is started.

    Args:
        folder: Keeps data and ports from one start to the next; None: a temporary folder.
        output: Takes the output of worker and beat.
        settings: Further settings of worker and beat.
        report: Called with a short text about each step of the start.
    """

    def __init__(
        self,
        folder: Path | None,
        output: Output,
        *,
        settings: Mapping[str, str] | None = None,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._output = output
        self._further_settings = dict(settings or {})
        self._report = report
        self._ports = Ports(folder)
        self.redis = ValkeyProcess(
            folder and folder / "valkey", port=self._ports.last("valkey"), with_password=True
        )
        # Data in a temporary folder need not survive a power cut.
        self.postgres = PostgresProcess(
            folder and folder / "postgres",
            port=self._ports.last("postgres"),
            durable=folder is not None,
        )
        self.sandbox = SandboxProcess(self._ports.last("sandbox") or ports.free_port())
        self.worker: ChildProcess | None = None
        self.beat: ChildProcess | None = None
        self.console: ChildProcess | None = None
        #: The link that signs in to the console; empty before :meth:`start_console`.
        self.console_url = ""

    @property
    def kept_elsewhere(self) -> Path | None:
        """The folder of PostgreSQL's data if that is another one, because this process is root."""
        is_elsewhere = self.postgres.home != self.postgres.data_dir.resolve()
        return self.postgres.home if is_elsewhere else None

    @property
    def settings(self) -> dict[str, str]:
        """The environment for the worker, and for everything else that uses the stack."""
        return {
            "TRACKRELAY_REDIS_URL": self.redis.url,
            "TRACKRELAY_DATABASE_URL": self.postgres.url,
            "CUSTOMERIO_TRACK_URL": self.sandbox.url,
            "CUSTOMERIO_SITE_ID": self.sandbox.site_id,
            "CUSTOMERIO_TRACK_API_KEY": self.sandbox.api_key,
            "CUSTOMERIO_APP_URL": self.sandbox.url,
            "CUSTOMERIO_APP_API_KEY": self.sandbox.app_api_key,
            **self._further_settings,
        }

    def start(self) -> Self:
        """Start everything and wait until the worker is ready.

        Raises:
            ServerError: A part did not start; the others are stopped.
        """
        try:
            self._report("starting Valkey, PostgreSQL and the sandbox")
            with ThreadPoolExecutor(3) as pool:
                starts = [
                    pool.submit(each.start) for each in (self.redis, self.postgres, self.sandbox)
                ]
            for start in starts:
                start.result()
            self._ports.keep(
                valkey=self.redis.port,
                postgres=self.postgres.port,
                sandbox=self.sandbox.options.port,
            )
            self._report("creating tables and queue")
            self._migrate()
            self._report("starting worker and beat")
            self.beat = self._celery("beat")
            self.worker = self._celery("worker", *WORKER)
            self._wait_for_worker(self.worker)
        except SandboxNotStartedError as error:
            self.stop()
            raise ServerError(str(error)) from None
        except BaseException:
            self.stop()
            raise
        return self

    def start_console(self) -> str:
        """Start the web console, and return the link that signs in to it.

        Raises:
            ServerError: It did not start; everything is stopped.
        """
        self._report("starting the console")
        port, token = self._ports.last("console") or ports.free_port(), secrets.token_urlsafe(24)
        command = [sys.executable, "-P", "-m", "trackrelay.worker.cli.main", "console"]
        descriptor = self._output.of("console")
        try:
            self.console = ChildProcess(
                "the console",
                [*command, "--port", str(port)],
                env=_environment() | self.settings | {"CONSOLE_LINK_TOKEN": token},
                cwd=Path.cwd(),
                output=descriptor,
            ).start()
        finally:
            os.close(descriptor)
        self._ports.keep(
            valkey=self.redis.port,
            postgres=self.postgres.port,
            sandbox=self.sandbox.options.port,
            console=port,
        )
        if not wait_until(lambda: not ports.is_free(port) or not self._runs(), READY_S, 0.1):
            self.stop()
            raise ServerError(f"the console was not ready within {READY_S:.0f} s")
        self.console_url = f"http://127.0.0.1:{port}/sign-in?token={token}"
        return self.console_url

    def _runs(self) -> bool:
        return self.console is not None and self.console.running

    def stop(self) -> None:
        """Stop everything, the worker first: it finishes its current requests."""
        for child in (self.worker, self.beat, self.console):
            if child is not None:
                child.stop()
        self.sandbox.stop()
        self.redis.close()
        self.postgres.close()

    def dead(self) -> str | None:
        """Return the name of a child that ended unexpectedly, or None."""
        running = {
            "the worker": self.worker and self.worker.running,
            "beat": self.beat and self.beat.running,
            "Valkey": self.redis.running,
            "PostgreSQL": self.postgres.running,
            "the sandbox": self.sandbox.running,
            "the console": self.console is None or self.console.running,
        }
        return next((name for name, is_running in running.items() if not is_running), None)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _migrate(self) -> None:
        configured = load(self.settings)
        engine, client = make_engine(configured, pool_size=1), connect(configured)
        try:
            migrate(engine, client, configured.shards)
        finally:
            engine.dispose()
            client.close()

    def _celery(self, command: str, *arguments: str) -> ChildProcess:
        # -P: a worker.py in the current folder must not be imported. -q: no banner.
        celery = [sys.executable, "-P", "-m", "celery", "-q", "-A", "trackrelay"]
        descriptor = self._output.of(command)
        try:
            return ChildProcess(
                f"the {command}",
                [*celery, command, *arguments],
                env=_environment() | self.settings,
                cwd=Path.cwd(),
                output=descriptor,
                stop_signals=WORKER_STOP_SIGNALS,
            ).start()
        finally:
            os.close(descriptor)

    def _wait_for_worker(self, worker: ChildProcess) -> None:
        client = connect(load(self.settings))

        def is_ready() -> bool:
            if not worker.running:
                raise ServerError("the worker ended while starting")
            return next(client.scan_iter(WORKER_KEY + "*"), None) is not None

        try:
            if not wait_until(is_ready, READY_S):
                raise ServerError(f"the worker was not ready within {READY_S:.0f} s")
        finally:
            client.close()


class Ports:
    """The ports of a stack, kept for its next start: other terminals have them in their settings.

    Args:
        folder: The folder of the stack; None: nothing is kept.
    """

    def __init__(self, folder: Path | None) -> None:
        self._file = folder and folder / "ports.json"
        self._last = self._read()

    def _read(self) -> dict[str, int]:
        try:
            known = json.loads(self._file.read_text()) if self._file else {}
            return {str(name): int(port) for name, port in known.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def last(self, name: str) -> int | None:
        """Return the port of the last start, if it is free."""
        port = self._last.get(name)
        return port if port and ports.is_free(port) else None

    def keep(self, **current: int) -> None:
        """Write the ports down for the next start."""
        if self._file:
            self._file.write_text(json.dumps(current) + "\n")


def _environment() -> dict[str, str]:
    here = str(Path(trackrelay.__file__).parent.parent)
    path = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    clean = {name: value for name, value in os.environ.items() if not name.startswith(OWN_PREFIXES)}
    # Celery warns root about running the worker, which nobody can change here.
    quiet = {"PYTHONWARNINGS": "ignore:You're running the worker"}
    return clean | quiet | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
