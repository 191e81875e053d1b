"""A misconfigured worker fails at its start with one line, without secrets. And its log's form."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.harness import Harness
from tests.support.waiting import wait_until
from tests.support.worker_process import WorkerProcess
from trackrelay.sandbox.sandbox_process import SandboxProcess

PASSWORD = "canary-password-1f4e"
AWAY = "Connection refused"


def lines(worker: WorkerProcess) -> list[dict[str, Any]]:
    """The lines of its log that have been finished."""
    return [
        json.loads(line)
        for line in worker.output.splitlines()
        if line.startswith("{") and line.endswith("}")
    ]


def complaints(worker: WorkerProcess) -> list[dict[str, Any]]:
    """What it found wrong before it started."""
    return [
        line
        for line in lines(worker)
        if line["logger"] == "trackrelay.start" and line["level"] != "info"
    ]


def only_complaint(worker: WorkerProcess) -> dict[str, Any]:
    """The only error line."""
    (line,) = wait_until(
        lambda: complaints(worker), 30, lambda: f"a complaint; its log:\n{worker.output}"
    )
    assert "Traceback" not in worker.output
    assert PASSWORD not in worker.output
    return line


@pytest.mark.parametrize(
    ("changes", "event", "messages"),
    [
        pytest.param(
            {"CUSTOMERIO_TRACK_API_KEY": "app-key"},
            "delivery_halted",
            ["refuses the credentials (401)", "This may be an App API key"],
            id="wrong key",
        ),
        pytest.param(
            {"CUSTOMERIO_SITE_ID": "", "CUSTOMERIO_TRACK_API_KEY": ""},
            "delivery_halted",
            [
                "CUSTOMERIO_SITE_ID and CUSTOMERIO_TRACK_API_KEY are not set: in Customer.io, "
                "Settings →"
            ],
            id="no credentials",
        ),
        pytest.param(
            {"CUSTOMERIO_TRACK_API_KEY": " "},
            "delivery_halted",
            ["CUSTOMERIO_TRACK_API_KEY is not set: in Customer.io, Settings →"],
            id="empty key",
        ),
        pytest.param(
            {"TRACKRELAY_ENVIRONMENT_ID": "999"},
            "delivery_halted",
            ["the credentials belong to workspace 123, TRACKRELAY_ENVIRONMENT_ID is 999"],
            id="wrong workspace",
        ),
        pytest.param(
            {"TRACKRELAY_SHARD": "3"},
            "unknown_setting",
            ["TRACKRELAY_SHARD", "TRACKRELAY_SHARDS"],
            id="unknown setting",
        ),
        pytest.param(
            {"TRACKRELAY_DATABASE_URL": f"postgresql://app:{PASSWORD}@127.0.0.1:1/app"},
            "postgres_unreachable",
            [AWAY],
            id="no Postgres",
        ),
    ],
)
def test_problems_that_may_pass_are_reported_and_the_worker_continues(
    harness: Harness, start_worker: Any, changes: dict[str, str], event: str, messages: list[str]
) -> None:
    worker = start_worker({**harness.settings, **changes})
    line = only_complaint(worker)
    assert line["event"] == event
    assert [words for words in messages if words not in " ".join(map(str, line.values()))] == []
    assert worker.running


def test_without_a_redis_a_worker_says_so_and_keeps_trying(
    harness: Harness, start_worker: Any
) -> None:
    nowhere = f"redis://:{PASSWORD}@127.0.0.1:1/0"
    worker = start_worker({**harness.settings, "TRACKRELAY_REDIS_URL": nowhere}, wait=False)
    line = only_complaint(worker)
    assert line["event"] == "redis_unreachable"
    assert AWAY in line["error"]
    wait_until(
        lambda: "Trying again" in worker.output,
        30,
        lambda: f"Celery's next try; its log:\n{worker.output}",
    )
    assert PASSWORD not in worker.output
    assert worker.running


def test_credentials_of_another_region_are_reported(
    harness: Harness,
    start_sandbox: Callable[..., SandboxProcess],
    worker_log: Callable[[str], Path],
) -> None:
    environment = {**harness.settings, "TESTS_US_TRACK_URL": start_sandbox(region="eu").url}
    del environment["CUSTOMERIO_TRACK_URL"]
    worker = WorkerProcess(environment, log=worker_log("elsewhere"))
    worker.command[worker.command.index("-A") + 1] = "tests.support.elsewhere"
    try:
        worker.start()
        line = only_complaint(worker)
        assert line["event"] == "delivery_halted"
        assert line["message"].endswith("CUSTOMERIO_REGION is us: set CUSTOMERIO_REGION=eu")
        assert worker.running
    finally:
        worker.stop()


def test_a_database_that_was_never_migrated_ends_it(
    harness: Harness, start_worker: Any, empty_database_url: str
) -> None:
    worker = start_worker(
        {**harness.settings, "TRACKRELAY_DATABASE_URL": empty_database_url}, wait=False
    )
    assert worker.wait(30) == 1
    line = only_complaint(worker)
    assert line["event"] == "cannot_start"
    assert "run `trackrelay migrate`" in line["message"]


def test_a_wrong_setting_ends_it(harness: Harness, start_worker: Any) -> None:
    worker = start_worker({**harness.settings, "CUSTOMERIO_REGION": "fr"}, wait=False)
    assert worker.wait(30) == 1
    (line,) = worker.output.splitlines()
    assert line == "trackrelay: CUSTOMERIO_REGION must be one of us, eu; it is 'fr'"


def test_without_a_terminal_every_line_is_json_and_a_request_has_its_numbers(
    harness: Harness, worker_log: Callable[[str], Path]
) -> None:
    jobs = [harness.producer.track("42", "seen", {"n": number}) for number in range(3)]
    worker = WorkerProcess(harness.settings, log=worker_log("json"))
    try:
        worker.start()
        harness.wait_delivered(jobs)
    finally:
        worker.stop()
    written = [json.loads(line) for line in worker.output.splitlines() if line]
    assert [line for line in written if line["event"] == "worker: Warm shutdown (MainProcess)"]
    assert all(line.keys() >= {"event", "level", "logger", "timestamp"} for line in written)
    assert [line["level"] for line in written if line["event"].endswith(" ready.")] == [
        "info"
    ]  # Celery's own
    (request,) = (line for line in written if line["event"] == "request")
    assert (request["logger"], request["path"], request["status"]) == (
        "trackrelay.delivery",
        "/api/v2/batch",
        200,
    )
    assert request["shard"] in range(4)
    assert request["batch"] == 3
    assert 100 < request["bytes"] < 1_000
    assert 0 < request["ms"] < 10_000
