"""Workers, beats and relays, restarted when they end, as a supervisor in production does."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from tests.support.worker_process import ROOT, WorkerProcess, clean_environment
from trackrelay.worker.devstack.servers import ChildProcess

from .plans import WorkerPlan

#: How soon a process that ended is started again.
RESTART_S = 0.5
READY_S = 60.0


class Fleet:
    """Workers, beats and relays.

    Args:
        settings: environment variables, by name.
        logs: the folder for what they write.
        include: modules the workers import besides their own.
    """

    def __init__(
        self, settings: Mapping[str, str], logs: Path, include: Sequence[str] = ()
    ) -> None:
        self._arguments = [f"--include={module}" for module in include]
        # Killed workers leave temporary folders behind.
        self._settings = {"TMPDIR": str(logs), **settings}
        self._logs = logs
        self.workers: list[WorkerProcess] = []
        self.beats: list[ChildProcess] = []
        self.relays: list[ChildProcess] = []
        self._workers_relay = True
        #: Times a process was brought back.
        self.restarts = 0
        self._orphans: list[psutil.Process] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, name="supervisor", daemon=True)

    def start(self, plans: Sequence[WorkerPlan], beats: int, relays: int = 0) -> None:
        """Start everything at once, and wait until the workers take work.

        Workers relay if there are no relays.
        """
        self._workers_relay = not relays
        self.relays = [self._relay(number) for number in range(relays)]
        self.add(plans)
        for _ in range(beats):
            self.add_beat()
        self._supervisor.start()

    def add(self, plans: Sequence[WorkerPlan], *, wait: bool = True) -> list[WorkerProcess]:
        """Start further workers."""
        with self._lock:
            added = [
                self._worker(plan, len(self.workers) + index) for index, plan in enumerate(plans)
            ]
            for worker in added:
                worker.start(ready_within=None)
            self.workers += added
        if wait:
            self.wait_ready(added)
        return added

    def add_beat(self) -> ChildProcess:
        """Start a beat."""
        with (self._logs / f"beat{len(self.beats)}.log").open("ab") as output:
            beat = ChildProcess(
                "beat",
                [sys.executable, "-m", "celery", "-A", "trackrelay", "beat"],
                env=clean_environment() | self._settings,
                cwd=ROOT,
                output=output.fileno(),
            ).start()
        self.beats.append(beat)
        return beat

    def end_beats(self) -> None:
        """End every beat for good."""
        with self._lock:
            beats, self.beats = self.beats, []
        for beat in beats:
            beat.kill()

    def retire(self, workers: Sequence[WorkerProcess], *, kill: bool = False) -> None:
        """End workers for good, warmly or at once."""
        with self._lock:
            self.workers = [worker for worker in self.workers if worker not in workers]
        self._note_children(workers)
        _all(workers, WorkerProcess.kill if kill else WorkerProcess.stop)

    def replace_all(self, plans: Sequence[WorkerPlan], *, kill: bool = False) -> None:
        """End all workers and start others."""
        self.retire(list(self.workers), kill=kill)
        self.add(plans)

    def wait_ready(
        self, workers: Sequence[WorkerProcess] | None = None, timeout_s: float = READY_S
    ) -> None:
        """Wait until workers take work (again)."""
        deadline = time.monotonic() + timeout_s
        for worker in self.workers if workers is None else workers:
            while not (worker.running and worker._is_ready()):
                if time.monotonic() > deadline:
                    raise TimeoutError(
                        f"a worker is not ready after {timeout_s:g} s; its log:\n"
                        f"{worker.output[-3000:]}"
                    )
                time.sleep(0.05)

    def children(self, worker: WorkerProcess) -> list[psutil.Process]:
        """A worker's pool processes; none for a pool of threads."""
        try:
            return psutil.Process(worker.pid).children(recursive=True) if worker.running else []
        except psutil.NoSuchProcess:
            return []

    def processes(self) -> list[psutil.Process]:
        """Every process that may hold a shard: the workers and their children."""
        found = []
        for worker in list(self.workers):
            with contextlib.suppress(psutil.NoSuchProcess):
                if worker.running:
                    found += [psutil.Process(worker.pid), *self.children(worker)]
        return found

    def kill_parent(self, worker: WorkerProcess) -> None:
        """SIGKILL to a worker's main process only: its pool processes are left behind."""
        self._note_children([worker])
        with contextlib.suppress(ProcessLookupError):
            if worker.running:
                os.kill(worker.pid, signal.SIGKILL)

    def close(self) -> None:
        """End everything."""
        self._over.set()
        with self._lock:
            self._note_children(self.workers)
            _all(self.workers, WorkerProcess.kill)
            _all([*self.beats, *self.relays], ChildProcess.kill)
        for orphan in self._orphans:
            if _lives(orphan):
                orphan.kill()

    def _relay(self, number: int) -> ChildProcess:
        with (self._logs / f"relay{number}.log").open("ab") as output:
            return ChildProcess(
                "relay",
                [sys.executable, "-m", "trackrelay.worker.cli.main", "relay"],
                env=clean_environment() | self._settings,
                cwd=ROOT,
                output=output.fileno(),
            ).start()

    def _worker(self, plan: WorkerPlan, number: int) -> WorkerProcess:
        settings = self._settings | (
            {"TRACKRELAY_FAILPOINT": plan.failpoint} if plan.failpoint else {}
        )
        if not self._workers_relay:
            settings.pop("TRACKRELAY_OUTBOX_URL", None)
        name = f"{plan.pool}{number}"
        return WorkerProcess(
            settings,
            log=self._logs / f"{name}.log",
            name=name,
            pool=plan.pool,
            concurrency=plan.concurrency,
            arguments=[*self._arguments, *(f"--include={module}" for module in plan.include)],
        )

    def _note_children(self, workers: Sequence[WorkerProcess]) -> None:
        self._orphans += [child for worker in workers for child in self.children(worker)]

    def _supervise(self) -> None:
        while not self._over.wait(RESTART_S):
            with self._lock:
                if self._over.is_set():
                    return
                for worker in self.workers:
                    if not worker.running:
                        worker.start(ready_within=None)
                        self.restarts += 1
                for index, beat in enumerate(self.beats):
                    if not beat.running:
                        self.beats.remove(beat)
                        self.add_beat()
                        self.beats.insert(index, self.beats.pop())
                        self.restarts += 1
                for number, relay in enumerate(self.relays):
                    if not relay.running:
                        self.relays[number] = self._relay(number)
                        self.restarts += 1


def _all(things: Sequence[object], act: object) -> None:
    threads = [threading.Thread(target=act, args=(thing,)) for thing in things]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
