"""``trackrelay probe``: an operator does not wait for as long as an answer asked to."""

from __future__ import annotations

from tests.support.road import Road
from trackrelay.worker.delivery.breaker import Breaker
from trackrelay.worker.endpoint_families import Family

from .command_line import CommandLine


def test_with_nothing_stopped_there_is_nothing_to_try(road: Road, run: CommandLine) -> None:
    assert run("probe").out == "Nothing to try: delivery is not stopped.\n"


def test_delivery_goes_on_at_once_although_an_hour_was_asked_for(
    working_road: Road, run: CommandLine
) -> None:
    Breaker(working_road.redis, probe_s=30).failed(Family.V2, "maintenance", retry_after_s=3600)
    job = working_road.producer.track("42", "waits")
    working_road.wait_waiting(job)

    answer = run("probe")

    assert answer.out == "people, events, objects and devices: delivery goes on.\n"
    working_road.wait_delivered([job])


def test_an_attempt_that_fails_is_told_with_what_was_answered(
    working_road: Road, run: CommandLine
) -> None:
    working_road.sandbox.add_fault(kind="status", status=503)
    Breaker(working_road.redis, probe_s=30).failed(Family.V2, "maintenance", retry_after_s=3600)
    working_road.wait_waiting(working_road.producer.track("42", "waits"))

    answer = run("probe")

    assert answer.code == 1
    assert "people, events, objects and devices: still open: " in answer.out
    assert "next attempt in" in answer.out


def test_no_wait_only_makes_the_attempt_due(road: Road, run: CommandLine) -> None:
    breaker = Breaker(road.redis, probe_s=30)
    breaker.failed(Family.FORMS, "maintenance", retry_after_s=3600)
    assert run("probe", "--no-wait").out == "The next attempt is due now: forms.\n"
    assert breaker.standings(may_probe=None).of(Family.FORMS).wait_s <= 0
