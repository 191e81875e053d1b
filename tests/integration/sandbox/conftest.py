"""A sandbox in a separate process, reset for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.sandbox_api import Api
from trackrelay.sandbox import SandboxProcess


@pytest.fixture(scope="session")
def _server() -> Iterator[SandboxProcess]:
    with SandboxProcess(app_rate_limit=0) as server:
        yield server


@pytest.fixture
def api(_server: SandboxProcess) -> Api:
    """The sandbox, without people."""
    _server.client.reset()
    return Api(_server)
