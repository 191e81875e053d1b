"""Endpoint families fail apart: a failing one neither stops the others nor kills its own jobs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.harness import Harness
from tests.support.in_process_worker import (
    BUSY,
    Document,
    FakeApi,
    Worker,
    close_breakers,
    make_due,
    people_of,
    probe_now,
    shard_of_person,
)
from trackrelay import Person, operations
from trackrelay.worker.endpoint_families import Family, family_of_operation
from trackrelay.worker.track_api.request_builder import Request
from trackrelay.worker.track_api.responses import Answer, NoAnswer


def forms_answer(answer: Answer | NoAnswer) -> Any:
    """Everything is taken but forms."""

    def answers(request: Request, documents: list[Document]) -> Answer | NoAnswer | None:
        return answer if request.path.startswith("/api/v1/forms/") else None

    return answers


def test_every_operation_has_a_family() -> None:
    families = {
        "person.identify": Family.V2,
        "object.delete": Family.V2,
        "delivery.event": Family.V2,
        "anonymous.screen": Family.V1_EVENTS,
        "segment.add": Family.SEGMENTS,
        "form.submit": Family.FORMS,
        "delivery.metric": Family.METRICS,
        "delivery.unsubscribe": Family.METRICS,
    }
    assert {operation: family_of_operation(operation) for operation in families} == families


@pytest.mark.parametrize("status", [503, 429, 408])
def test_v2_jobs_are_delivered_while_forms_are_down_and_no_form_dies(
    harness: Harness, api: FakeApi, worker: Worker, status: int
) -> None:
    api.answers = forms_answer(Answer(status, b"busy"))
    forms = {harness.producer.submit_form("f", person, {"a": "1"}) for person in people_of(0, 20)}
    events: set[str] = set()
    for number in range(30):
        events |= {
            harness.producer.track(f"{person}-{number}", "fine", {}) for person in people_of(1, 2)
        }
        probe_now(harness.redis)
        worker.work(1, 0.05)
        make_due(harness.engine)
    assert harness.ledger_ids() == events
    assert not harness.dead_ids()
    assert {row.attempts for row in harness.rows("SELECT attempts FROM trackrelay_backlog")} == {0}
    assert harness.breaker("forms")["state"] == "open"
    assert harness.breaker("v2").get("state", "closed") == "closed"
    api.answers = lambda request, documents: None
    probe_now(harness.redis)
    worker.work_off(lambda: harness.ledger_ids() == events | forms)


def test_forms_are_delivered_while_v2_is_down(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    api.answers = lambda request, documents: BUSY if request.path.startswith("/api/v2/") else None
    person, other = people_of(0, 2)
    for number in range(30):
        harness.producer.track(person, f"{number}", {})
    for _ in range(4):
        worker.run_shard(0, 0.1)
    assert harness.breaker("v2")["state"] == "open"
    form = harness.producer.submit_form("f", other, {"a": "1"})
    worker.run_shard(0, 0.3)
    assert harness.ledger_ids() == {form}


def test_one_forms_failure_counts_only_if_other_forms_succeed(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    def answers(request: Request, documents: list[Document]) -> Answer | None:
        return Answer(500, b"") if "/forms/bad/" in request.path else None

    api.answers = answers
    bad = harness.producer.submit_form("bad", "7", {"a": "1"})
    cycles = 0
    while not harness.dead(bad) and cycles < 60:
        cycles += 1
        harness.producer.track(people_of(0, 1)[0], "fine", {})
        harness.producer.submit_form("good", f"9-{cycles}", {"a": "1"})
        worker.work(1, 0.05)
        make_due(harness.engine)
        probe_now(harness.redis)
    assert harness.dead(bad).reason == "exhausted"


def test_a_job_that_gets_a_429_alone_never_counts_an_attempt(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    def answers(request: Request, documents: list[Document]) -> Answer | None:
        return Answer(429, b"slow down") if "slow" in str(documents) else None

    api.answers = answers
    job = harness.producer.track("42", "slow", {})
    for number in range(20):
        harness.producer.track(people_of(1, 1)[0], f"fine {number}", {})
        worker.run_shard(shard_of_person("42"), 0.05)
        close_breakers(harness.redis)
        worker.run_shard(1, 0.05)
        make_due(harness.engine)
    assert len([sent for sent in api.sent if "slow" in sent.labels]) > 5
    assert len(harness.ledger_ids()) == 20
    assert not harness.dead(job)
    assert harness.waiting(job).attempts == 0


def test_order_holds_for_a_person_between_a_family_that_is_down_and_one_that_is_not(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    api.answers = forms_answer(BUSY)
    person = people_of(0, 1)[0]
    for step in range(4):
        harness.producer.track(person, f"before {step}", {})
        harness.producer.submit_form("f", Person(id=person), {"step": str(step)})
    last = harness.producer.track(person, "after", {})
    for _ in range(6):
        worker.run_shard(0, 0.05)
        make_due(harness.engine)
    assert api.taken == ["before 0"]
    assert harness.waiting(last)
    api.answers = lambda request, documents: None
    probe_now(harness.redis)
    worker.work_off(lambda: harness.backlog_size() == 0)
    taken = [label for sent in api.sent if sent.ok for label in sent.labels]
    assert [label for label in taken if label.startswith(("before", "after"))] == [
        *(f"before {step}" for step in range(4)),
        "after",
    ]
    order = [sent.path for sent in api.sent if sent.ok]
    assert sum("forms" in path for path in order) == 4


def test_wrong_credentials_stop_every_family(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    worker.breaker.halt("credentials", "wrong key")
    harness.producer.submit_form("f", people_of(0, 1)[0], {"a": "1"})
    harness.producer.track(people_of(0, 2)[1], "seen", {})
    worker.run_shard(0, 0.2)
    assert not api.sent
    assert {row.reason for row in harness.rows("SELECT reason FROM trackrelay_backlog")} == {
        "halted"
    }


def test_a_shard_without_a_forms_job_leaves_the_probe_to_one_that_has_one(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    api.answers = forms_answer(BUSY)
    form = harness.producer.submit_form("f", people_of(0, 1)[0], {"a": "1"})
    for _ in range(6):
        worker.run_shard(0, 0.05)
        make_due(harness.engine)
    assert harness.breaker("forms")["state"] == "open"
    api.answers = lambda request, documents: None
    probe_now(harness.redis)
    harness.producer.track(people_of(1, 1)[0], "elsewhere", {})
    worker.run_shard(1, 0.1)
    assert not harness.redis.exists("trackrelay:probe:forms")
    worker.run_shard(0, 0.1)
    assert form in harness.ledger_ids()


def test_a_probe_is_found_in_the_bulk_lane_too(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    api.answers = lambda request, documents: BUSY
    (person,) = people_of(0, 1)
    harness.producer.enqueue_many([operations.track(person, "bulk", {})])
    for _ in range(4):
        worker.run_shard(0, 0.05)
        make_due(harness.engine)
    assert harness.breaker()["state"] == "open"
    api.answers = lambda request, documents: None
    probe_now(harness.redis)
    worker.run_shard(0, 0.05)
    assert api.taken == ["bulk"]


def test_an_operator_can_probe_at_once_whatever_the_endpoint_asked_for(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    worker.breaker.failed(Family.V2, "later", retry_after_s=3600)
    job = harness.producer.track("42", "seen", {})
    worker.work(1, 0.05)
    assert not api.sent
    probe_now(harness.redis)
    worker.work(1, 0.05)
    assert harness.ledger_ids() == {job}
