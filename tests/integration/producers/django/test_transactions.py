"""Without an outbox, calls in a transaction are enqueued when it commits, and only then."""

from __future__ import annotations

import logging
import time
import unittest
from collections.abc import Callable
from typing import Any

import pytest
import redis
from asgiref.sync import async_to_sync
from django.db import connections, transaction
from django.test import AsyncClient, Client, TestCase

import trackrelay
from tests.django_project.shop.models import Order
from tests.support import django_project
from tests.support.django_project import rolled_back
from trackrelay import InvalidOperationError, QueueUnavailableError, aio, operations
from trackrelay.testing.django import CapturingTestCase
from trackrelay.worker.devstack.servers import ValkeyProcess

pytestmark = pytest.mark.usefixtures("project")
Queued = Callable[[], list[Any]]


def test_outside_a_transaction_a_job_leaves_at_once(queued: Queued) -> None:
    job = trackrelay.track("42", "seen")
    assert [each.id for each in queued()] == [job]
    assert queued()[0].source == "shop"


def test_a_job_waits_for_the_commit_and_its_id_does_not(queued: Queued) -> None:
    with transaction.atomic():
        job = trackrelay.track("42", "seen")
        assert len(job) == 26
        assert queued() == []
    assert [each.id for each in queued()] == [job]


def test_nothing_leaves_after_a_rollback(queued: Queued) -> None:
    with rolled_back():
        trackrelay.track("42", "seen")
        trackrelay.identify("42", {"plan": "pro"})
    assert queued() == []


def test_calls_inside_a_savepoint_are_rolled_back_with_it(queued: Queued) -> None:
    with transaction.atomic():
        before = trackrelay.track("42", "before")
        with rolled_back():
            trackrelay.track("42", "inside")
        with transaction.atomic():
            kept = trackrelay.track("42", "kept")
        after = trackrelay.track("42", "after")
    assert [job.id for job in queued()] == [before, kept, after]


def test_a_nested_block_waits_for_the_outermost(queued: Queued) -> None:
    with transaction.atomic():
        with transaction.atomic():
            trackrelay.track("42", "seen")
        assert queued() == []
    assert len(queued()) == 1


def test_the_call_reports_what_customerio_would_refuse() -> None:
    with transaction.atomic(), pytest.raises(InvalidOperationError):
        trackrelay.track("42", "")


@pytest.mark.parametrize("inner_fails", [False, True])
@pytest.mark.parametrize("outer_fails", [False, True])
@pytest.mark.parametrize(("outer", "inner"), [("default", "lite"), ("lite", "default")])
def test_transactions_on_two_databases_must_both_be_committed(
    queued: Queued, outer: str, inner: str, outer_fails: bool, inner_fails: bool
) -> None:
    try:
        with transaction.atomic(using=outer):
            try:
                with transaction.atomic(using=inner):
                    trackrelay.track("42", "seen")
                    if inner_fails:
                        raise LookupError
            except LookupError:
                pass
            assert queued() == []
            if outer_fails:
                raise RuntimeError
    except RuntimeError:
        pass
    assert len(queued()) == (0 if inner_fails or outer_fails else 1)


def test_a_pipeline_and_many_operations_wait_as_well(queued: Queued) -> None:
    with transaction.atomic():
        with trackrelay.pipeline() as pipeline:
            pipeline.identify("42", {"plan": "pro"})
            pipeline.track("42", "seen")
        assert trackrelay.enqueue_many(operations.track(str(n), "imported") for n in range(3)) == 3
        assert queued() == []
    assert len(queued()) == 5


def test_manual_commits_are_refused_because_django_runs_no_commit_hooks() -> None:
    connection = connections["default"]
    connection.ensure_connection()
    connection.set_autocommit(False)
    try:
        with pytest.raises(transaction.TransactionManagementError):
            trackrelay.track("42", "seen")
    finally:
        connection.rollback()
        connection.set_autocommit(True)


def test_an_asynchronous_call_in_a_transaction_waits_for_it(queued: Queued) -> None:
    async def call() -> str:
        return await aio.track("42", "seen")

    with transaction.atomic():
        job = async_to_sync(call)()
        assert queued() == []
    assert [each.id for each in queued()] == [job]


async def test_asynchronous_views_enqueue(queued: Queued) -> None:
    client = AsyncClient()
    looked = (await client.get("/look-async/")).json()["job"]
    ordered = (await client.get("/check-out-async/")).json()["jobs"]
    assert {job.id for job in queued()} == {looked, *ordered}


