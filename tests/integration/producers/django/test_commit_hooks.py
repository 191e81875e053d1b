"""A job whose transaction committed is enqueued or logged, whatever other commit hooks do."""

from __future__ import annotations

import logging
import re
import unittest
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.db import connections, transaction
from django.test import Client, TestCase

import trackrelay
from tests.django_project.shop.models import Order
from tests.support.django_project import rolled_back
from trackrelay.default import default_producer

pytestmark = pytest.mark.usefixtures("project")
Queued = Callable[[], list[Any]]


class HookError(Exception):
    """What another library's hook raises."""


class Interrupt(BaseException):
    """What gevent's timeouts and a server's exit handlers are: no ``Exception``."""


def fail() -> None:
    """Another library's hook that fails."""
    raise HookError


def register(ran: list[str], name: str) -> None:
    """Register a hook: ``ours`` tracks an event, the others are another library's."""
    if name == "ours":
        trackrelay.track("42", "seen")
    elif name == "theirs":
        transaction.on_commit(lambda: ran.append("theirs"))
    else:
        transaction.on_commit(fail, robust=name == "fails robustly")


@pytest.mark.parametrize(
    "order",
    [
        ["fails", "ours"],
        ["ours", "fails"],
        ["fails", "ours", "ours", "fails", "ours"],
        ["theirs", "fails", "ours", "theirs", "ours"],
        ["fails robustly", "ours", "theirs"],
        ["ours", "fails robustly", "fails", "ours"],
        ["fails", "fails", "ours"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("depth", [1, 3])
def test_a_failing_hook_of_another_library_drops_no_job(
    queued: Queued, order: list[str], depth: int
) -> None:
    ran: list[str] = []

    def commit() -> None:
        with ExitStack() as blocks:
            for _ in range(depth):
                blocks.enter_context(transaction.atomic())
            for name in order:
                register(ran, name)

    if "fails" in order:
        with pytest.raises(HookError):
            commit()
    else:
        commit()
    assert len(queued()) == order.count("ours")
    # Django runs the other library's hooks as usual: in order, up to the one that raises.
    before_it = order[: order.index("fails")] if "fails" in order else order
    assert ran == ["theirs"] * before_it.count("theirs")


def test_a_savepoint_that_is_rolled_back_still_takes_its_jobs_along(queued: Queued) -> None:
    jobs = []

    @transaction.atomic
    def commit() -> None:
        transaction.on_commit(fail)
        jobs.append(trackrelay.track("42", "before"))
        with rolled_back():
            trackrelay.track("42", "inside")
        with transaction.atomic():
            jobs.append(trackrelay.track("42", "kept"))

    with pytest.raises(HookError):
        commit()
    assert [job.id for job in queued()] == jobs


@pytest.mark.parametrize("failing", ["default", "lite"])
@pytest.mark.parametrize(("outer", "inner"), [("default", "lite"), ("lite", "default")])
def test_hooks_of_either_database_fail_and_the_job_follows_its_commits(
    queued: Queued, outer: str, inner: str, failing: str
) -> None:
    @transaction.atomic(using=outer)
    @transaction.atomic(using=inner)
    def commit() -> None:
        transaction.on_commit(fail, using=failing)
        trackrelay.track("42", "seen")

    with pytest.raises(HookError):
        commit()
    # A hook of the inner transaction that fails rolls the outer one back.
    assert len(queued()) == (1 if failing == outer else 0)


def test_a_connection_that_is_used_again_loses_nothing_either(queued: Queued) -> None:
    @transaction.atomic
    def commit(*, hook_fails: bool, fails: bool = False) -> None:
        if hook_fails:
            transaction.on_commit(fail)
        trackrelay.track("42", "seen")
        if fails:
            raise LookupError

    for _ in range(3):
        with pytest.raises(HookError):
            commit(hook_fails=True)
    with pytest.raises(LookupError):
        commit(hook_fails=True, fails=True)
    commit(hook_fails=False)
    assert [job.operation for job in queued()] == ["person.event"] * 4


def test_with_atomic_requests_the_order_is_placed_and_the_event_enqueued(
    queued: Queued, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections["default"].settings_dict, "ATOMIC_REQUESTS", True)
    client = Client(raise_request_exception=False)
    assert client.get("/check-out/?hook=raises").status_code == 500
    assert Order.objects.count() == 1
    assert len(queued()) == 5


def test_a_hook_that_tells_of_something_itself_comes_after_the_calls_in_the_transaction(
    queued: Queued,
) -> None:
    with transaction.atomic():
        transaction.on_commit(lambda: trackrelay.identify("42", {"plan": "pro"}))
        trackrelay.track("42", "seen")
    assert [job.operation for job in queued()] == ["person.event", "person.identify"]


class TestWhenOurHookFails:
    """After the commit, what the queue does not take is logged, each job with its operation."""

    @pytest.fixture(autouse=True)
    def log(self, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
        with caplog.at_level(logging.ERROR, "trackrelay"):
            yield

    def test_every_job_is_named_with_its_operation_and_the_other_hooks_run(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ran: list[str] = []
        self.break_queue(monkeypatch, RuntimeError("a bug"))
        with transaction.atomic():
            event = trackrelay.track("42", "seen")
            person = trackrelay.identify("42", {"plan": "pro"})
            register(ran, "theirs")
        assert self.named(caplog) == {event: "person.event", person: "person.identify"}
        assert ran == ["theirs"]

    def test_an_interrupt_names_the_jobs_that_it_keeps_from_the_queue(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.break_queue(monkeypatch, Interrupt())
        with pytest.raises(Interrupt), transaction.atomic():
            jobs = [trackrelay.track("42", "seen") for _ in range(3)]
        assert list(self.named(caplog)) == jobs

    def test_a_log_that_fails_does_not_fail_the_commit(
        self, queued: Queued, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Broken(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                raise OSError("the disk of the log is full")

        self.break_queue(monkeypatch, RuntimeError("a bug"))
        broken = Broken()
        logging.getLogger("trackrelay").addHandler(broken)
        try:
            with transaction.atomic():
                Order.objects.create(number="A-1")
                trackrelay.track("42", "seen")
        finally:
            logging.getLogger("trackrelay").removeHandler(broken)
        assert Order.objects.count() == 1

    def break_queue(self, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
        def append(*_: object) -> None:
            raise error

        monkeypatch.setattr(default_producer().backend, "append", append)

    def named(self, caplog: pytest.LogCaptureFixture) -> dict[str, str]:
        lines = [each.getMessage() for each in caplog.records if each.name == "trackrelay"]
        line = re.compile(r"job (\w{26}) was not enqueued after the commit \(([\w.]+)\)")
        found = [line.search(each) for each in lines]
        return {match[1]: match[2] for match in found if match}


def test_in_a_test_case_hooks_are_captured_in_the_order_of_their_registration(
    queued: Queued,
) -> None:
    class Case(TestCase):
        databases = frozenset({"default", "lite"})

        def runTest(self) -> None:
            transaction.on_commit(lambda: None)
            with self.captureOnCommitCallbacks(execute=True) as callbacks:
                transaction.on_commit(lambda: None)
                with transaction.atomic():
                    trackrelay.track("42", "captured")
                transaction.on_commit(lambda: None)
            assert len(callbacks) == 3
            assert len(queued()) == 1

    result = unittest.TestResult()
    unittest.TestSuite([Case()]).run(result)
    assert result.wasSuccessful(), [*result.errors, *result.failures]
    assert len(queued()) == 1
