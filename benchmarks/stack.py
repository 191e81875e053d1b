"""The servers and workers of a run."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from uuid import uuid4

import psutil
import redis
import sqlalchemy as sa

from trackrelay.queue import redis_keys
from trackrelay.sandbox import SandboxProcess
from trackrelay.worker.devstack.servers import ChildProcess, PostgresProcess, ValkeyProcess
from trackrelay.worker.queue.bootstrap import migrate
from trackrelay.worker.queue.queue_length import jobs_queued
from trackrelay.worker.settings import sqlalchemy_url

ROOT = Path(__file__).parents[1]
LATENCY_S = 0.05


@dataclass
class Usage:
    """The resources that some processes used."""

    cpu_s: float = 0.0
    peak_mb: float = 0.0


class Meter:
    """Adds up the resources of process trees between start and stop.

    Memory is looked at while it runs, and so is the time of processes that may have ended when it
    stops.
    """

    def __init__(self, pids: Sequence[int]) -> None:
        self._roots = [psutil.Process(pid) for pid in pids]
        self._cpu: dict[int, float] = {}
        self._look()
        self._before = dict(self._cpu)
        self.usage = Usage()

    def look(self) -> float:
        """Record the use so far; return the resident memory in MB."""
        resident_mb = self._look() / 2**20
        self.usage.peak_mb = max(self.usage.peak_mb, resident_mb)
        return resident_mb

    def stop(self) -> Usage:
        """Return the use since the start."""
        self.look()
        self.usage.cpu_s = sum(cpu - self._before.get(pid, 0.0) for pid, cpu in self._cpu.items())
        return self.usage

    def _look(self) -> int:
        resident = 0
        for process in self._family():
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    resident += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
            self._cpu[process.pid] = times.user + times.system
        return resident

    def _family(self) -> list[psutil.Process]:
        family = []
        for root in self._roots:
            try:
                family += [root, *root.children(recursive=True)]
            except psutil.NoSuchProcess:
                continue
        return family


class Stack:
    """Valkey, a durable Postgres and a sandbox with 50 ms latency, each in its own process.

    Args:
        postgres: settings by their names in postgresql.conf.
    """

    engine: sa.Engine

    def __init__(self, postgres: Mapping[str, str] | None = None) -> None:
        self._exit = ExitStack()
        self._postgres_settings = postgres

    def __enter__(self) -> Self:
        folder = tempfile.TemporaryDirectory(prefix="trackrelay-bench-", ignore_cleanup_errors=True)
        self.folder = Path(self._exit.enter_context(folder))
        self.valkey = self._exit.enter_context(ValkeyProcess())
        self.postgres = self._exit.enter_context(
            PostgresProcess(durable=True, settings=self._postgres_settings)
        )
        self.sandbox = self._exit.enter_context(
            SandboxProcess(latency=f"{LATENCY_S * 1000:g}ms", bodies=False)
        )
        self.redis = redis.Redis.from_url(self.valkey.url)
        self.settings: dict[str, str] = {}
        self.shards = 4
        self.database = ""
        return self

    def __exit__(self, *error: object) -> None:
        self._exit.close()

    def fresh(self, shards: int = 4, **settings: str) -> None:
        """Empty the servers and set up the shards."""
        name = f"bench_{uuid4().hex[:12]}"
        admin = sa.create_engine(sqlalchemy_url(self.postgres.url), isolation_level="AUTOCOMMIT")
        if self.database:
            self.engine.dispose()
        with admin.connect() as connection:
            if self.database:
                connection.exec_driver_sql(f'DROP DATABASE "{self.database}" WITH (FORCE)')
            connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
        self.database = name
        admin.dispose()
        self.redis.flushall()
        self.sandbox.client.reset()
        self.settings = {
            "TRACKRELAY_REDIS_URL": self.valkey.url,
            "TRACKRELAY_DATABASE_URL": self.postgres.url_of(name),
            "CUSTOMERIO_TRACK_URL": self.sandbox.url,
            "CUSTOMERIO_SITE_ID": self.sandbox.site_id,
            "CUSTOMERIO_TRACK_API_KEY": self.sandbox.api_key,
            "TRACKRELAY_REQUESTS_PER_SECOND": "1000",
            "TRACKRELAY_LOG_LEVEL": "warning",
            "TRACKRELAY_MAX_QUEUE_LENGTH": "5000000",
            **settings,
        }
        self.engine = sa.create_engine(sqlalchemy_url(self.settings["TRACKRELAY_DATABASE_URL"]))
        self.shards = shards
        migrate(self.engine, self.redis, shards)

    def environment(self) -> dict[str, str]:
        """The environment for a child process."""
        ours = ("TRACKRELAY_", "CUSTOMERIO_", "CELERY")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return inherited | self.settings | {"PYTHONPATH": str(ROOT)}

    @contextmanager
    def process(
        self, name: str, command: Sequence[str], ready: bytes = b""
    ) -> Iterator[ChildProcess]:
        """Run a child process from when it prints ``ready`` until the block ends."""
        log = self.folder / f"{name}-{uuid4().hex[:6]}.log"
        with log.open("wb") as output:
            child = ChildProcess(
                name,
                [sys.executable, "-m", *command],
                env=self.environment(),
                cwd=ROOT,
                output=output.fileno(),
            )
            child.start()
        try:
            deadline = time.monotonic() + 30
            while ready not in log.read_bytes():
                if time.monotonic() > deadline or not child.running:
                    raise RuntimeError(f"{name} did not start:\n{log.read_text()}")
                time.sleep(0.05)
            yield child
        finally:
            child.kill()

    @contextmanager
    def workers(
        self, count: int = 1, *, pool: str = "prefork", concurrency: int = 2
    ) -> Iterator[list[int]]:
        """Run trackrelay's workers; yield their process ids."""
        # They log warnings only; readiness is read from Redis, where each worker registers.
        with ExitStack() as exit_:
            command = (
                "celery",
                "-A",
                "worker",
                "worker",
                f"--pool={pool}",
                f"--concurrency={concurrency}",
            )
            names = [f"w{number}@bench" for number in range(count)]
            children = [
                exit_.enter_context(self.process("worker", [*command, f"--hostname={name}"]))
                for name in names
            ]
            wait_for(
                lambda: all(self.redis.exists(f"trackrelay:workers:{name}") for name in names), 30
            )
            yield [child.pid for child in children]

    def ledger_count(self) -> int:
        """Return the number of delivered jobs."""
        with self.engine.connect() as connection:
            return int(
                connection.execute(sa.text("SELECT count(*) FROM trackrelay_ledger")).scalar() or 0
            )

    def waiting(self) -> int:
        """Return the number of jobs in the streams: every job that is not settled."""
        return jobs_queued(self.redis, self.shards)

    def has_backlog(self) -> bool:
        """Return whether the backlog has jobs."""
        with self.engine.connect() as connection:
            return (
                connection.execute(sa.text("SELECT 1 FROM trackrelay_backlog LIMIT 1")).first()
                is not None
            )

    def set_up_redis_anew(self) -> None:
        """Empty the queue and the sandbox; keep the database."""
        self.redis.flushall()
        self.sandbox.client.reset()
        migrate(self.engine, self.redis, self.shards)
        # A queue that was lost waits for requests that may still be on their way: here are none.
        self.redis.delete(*(redis_keys.lease(shard) for shard in range(self.shards)))

    def effects_count(self) -> int:
        """Return the number of operations that the sandbox has accepted."""
        return self.sandbox.client.summary()["effects"]


def wait_for(
    condition: object, timeout_s: float, meter: Meter | None = None, poll_s: float = 0.02
) -> None:
    """Wait until ``condition()`` is true."""
    assert callable(condition)
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout_s:g} s")
        if meter:
            meter.look()
        time.sleep(poll_s)
