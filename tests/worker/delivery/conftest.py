"""Roads for the tests of delivery."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.road import Road
from tests.worker.delivery.in_process import FakeApi, Worker
from trackrelay.sandbox.sandbox_process import SandboxProcess


@pytest.fixture
def road(worker_settings: dict[str, str], sandbox: SandboxProcess) -> Iterator[Road]:
    """A road without a worker: start one with `start_worker(road.settings)`."""
    road = Road(worker_settings, sandbox.client)
    migrate_queue(road)
    yield road
    road.close()


@pytest.fixture
def working_road(road: Road, start_worker: Callable[..., Any]) -> Road:
    """A road with a worker of two threads."""
    start_worker(road.settings, pool="threads", concurrency=4)
    return road


def migrate_queue(road: Road, shards: int = 4) -> None:
    """Set up Redis and the shards' rows, as `trackrelay migrate` does."""
    from trackrelay.worker.queue.bootstrap import migrate

    migrate(road.engine, road.redis, shards)


@pytest.fixture
def api() -> FakeApi:
    """Stands in for the Track API."""
    return FakeApi()


@pytest.fixture
def worker(road: Road, api: FakeApi) -> Iterator[Worker]:
    """A worker in this process, which delivers to the stand-in when the test says so."""
    worker = Worker({**road.settings, "TRACKRELAY_MERGE_DELAY": "0s"}, api)
    yield worker
    worker.close()
