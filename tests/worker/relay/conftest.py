"""An application with an outbox, in a database of its own or in trackrelay's, and relays as real processes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from producers import Operation, operations
from producers.outbox import Outbox, create_table, table
from sandbox.process import SandboxProcess
from tests.support.road import Road
from tests.support.waiting import wait_until
from tests.support.worker_process import ROOT, clean_environment
from worker.setting_up import migrate

SHARDS = 4


class Application:
    """Writes jobs in transactions of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
        create_table(self.engine)

    def track(self, person: str, name: str = "seen", **data: Any) -> str:
        """One job, committed."""
        with self.engine.begin() as connection:
            return Outbox(connection).track(person, name, data)

    def write(self, made: list[Operation], at_once: int = 50) -> list[str]:
        """Jobs in order, some in each transaction."""
        for start in range(0, len(made), at_once):
            with self.engine.begin() as connection:
                Outbox(connection).enqueue_all(made[start : start + at_once])
        return [operation.id for operation in made]

    def rows(self) -> list[Any]:
        """What the outbox holds."""
        with self.engine.connect() as connection:
            return list(connection.execute(sa.select(table).order_by(table.c.id)))

    def unrelayed(self) -> list[str]:
        """The jobs that were not relayed yet."""
        return [row.job_id for row in self.rows() if row.generation is None]

    def is_empty(self) -> bool:
        """Whether every job has arrived, and was let go."""
        return not self.rows()


def events(count: int, people: int) -> list[Operation]:
    """Events of several people, numbered."""
    return [operations.track(str(number % people), "seen", {"n": number}) for number in range(count)]


def assert_once_and_in_order(road: Road, made: list[Operation]) -> None:
    """Each job took effect once, and those of one person in the order in which they were made."""
    expected: dict[str, list[str]] = {}
    for operation in made:
        expected.setdefault(operation.keys[0], []).append(operation.id)
    found: dict[str, list[str]] = {key: [] for key in expected}
    for effect in road.effects():
        for key in effect["keys"]:
            if key in found and effect["action"] == "event":
                found[key].append(effect["id"])
    assert {key: len(ids) for key, ids in found.items()} == {key: len(ids) for key, ids in expected.items()}
    assert found == expected


class RelayProcess:
    """``trackrelay relay`` as a child process."""

    def __init__(self, settings: dict[str, str], log: Path, *arguments: str) -> None:
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "worker.ops.cli", "relay", *arguments],
                env=clean_environment() | settings,
                cwd=ROOT,
                stdout=output,
                stderr=output,
            )

    @property
    def output(self) -> str:
        return self.log.read_text()

    def wait(self, timeout: float = 20.0) -> int:
        return self.process.wait(timeout)

    def terminate(self, timeout: float = 10.0) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.wait(timeout)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(params=["its own PostgreSQL", "SQLite", "trackrelay's database"])
def application(
    request: pytest.FixtureRequest, worker_settings: dict[str, str], tmp_path: Path
) -> Iterator[Application]:
    """An application, and where its outbox is."""
    yield from _application(request, request.param, worker_settings, tmp_path)


@pytest.fixture
def postgres_application(
    request: pytest.FixtureRequest, worker_settings: dict[str, str], tmp_path: Path
) -> Iterator[Application]:
    """An application on a PostgreSQL database of its own."""
    yield from _application(request, "its own PostgreSQL", worker_settings, tmp_path)


def _application(
    request: pytest.FixtureRequest, where: str, worker_settings: dict[str, str], tmp_path: Path
) -> Iterator[Application]:
    match where:
        case "SQLite":
            url = f"sqlite:///{tmp_path / 'app.db'}"
        case "its own PostgreSQL":
            url = str(request.getfixturevalue("empty_database_url"))
        case _:
            url = worker_settings["TRACKRELAY_DATABASE_URL"]
    application = Application(url)
    worker_settings["TRACKRELAY_OUTBOX_URL"] = url
    yield application
    application.engine.dispose()


@pytest.fixture
def road(worker_settings: dict[str, str], sandbox: SandboxProcess) -> Iterator[Road]:
    """A road without a worker and without a relay. Take the application first."""
    worker_settings |= {"TRACKRELAY_REQUEST_TIMEOUT": "2s"}
    road = Road(worker_settings, sandbox.client)
    migrate(road.engine, road.redis, SHARDS)
    yield road
    road.close()


StartRelay = Callable[..., RelayProcess]


@pytest.fixture
def start_relay(worker_log: Callable[[str], Path], worker_settings: dict[str, str]) -> Iterator[StartRelay]:
    """Starts relays; they are killed when the test ends, and shown if it failed."""
    relays: list[RelayProcess] = []

    def start(*arguments: str, **settings: str) -> RelayProcess:
        relay = RelayProcess(worker_settings | settings, worker_log(f"relay-{len(relays)}"), *arguments)
        relays.append(relay)
        return relay

    yield start
    for relay in relays:
        relay.kill()
        print(f"----- {relay.log.name} -----\n{relay.output}")


def stream_jobs(road: Road, shard: int, lane: str = "live") -> list[str]:
    """The jobs in a stream, in order, repeats included."""
    from producers.job import decode_entry

    return [job.id for _, fields in road.redis.xrange(f"trackrelay:{shard}:{lane}") for job in decode_entry(fields[b"j"])]


def wait_empty(application: Application, timeout: float = 20.0) -> None:
    """Wait until the outbox has let everything go."""
    wait_until(application.is_empty, timeout, lambda: f"the outbox to be empty; it holds {len(application.rows())} rows")
