"""An application and a worker under `opentelemetry-instrument`, as people start them."""

from __future__ import annotations

import http.client
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from trackrelay.worker.devstack.servers import ChildProcess, ports

from .otlp_receiver import OtlpReceiver
from .waiting import patient, wait_until
from .worker_process import READY, ROOT, clean_environment

BIN = Path(sys.executable).parent


class TracedStack:
    """Starts both, as a context manager.

    Args:
        settings: of the servers, for all processes.
        receiver: gets the spans.
        folder: for their output.
        worker: further settings of the worker.
    """

    def __init__(
        self,
        settings: Mapping[str, str],
        receiver: OtlpReceiver,
        folder: Path,
        worker: Mapping[str, str],
    ) -> None:
        self._settings = dict(settings)
        self._receiver = receiver
        self._folder = folder
        self._of_worker = dict(worker)
        self._port = ports.free_port()
        self._children: list[ChildProcess] = []

    def __enter__(self) -> TracedStack:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        for child in self._children:
            child.stop()

    def _start(self) -> None:
        celery = (str(BIN / "celery"), "-A", "worker")
        self.worker = self._run(
            "worker",
            [*_INSTRUMENTED, *celery, "worker", "--pool=prefork", "--concurrency=1"],
            self._receiver.environment("trackrelay-worker") | self._of_worker,
        )
        self._run("beat", [*celery, "beat", "--schedule", str(self._folder / "schedule")], {})
        self._run(
            "shop",
            [
                *_INSTRUMENTED,
                *(str(BIN / "flask"), "--app", "tests.support.traced_shop"),
                *("run", "--no-reload", "--port", str(self._port)),
            ],
            self._receiver.environment("shop"),
        )
        wait_until(lambda: READY.search(self.log("worker").encode()), 60, self._logs)
        wait_until(lambda: not ports.is_free(self._port), 60, self._logs)

    def _run(
        self, name: str, command: Sequence[str], environment: Mapping[str, str]
    ) -> ChildProcess:
        with (self._folder / f"{name}.log").open("wb") as output:
            child = ChildProcess(
                name,
                command,
                env=clean_environment() | self._settings | dict(environment),
                cwd=ROOT,
                output=output.fileno(),
                stop_signals=[(signal.SIGTERM, patient(20.0))],
            ).start()
        self._children.append(child)
        return child

    def get(self, path: str) -> str:
        """Ask the application, and return what it says."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=patient(30.0))
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            text = answer.read().decode()
            assert answer.status == 200, f"{answer.status}: {text}; {self._logs()}"
            return text
        finally:
            connection.close()

    def log(self, name: str) -> str:
        """What a process has written."""
        return (self._folder / f"{name}.log").read_text(errors="replace")

    def _logs(self) -> str:
        return "\n".join(self.log(path.stem) for path in sorted(self._folder.glob("*.log")))


#: As people write it before a command.
_INSTRUMENTED = (str(BIN / "opentelemetry-instrument"),)
