"""A sandbox in a process of its own, as new for each test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.description import Description, find_description
from tests.sandbox.api import Api
from trackrelay.sandbox import SandboxProcess


@pytest.fixture(scope="session")
def _server() -> Iterator[SandboxProcess]:
    with SandboxProcess() as server:
        yield server


@pytest.fixture
def api(_server: SandboxProcess) -> Api:
    """The sandbox, knowing nobody."""
    _server.client.reset()
    return Api(_server)


@pytest.fixture(scope="session")
def description() -> Description:
    """Customer.io's description; without it, what needs it is skipped, or fails where it is required."""
    path = find_description()
    if path is None:
        message = (
            "Customer.io's description is not here: set TRACK_API_DESCRIPTION to its openapi.json"
        )
        if os.environ.get("TRACK_API_DESCRIPTION_REQUIRED") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return Description(path)
