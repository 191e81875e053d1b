"""A harness for the tests of the relay."""

from collections.abc import Iterator

import pytest

from tests.support.harness import Harness
from trackrelay.sandbox.sandbox_process import SandboxProcess
from trackrelay.worker.queue.bootstrap import migrate

SHARDS = 4


@pytest.fixture
def harness(worker_settings: dict[str, str], sandbox: SandboxProcess) -> Iterator[Harness]:
    """A harness with neither a worker nor a relay. Take the application first."""
    worker_settings |= {"TRACKRELAY_REQUEST_TIMEOUT": "2s"}
    harness = Harness(worker_settings, sandbox.client)
    migrate(harness.engine, harness.redis, SHARDS)
    yield harness
    harness.close()
