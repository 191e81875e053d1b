"""TRACKRELAY_KEY_HASH_SECRET is changed: while jobs wait whose keys were hashed with the old one, no other worker delivers."""

from collections.abc import Iterator

import pytest
import structlog

from tests.support.road import Road
from tests.worker.delivery.in_process import BUSY, FakeApi, Worker, make_due, probe_now
from tests.worker.ops.command_line import CommandLine
from trackrelay import Person
from trackrelay.sandbox.sandbox_process import SandboxProcess
from trackrelay.worker.queue.bootstrap import migrate

ADA = Person(email="ada@example.com")


@pytest.fixture
def road(worker_settings: dict[str, str], sandbox: SandboxProcess) -> Iterator[Road]:
    road = Road(worker_settings, sandbox.client)
    migrate(road.engine, road.redis, 4)
    yield road
    road.close()


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def before(road: Road, api: FakeApi) -> Iterator[Worker]:
    """A worker with the secret of before."""
    worker = Worker({**road.settings, "TRACKRELAY_KEY_HASH_SECRET": "before"}, api)
    yield worker
    worker.close()


@pytest.fixture
def after(road: Road, api: FakeApi) -> Iterator[Worker]:
    """A worker with another secret."""
    worker = Worker({**road.settings, "TRACKRELAY_KEY_HASH_SECRET": "after"}, api)
    yield worker
    worker.close()


def leave_first_in_backlog(
    road: Road, worker: Worker, api: FakeApi, who: Person | str = ADA
) -> None:
    """An outage: the first event waits."""
    api.answers = lambda request, documents: BUSY
    road.producer.track(who, "first", {})
    worker.work(1, 0.2)
    assert road.backlog_size() == 1
    api.answers = lambda request, documents: None


def work_on(road: Road, worker: Worker) -> None:
    """Hold each shard, with everything due and the breaker ready."""
    make_due(road.engine)
    probe_now(road.redis)
    worker.work(1, 0.3)


def test_with_another_secret_nothing_is_delivered_while_hashed_keys_wait(
    road: Road, before: Worker, after: Worker, api: FakeApi
) -> None:
    leave_first_in_backlog(road, before, api)
    sent = len(api.sent)
    road.producer.track(ADA, "second", {})
    with structlog.testing.capture_logs() as logs:
        work_on(road, after)
        work_on(road, after)
    assert len(api.sent) == sent
    complaints = [line["message"] for line in logs if line["log_level"] == "error"]
    assert len(complaints) == 1
    assert "Set the secret back until `trackrelay status` shows an empty backlog" in complaints[0]
    status = CommandLine(road.settings)("status").out
    assert "TRACKRELAY_KEY_HASH_SECRET is not the secret" in " ".join(status.split())
    for _ in range(3):
        work_on(road, before)
    assert api.taken == ["first", "second"]


def test_the_secret_changes_once_nothing_waits_and_then_the_old_one_is_refused(
    road: Road, before: Worker, after: Worker, api: FakeApi
) -> None:
    road.producer.track(ADA, "first", {})
    work_on(road, before)
    road.producer.track(ADA, "second", {})
    work_on(road, after)  # changes the secret
    work_on(road, after)
    assert api.taken == ["first", "second"]
    leave_first_in_backlog(road, after, api)
    road.producer.track(ADA, "second", {})
    sent = len(api.sent)
    work_on(road, before)
    assert len(api.sent) == sent


def test_jobs_whose_keys_are_not_hashed_do_not_prevent_a_change(
    road: Road, before: Worker, after: Worker, api: FakeApi
) -> None:
    leave_first_in_backlog(road, before, api, "42")
    road.producer.track("42", "second", {})
    for _ in range(4):
        work_on(road, after)
    assert api.taken == ["first", "second"]


def test_commands_with_another_secret_say_so(road: Road, before: Worker, api: FakeApi) -> None:
    leave_first_in_backlog(road, before, api)
    with_another = CommandLine({**road.settings, "TRACKRELAY_KEY_HASH_SECRET": "after"})
    assert (
        "is not the secret" in with_another("find", "--person", "email:ada@example.com").only_line()
    )
    assert "is not the secret" in with_another("reshard", "8", "--yes").only_line()
