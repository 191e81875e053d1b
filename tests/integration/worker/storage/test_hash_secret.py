"""Changing TRACKRELAY_KEY_HASH_SECRET: no worker with the new secret delivers while jobs wait."""

from collections.abc import Iterator

import pytest
import structlog

from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from tests.support.in_process_worker import BUSY, FakeApi, Worker, make_due, probe_now
from trackrelay import Person

ADA = Person(email="ada@example.com")


@pytest.fixture
def before(harness: Harness, api: FakeApi) -> Iterator[Worker]:
    """A worker with the secret of before."""
    worker = Worker({**harness.settings, "TRACKRELAY_KEY_HASH_SECRET": "before"}, api)
    yield worker
    worker.close()


@pytest.fixture
def after(harness: Harness, api: FakeApi) -> Iterator[Worker]:
    """A worker with another secret."""
    worker = Worker({**harness.settings, "TRACKRELAY_KEY_HASH_SECRET": "after"}, api)
    yield worker
    worker.close()


def leave_first_in_backlog(
    harness: Harness, worker: Worker, api: FakeApi, who: Person | str = ADA
) -> None:
    """An outage: the first event waits."""
    api.answers = lambda request, documents: BUSY
    harness.producer.track(who, "first", {})
    worker.work(1, 0.2)
    assert harness.backlog_size() == 1
    api.answers = lambda request, documents: None


def work_on(harness: Harness, worker: Worker) -> None:
    """Hold each shard, with everything due and the breaker ready."""
    make_due(harness.engine)
    probe_now(harness.redis)
    worker.work(1, 0.3)


def test_with_another_secret_nothing_is_delivered_while_hashed_keys_wait(
    harness: Harness, before: Worker, after: Worker, api: FakeApi
) -> None:
    leave_first_in_backlog(harness, before, api)
    sent = len(api.sent)
    harness.producer.track(ADA, "second", {})
    with structlog.testing.capture_logs() as logs:
        work_on(harness, after)
        work_on(harness, after)
    assert len(api.sent) == sent
    complaints = [line["message"] for line in logs if line["log_level"] == "error"]
    assert len(complaints) == 1
    assert "Restore the secret until `trackrelay status` shows an empty backlog" in complaints[0]
    status = CommandLine(harness.settings)("status").out
    assert "TRACKRELAY_KEY_HASH_SECRET is not the secret" in " ".join(status.split())
    for _ in range(3):
        work_on(harness, before)
    assert api.taken == ["first", "second"]


def test_the_secret_changes_once_nothing_waits_and_then_the_old_one_is_refused(
    harness: Harness, before: Worker, after: Worker, api: FakeApi
) -> None:
    harness.producer.track(ADA, "first", {})
    work_on(harness, before)
    harness.producer.track(ADA, "second", {})
    work_on(harness, after)  # changes the secret
    work_on(harness, after)
    assert api.taken == ["first", "second"]
    leave_first_in_backlog(harness, after, api)
    harness.producer.track(ADA, "second", {})
    sent = len(api.sent)
    work_on(harness, before)
    assert len(api.sent) == sent


def test_jobs_whose_keys_are_not_hashed_do_not_prevent_a_change(
    harness: Harness, before: Worker, after: Worker, api: FakeApi
) -> None:
    leave_first_in_backlog(harness, before, api, "42")
    harness.producer.track("42", "second", {})
    for _ in range(4):
        work_on(harness, after)
    assert api.taken == ["first", "second"]


def test_commands_with_another_secret_say_so(
    harness: Harness, before: Worker, api: FakeApi
) -> None:
    leave_first_in_backlog(harness, before, api)
    with_another = CommandLine({**harness.settings, "TRACKRELAY_KEY_HASH_SECRET": "after"})
    assert (
        "is not the secret" in with_another("find", "--person", "email:ada@example.com").only_line()
    )
    assert "is not the secret" in with_another("reshard", "8", "--yes").only_line()
