"""A worker with another workspace's credentials sends no request; the other workers deliver."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from tests.support.in_process_worker import people_of
from tests.support.waiting import wait_until
from trackrelay.queue.redis_keys import QUEUE_KEY
from trackrelay.sandbox.sandbox_process import SandboxProcess


@pytest.mark.timeout(300)
def test_beside_a_worker_of_another_workspace_the_right_one_delivers_everything(
    harness: Harness,
    start_worker: Callable[..., Any],
    start_sandbox: Callable[..., SandboxProcess],
) -> None:
    other = start_sandbox(environment_id=456)
    settings = harness.settings | {"TRACKRELAY_ENVIRONMENT_ID": "123"}
    start_worker(
        settings | {"CUSTOMERIO_TRACK_URL": other.url}, pool="threads", concurrency=4, name="wrong"
    )
    first = [
        harness.producer.track(person, "first", {})
        for shard in range(4)
        for person in people_of(shard, 3)
    ]
    status = CommandLine(settings)
    wait_until(lambda: "belong to workspace 456" in status("status").out, 60, "status to say so")
    assert harness.breaker().get("state", "closed") == "closed"
    start_worker(settings, pool="threads", concurrency=4, name="right")
    second = [
        harness.producer.track(person, "second", {})
        for shard in range(4)
        for person in people_of(shard, 3)
    ]
    harness.wait_delivered(first + second, 120)
    assert [
        request
        for request in other.client.requests()
        if request["path"] != "/api/v1/accounts/region"
    ] == []


@pytest.mark.timeout(300)
def test_a_worker_that_starts_in_an_outage_still_empties_the_streams(
    harness: Harness,
    start_worker: Callable[..., Any],
    sandbox: SandboxProcess,
) -> None:
    with sandbox.client.outage():
        start_worker(
            harness.settings | {"TRACKRELAY_ENVIRONMENT_ID": "123"}, pool="threads", concurrency=4
        )
        job = harness.producer.track("42", "seen", {})
        harness.wait_waiting(job, 60)
    harness.wait_delivered([job], 120)


@pytest.mark.timeout(300)
def test_credentials_that_change_in_their_file_are_guarded_too(
    harness: Harness,
    start_worker: Callable[..., Any],
    sandbox: SandboxProcess,
    tmp_path: Path,
) -> None:
    key = tmp_path / "key"
    key.write_text(harness.settings["CUSTOMERIO_TRACK_API_KEY"])
    settings = {
        name: value
        for name, value in harness.settings.items()
        if name != "CUSTOMERIO_TRACK_API_KEY"
    }
    settings |= {"TRACKRELAY_ENVIRONMENT_ID": "123", "CUSTOMERIO_TRACK_API_KEY_FILE": str(key)}
    worker = start_worker(settings, pool="threads", concurrency=4)
    harness.wait_delivered([harness.producer.track("42", "before", {})], 60)
    right = harness.settings["CUSTOMERIO_TRACK_API_KEY"]
    sandbox.client.settings(environment_id=456)
    sandbox.client.set_credentials(api_key="another")
    key.write_text("another")
    wait_until(lambda: "delivery_refused" in worker.output, 60, "the worker to notice")
    job = harness.producer.track("42", "after", {})
    wait_until(lambda: harness.redis.llen(QUEUE_KEY) == 0, 60, "the message to be read")
    sandbox.client.settings(environment_id=123)
    sandbox.client.set_credentials(api_key=right)
    key.write_text(right)
    harness.wait_delivered([job], 60)
    assert [
        request["status"] for request in sandbox.client.requests() if "/api/v2/" in request["path"]
    ] == [200, 200]
