"""What the tests about neighbours share."""

from collections.abc import Iterator

import pytest

from tests.support.road import Road
from trackrelay.sandbox.sandbox_process import SandboxProcess
from trackrelay.worker.queue.bootstrap import migrate


@pytest.fixture
def road(worker_settings: dict[str, str], sandbox: SandboxProcess) -> Iterator[Road]:
    road = Road(worker_settings, sandbox.client)
    migrate(road.engine, road.redis, 4)
    yield road
    road.close()
