from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.sandbox_api import Api
from trackrelay.app_api import AppApi, request_budget
from trackrelay.sandbox import SandboxProcess


@pytest.fixture
def no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten requests a millisecond: for tests of something else."""
    monkeypatch.setattr(request_budget, "WINDOW_S", 0.001)


@pytest.fixture
def free_sandbox(start_sandbox: Callable[..., SandboxProcess]) -> SandboxProcess:
    """A sandbox that limits no reads."""
    return start_sandbox(app_rate_limit=0)


@pytest.fixture
def api(free_sandbox: SandboxProcess, no_limit: None) -> Iterator[AppApi]:
    with AppApi(app_api_key=free_sandbox.app_api_key, app_url=free_sandbox.url) as api:
        yield api


@pytest.fixture
def entity(free_sandbox: SandboxProcess) -> Callable[[dict[str, Any]], None]:
    """Sends one operation to the sandbox's Track API."""
    track = Api(free_sandbox)

    def send(document: dict[str, Any]) -> None:
        assert track.call("POST", "/api/v2/entity", document).status == 200

    return send
