"""``trackrelay probe``: an operator does not wait for as long as an answer asked to."""

from __future__ import annotations

from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from trackrelay.worker.delivery.breaker import Breaker
from trackrelay.worker.endpoint_families import Family


def test_with_nothing_stopped_there_is_nothing_to_try(harness: Harness, run: CommandLine) -> None:
    assert run("probe").out == "Nothing to try: delivery is not stopped.\n"


def test_delivery_resumes_at_once_although_an_hour_was_asked_for(
    working_harness: Harness, run: CommandLine
) -> None:
    Breaker(working_harness.redis, probe_s=30).failed(Family.V2, "maintenance", retry_after_s=3600)
    job = working_harness.producer.track("42", "waits")
    working_harness.wait_waiting(job)

    answer = run("probe")

    assert answer.out == "people, events, objects and devices: delivery resumed.\n"
    working_harness.wait_delivered([job])


def test_a_failed_attempt_is_logged_with_the_answer(
    working_harness: Harness, run: CommandLine
) -> None:
    working_harness.sandbox.add_fault(kind="status", status=503)
    Breaker(working_harness.redis, probe_s=30).failed(Family.V2, "maintenance", retry_after_s=3600)
    working_harness.wait_waiting(working_harness.producer.track("42", "waits"))

    answer = run("probe")

    assert answer.code == 1
    assert "people, events, objects and devices: still open: " in answer.out
    assert "next attempt in" in answer.out


def test_no_wait_only_makes_the_attempt_due(harness: Harness, run: CommandLine) -> None:
    breaker = Breaker(harness.redis, probe_s=30)
    breaker.failed(Family.FORMS, "maintenance", retry_after_s=3600)
    assert run("probe", "--no-wait").out == "The next attempt is due now: forms.\n"
    assert breaker.read_states(may_probe=None).of(Family.FORMS).wait_s <= 0