async def test_many_are_enqueued_asynchronously(queued: Queued) -> None:
    assert await aio.enqueue_many(operations.track(str(n), "imported") for n in range(3)) == 3
    assert len(queued()) == 3


def test_in_a_test_case_of_django_callbacks_are_captured_as_ever(queued: Queued) -> None:
    class Case(TestCase):
        databases = frozenset({"default", "lite"})

        def runTest(self) -> None:
            with self.captureOnCommitCallbacks(execute=True):
                trackrelay.track("42", "captured")
                assert queued() == []
            assert len(queued()) == 1
            trackrelay.track("42", "never committed")

    result = unittest.TestResult()
    unittest.TestSuite([Case()]).run(result)
    assert result.wasSuccessful(), [*result.errors, *result.failures]
    assert [job.operation for job in queued()] == ["person.event"]


def test_our_test_case_captures_what_waits_for_a_commit(queued: Queued) -> None:
    class Case(CapturingTestCase):
        databases = frozenset({"default", "lite"})

        def runTest(self) -> None:
            with self.capture_operations() as captured:
                with transaction.atomic():
                    trackrelay.track("42", "kept", {"n": 1})
                with django_project.rolled_back():
                    trackrelay.track("42", "rolled back")
                assert len(captured) == 0
            captured.assert_tracked("42", "kept", n=1)
            assert len(captured) == 1

    result = unittest.TestResult()
    unittest.TestSuite([Case()]).run(result)
    assert result.wasSuccessful(), [*result.errors, *result.failures]
    assert queued() == []


def test_our_test_case_captures_calls_in_transactions_of_any_of_its_databases(
    queued: Queued,
) -> None:
    class Case(CapturingTestCase):
        databases = frozenset({"default", "lite"})

        def runTest(self) -> None:
            with self.capture_operations() as captured:
                with transaction.atomic(using="lite"):
                    trackrelay.track("42", "in the other one")
                with transaction.atomic(), transaction.atomic(using="lite"):
                    trackrelay.track("42", "in both")
                with django_project.rolled_back("lite"):
                    trackrelay.track("42", "rolled back")
                transaction.on_commit(lambda: trackrelay.track("42", "in a hook"), using="lite")
            assert {event.name for event in captured.events} == {
                "in the other one",
                "in both",
                "in a hook",
            }

    result = unittest.TestResult()
    unittest.TestSuite([Case()]).run(result)
    assert result.wasSuccessful(), [*result.errors, *result.failures]
    assert queued() == []


def test_a_view_that_fails_leaves_nothing(queued: Queued) -> None:
    client = Client(raise_request_exception=False)
    assert client.get("/check-out/?fail=1").status_code == 500
    assert queued() == []
    assert Order.objects.count() == 0


class TestWithRedisAway:
    """The queue stops answering, but does not refuse connections: the worst case."""

    TIMEOUT_S = 1.0

    @pytest.fixture(autouse=True)
    def away(self, project: None, own_redis: ValkeyProcess) -> Any:
        with django_project.connected(REDIS_URL=own_redis.url, ENQUEUE_TIMEOUT=self.TIMEOUT_S):
            own_redis.pause()
            yield
            own_redis.resume()

    def test_five_calls_of_a_finished_order_wait_like_one_and_are_logged(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        began = time.monotonic()
        with caplog.at_level(logging.ERROR, "trackrelay"):
            response = Client().get("/check-out/")
        took = time.monotonic() - began

        assert response.status_code == 200
        assert Order.objects.count() == 1
        jobs = response.json()["jobs"]
        logged = [record.getMessage() for record in caplog.records if record.name == "trackrelay"]
        assert len(logged) == 5
        for job, line in zip(jobs, logged, strict=True):
            assert f"job {job} was not enqueued after the commit" in line
        assert ["a moment ago" in line for line in logged] == [False, True, True, True, True]
        # One waited. That the others did not is what they say.
        assert took >= self.TIMEOUT_S * 0.5

    def test_outside_a_transaction_the_error_is_raised(self) -> None:
        with pytest.raises(QueueUnavailableError) as told:
            trackrelay.track("42", "seen")
        assert told.value.job_id


def test_an_unexpected_error_after_the_commit_is_no_500(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, queue: redis.Redis
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(trackrelay.default.default_producer().backend, "append", fail)
    assert Client().get("/check-out/").status_code == 200
    assert "a bug of ours" in caplog.text
