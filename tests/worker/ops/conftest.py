"""Fixtures for the tests of the command line."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.road import Road
from trackrelay.sandbox.sandbox_process import SandboxProcess
from trackrelay.worker.queue.bootstrap import migrate

from .command_line import CommandLine


@pytest.fixture
def run(worker_settings: dict[str, str]) -> CommandLine:
    """The command line on servers that nobody has set up yet."""
    return CommandLine(worker_settings)


@pytest.fixture
def road(worker_settings: dict[str, str], sandbox: SandboxProcess) -> Iterator[Road]:
    """Servers that are set up, and no worker; four shards."""
    road = Road(worker_settings, sandbox.client)
    migrate(road.engine, road.redis, 4)
    yield road
    road.close()


@pytest.fixture
def working_road(road: Road, start_worker: Callable[..., Any]) -> Road:
    """The same with a worker."""
    start_worker(road.settings, pool="threads", concurrency=4)
    return road
