"""Everything trackrelay needs, as child processes that end with this one, however it ends."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import trackrelay
from trackrelay.sandbox.sandbox_process import SandboxNotStartedError, SandboxProcess
from trackrelay.worker.maintenance.heartbeat_keys import WORKER_KEY
from trackrelay.worker.queue.bootstrap import migrate
from trackrelay.worker.queue.redis_client import connect
from trackrelay.worker.settings import load
from trackrelay.worker.storage.engine import make_engine

from .servers import ChildProcess, PostgresProcess, ServerError, ValkeyProcess, ports
from .waits import wait_until

#: A worker that is not ready by then will not be.
READY_S = 60.0
#: Requests under way are finished before a worker goes.
WORKER_STOP_SIGNALS = ((signal.SIGTERM, 15.0),)
#: One worker has no neighbours to look for, which would take it a second.
WORKER = (
    "--pool=threads",
    "--concurrency=4",
    "--hostname=worker@%h",
    "--without-mingle",
    "--without-gossip",
)
OURS = ("TRACKRELAY_", "CUSTOMERIO_", "CELERY")


class Output(Protocol):
    """Where the children's words go."""

    def of(self, name: str) -> int:
        """A file descriptor that takes what the child called ``name`` writes; closed by the caller of this."""


class Stack:
    """Valkey, PostgreSQL, a sandbox, a worker and a beat, set up to work together.

    Args:
        folder: keeps data and ports from one start to the next; None: a temporary one.
        output: where worker and beat write.
        settings: of the worker and beat, on top of the addresses.
        said: told what is being started, in a few words each.
    """

    def __init__(
        self,
        folder: Path | None,
        output: Output,
        *,
        settings: Mapping[str, str] | None = None,
        said: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._output = output
        self._more = dict(settings or {})
        self._said = said
        self._ports = Ports(folder)
        temporary = folder is None
        self.redis = ValkeyProcess(
            folder and folder / "valkey", port=self._ports.last("valkey"), with_password=True
        )
        # What a power cut would take from a temporary folder, nobody misses.
        self.postgres = PostgresProcess(
            folder and folder / "postgres", port=self._ports.last("postgres"), durable=not temporary
        )
        self.sandbox = SandboxProcess(self._ports.last("sandbox") or ports.free_port())
        self.worker: ChildProcess | None = None
        self.beat: ChildProcess | None = None

    @property
    def kept_elsewhere(self) -> Path | None:
        """Where PostgreSQL's data is, if that is not in the folder: it does not run as root."""
        return (
            None if self.postgres.home == self.postgres.data_dir.resolve() else self.postgres.home
        )

    @property
    def settings(self) -> dict[str, str]:
        """What the environment of the worker, and of anybody who works with the stack, must say."""
        return {
            "TRACKRELAY_REDIS_URL": self.redis.url,
            "TRACKRELAY_DATABASE_URL": self.postgres.url,
            "CUSTOMERIO_TRACK_URL": self.sandbox.url,
            "CUSTOMERIO_SITE_ID": self.sandbox.site_id,
            "CUSTOMERIO_TRACK_API_KEY": self.sandbox.api_key,
            "CUSTOMERIO_APP_URL": self.sandbox.url,
            "CUSTOMERIO_APP_API_KEY": self.sandbox.app_api_key,
            **self._more,
        }

    def start(self) -> Self:
        """Start everything, and return when the worker takes work.

        Raises:
            ServerError: something did not start; whatever did is stopped.
        """
        try:
            self._said("starting Valkey, PostgreSQL and the sandbox")
            with ThreadPoolExecutor(3) as together:
                starts = [
                    together.submit(each.start)
                    for each in (self.redis, self.postgres, self.sandbox)
                ]
            for start in starts:
                start.result()
            self._ports.keep(
                valkey=self.redis.port,
                postgres=self.postgres.port,
                sandbox=self.sandbox.options.port,
            )
            self._said("setting up tables and queue")
            self._migrate()
            self._said("starting worker and beat")
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

    def stop(self) -> None:
        """Stop everything, the worker first: it finishes the requests it has under way."""
        for child in (self.worker, self.beat):
            if child is not None:
                child.stop()
        self.sandbox.stop()
        self.redis.close()
        self.postgres.close()

    def dead(self) -> str | None:
        """The name of a child that ended by itself, if any did."""
        running = {
            "the worker": self.worker and self.worker.running,
            "beat": self.beat and self.beat.running,
            "Valkey": self.redis.running,
            "PostgreSQL": self.postgres.running,
            "the sandbox": self.sandbox.running,
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
        descriptor = self._output.of(command)
        try:
            return ChildProcess(
                f"the {command}",
                # Not the current folder first: there may be a worker.py in it. Quiet: without the banner.
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "celery",
                    "-q",
                    "-A",
                    "trackrelay",
                    command,
                    *arguments,
                ],
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
                raise ServerError("the worker ended at its start")
            return next(client.scan_iter(WORKER_KEY + "*"), None) is not None

        try:
            if not wait_until(is_ready, READY_S):
                raise ServerError(f"the worker was not ready within {READY_S:.0f} s")
        finally:
            client.close()


class Ports:
    """The ports of a stack, the same at the next start where they are free: other terminals remember them."""

    def __init__(self, folder: Path | None) -> None:
        self._file = folder and folder / "ports.json"
        self._last = self._read()

    def _read(self) -> dict[str, int]:
        try:
            known = json.loads(self._file.read_text()) if self._file else {}
        except (OSError, ValueError):
            return {}
        return (
            {str(name): int(port) for name, port in known.items()}
            if isinstance(known, dict)
            else {}
        )

    def last(self, name: str) -> int | None:
        """The port that ``name`` had last time, if it is free."""
        port = self._last.get(name)
        return port if port and ports.is_free(port) else None

    def keep(self, **current: int) -> None:
        """Remember for the next start."""
        if self._file:
            self._file.write_text(json.dumps(current) + "\n")


def _environment() -> dict[str, str]:
    # Nothing of ours that is set in this terminal: the stack says itself what it is told.
    here = str(Path(trackrelay.__file__).parent.parent)
    path = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    clean = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    # On the machine of somebody who is root, Celery's warning about that helps nobody.
    quiet = {"PYTHONWARNINGS": "ignore:You're running the worker"}
    return clean | quiet | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
