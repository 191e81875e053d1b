"""An application with an outbox, in a database of its own or in trackrelay's, and relays as real processes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.outbox import Application, RelayProcess
from tests.support.road import Road
from trackrelay.sandbox.sandbox_process import SandboxProcess
from trackrelay.worker.queue.bootstrap import migrate

SHARDS = 4


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
def start_relay(
    worker_log: Callable[[str], Path], worker_settings: dict[str, str]
) -> Iterator[StartRelay]:
    """Starts relays; they are killed when the test ends, and shown if it failed."""
    relays: list[RelayProcess] = []

    def start(*arguments: str, **settings: str) -> RelayProcess:
        relay = RelayProcess(
            worker_settings | settings, worker_log(f"relay-{len(relays)}"), *arguments
        )
        relays.append(relay)
        return relay

    yield start
    for relay in relays:
        relay.kill()
        print(f"----- {relay.log.name} -----\n{relay.output}")
