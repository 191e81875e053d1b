"""Each row of the outcome table, over HTTP, with a real worker."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.canaries import CANARY_ATTRIBUTE, CANARY_EMAIL, CANARY_EVENT_DATA
from tests.support.harness import Harness
from tests.support.in_process_worker import probe_now
from tests.support.waiting import wait_until
from trackrelay import Person, operations

BATCH = "/api/v2/batch"
SUFFIX = {"content_type": "application/json"}
V2_REFUSAL = json.dumps(
    {"errors": [{"reason": "invalid", "field": "attributes.plan", "message": "no such plan"}]}
)


def enqueue_together(harness: Harness, count: int, name: str = "seen") -> list[str]:
    """One person's jobs, in one stream entry each, read together: they go in one batch."""
    with harness.producer.pipeline() as pipeline:
        return [pipeline.track("42", name, {"n": number}) for number in range(count)]


def test_200_and_204_are_delivered(working_harness: Harness) -> None:
    harness = working_harness
    jobs = [
        harness.producer.identify("42", {"email": CANARY_EMAIL, "plan": CANARY_ATTRIBUTE}),
        harness.producer.track("42", "bought", {"secret": CANARY_EVENT_DATA}),
        harness.producer.submit_form("f1", Person(id="42"), {"name": "Ada"}),
        *enqueue_together(harness, 3),
    ]
    harness.wait_delivered(jobs)
    assert [
        effect["name"] for effect in harness.effects("id:42") if effect["action"] == "event"
    ] == [
        "bought",
        *["seen"] * 3,
    ]
    row = harness.delivered(jobs[0])
    assert (row.key, row.operation, row.source, row.attempts) == (
        "id:42",
        "person.identify",
        "tests",
        1,
    )
    assert harness.stream_length() == harness.backlog_size() == 0


def test_the_listed_jobs_of_a_207_are_dead_letters_and_the_rest_is_delivered(
    harness: Harness, start_worker: Any
) -> None:
    harness.sandbox.add_fault(
        kind="reject",
        match={"contains": "poison"},
        reason="invalid",
        field="attributes.x",
        message="no poison",
    )
    good = enqueue_together(harness, 3)
    bad = harness.producer.track("42", "poison", {})
    after = harness.producer.track("42", "after", {})
    start_worker(harness.settings)
    harness.wait_delivered([*good, after])
    letter = harness.wait_dead(bad)
    assert (letter.reason, letter.error, letter.field, letter.status) == (
        "rejected",
        "no poison",
        "attributes.x",
        207,
    )
    assert letter.body["name"] == "poison"
    assert [event["what"] for event in letter.history] == ["rejected"]


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_one_operation_refused_with_the_apis_json_is_a_dead_letter(
    working_harness: Harness, status: int
) -> None:
    harness = working_harness
    harness.sandbox.add_fault(
        kind="status", status=status, body=V2_REFUSAL, match={"path": "/api/v2"}, **SUFFIX
    )
    job = harness.producer.identify("42", {"plan": "x"})
    letter = harness.wait_dead(job)
    assert (letter.reason, letter.error, letter.field, letter.status) == (
        "rejected",
        "no such plan",
        "attributes.plan",
        status,
    )
    assert harness.breaker().get("state", "closed") == "closed"


@pytest.mark.parametrize("status", [400, 413])
def test_a_refused_batch_is_halved_until_the_poison_is_alone(
    harness: Harness, start_worker: Any, status: int
) -> None:
    harness.sandbox.add_fault(
        kind="status", status=status, body=V2_REFUSAL, match={"contains": "poison"}, **SUFFIX
    )
    before = enqueue_together(harness, 5)
    bad = harness.producer.track("42", "poison", {})
    after = enqueue_together(harness, 5, "later")
    start_worker(harness.settings)
    harness.wait_delivered([*before, *after])
    assert harness.wait_dead(bad).status == status
    assert [effect["name"] for effect in harness.effects("id:42")] == ["seen"] * 5 + ["later"] * 5


def test_a_batch_whose_jobs_are_all_refused_with_the_same_message_halts_delivery(
    harness: Harness, start_worker: Any
) -> None:
    fault = harness.sandbox.add_fault(
        kind="status", status=400, body=V2_REFUSAL, match={"path": "/api/v2"}, **SUFFIX
    )
    jobs = enqueue_together(harness, 4)
    start_worker(harness.settings)
    wait_until(lambda: harness.breaker().get("state") == "halted", 15, "delivery to halt")
    assert harness.breaker()["reason"] == "refused"
    assert not harness.dead_ids()
    harness.sandbox.delete_fault(fault)
    probe_now(harness.redis)  # no need to wait for the next attempt
    harness.wait_delivered(jobs)
    assert not harness.dead_ids()


TROUBLES: dict[str, dict[str, Any]] = {
    "timeout": {"kind": "hang", "seconds": 3},
    "slow drip": {"kind": "drip", "seconds": 5},
    "closed": {"kind": "close_before"},
    "408": {"kind": "status", "status": 408},
    "425": {"kind": "status", "status": 425},
    "429": {"kind": "status", "status": 429},
    "500": {"kind": "status", "status": 500},
    "503": {"kind": "status", "status": 503},
    "html with 200": {
        "kind": "body",
        "status": 200,
        "body": "<html>hello",
        "content_type": "text/html",
    },
    "a list with 200": {"kind": "body", "status": 200, "body": "[]"},
    "html with 400": {
        "kind": "body",
        "status": 400,
        "body": "<html>bad",
        "content_type": "text/html",
    },
    "422 without the API's JSON": {"kind": "body", "status": 422, "body": '{"detail": "x"}'},
    "404 on the batch path": {"kind": "body", "status": 404, "body": "404 page not found"},
    "405 on the batch path": {"kind": "body", "status": 405, "body": ""},
    "207 without errors": {"kind": "body", "status": 207, "body": "{}"},
    "207 with an index outside": {
        "kind": "body",
        "status": 207,
        "body": '{"errors": [{"batch_index": 9}]}',
    },
    "207 with an index inside and one outside": {
        "kind": "body",
        "status": 207,
        "body": '{"errors": [{"batch_index": 0}, {"batch_index": 3}]}',
    },
    "207 of a thousand brackets": {"kind": "body", "status": 207, "body": "[" * 1_500},
    "204 for a batch": {"kind": "body", "status": 204, "body": ""},
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_what_is_the_endpoints_problem_waits_and_is_delivered_in_order(
    harness: Harness, start_worker: Any, trouble: str
) -> None:
    fault = harness.sandbox.add_fault(**TROUBLES[trouble], match={"path": "/api/v2"})
    jobs = enqueue_together(harness, 3)
    start_worker(
        {**harness.settings, "TRACKRELAY_REQUEST_TIMEOUT": "1s"}, pool="threads", concurrency=2
    )
    waiting = harness.wait_waiting(jobs[0])
    assert waiting.attempts == 0
    harness.sandbox.delete_fault(fault)
    more = enqueue_together(harness, 2, "later")
    harness.wait_delivered([*jobs, *more], timeout=30)
    assert not harness.dead_ids()
    seen = list(dict.fromkeys(effect["id"] for effect in harness.effects("id:42")))
    assert seen == [*jobs, *more]


def test_an_operation_that_fails_alone_while_others_succeed_becomes_a_dead_letter(
    harness: Harness, start_worker: Any
) -> None:
    harness.sandbox.add_fault(kind="status", status=500, match={"contains": "poison"})
    bad = harness.producer.track("7", "poison", {})
    follower = harness.producer.track("7", "follower", {})
    start_worker(
        {**harness.settings, "TRACKRELAY_MAX_ATTEMPTS": "2"}, pool="threads", concurrency=4
    )
    others = []

    def is_dead() -> Any:
        others.append(harness.producer.track("42", "fine", {}))
        return harness.dead(bad)

    letter = wait_until(is_dead, 60, "the poison to be dead")
    assert (letter.reason, letter.status, letter.attempts) == ("exhausted", 500, 2)
    assert [event["what"] for event in letter.history] == ["failed", "failed"]
    harness.wait_delivered([follower, *others], timeout=30)
    assert harness.dead_ids() == {bad}


def test_bad_credentials_halt_delivery_and_it_resumes_by_itself(working_harness: Harness) -> None:
    harness = working_harness
    site_id, api_key = (
        harness.settings["CUSTOMERIO_SITE_ID"],
        harness.settings["CUSTOMERIO_TRACK_API_KEY"],
    )
    harness.sandbox.set_credentials(site_id=site_id, api_key="another")
    jobs = enqueue_together(harness, 3)
    wait_until(lambda: harness.breaker().get("state") == "halted", 15, "delivery to halt")
    assert harness.breaker()["reason"] == "credentials"
    wait_until(lambda: harness.backlog_size() == 3, 10, "the jobs in the backlog")
    harness.sandbox.set_credentials(site_id=site_id, api_key=api_key)
    harness.wait_delivered(jobs, timeout=40)
    assert not harness.dead_ids()


@pytest.mark.parametrize("fault", [{"kind": "status", "status": 403}, {"kind": "redirect"}])
def test_one_denied_operation_is_retried_and_dead_in_the_end_when_the_region_endpoint_disagrees(
    harness: Harness, start_worker: Any, fault: dict[str, Any]
) -> None:
    harness.sandbox.add_fault(**fault, match={"contains": "poison"})
    fine = harness.producer.track("42", "fine", {})
    bad = harness.producer.track("7", "poison", {})
    start_worker({**harness.settings, "TRACKRELAY_MAX_ATTEMPTS": "2"})
    letter = harness.wait_dead(bad, timeout=40)
    assert letter.reason == "exhausted"
    harness.wait_delivered([fine])


def test_what_is_older_than_the_maximum_age_expires(harness: Harness, start_worker: Any) -> None:
    old = harness.producer.track("42", "old", {})
    wait_until(lambda: False or harness.stream_length() == 1, 5)
    with harness.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE trackrelay_state SET updated_at = now() - interval '1 hour'"
            " WHERE name = 'possible_since'"
        )
    harness.redis.hset(
        "trackrelay:breaker:v2", "recovered_ms", 1
    )  # something was delivered long ago
    import time

    time.sleep(1.1)  # the age itself: there is no other way to become old
    start_worker(
        {**harness.settings, "TRACKRELAY_MAX_AGE": "1s", "TRACKRELAY_LEDGER_RETENTION": "10s"}
    )
    letter = harness.wait_dead(old)
    assert letter.reason == "expired"
    young = []

    def is_delivered() -> bool:
        young.append(harness.producer.track("42", "young", {}))
        return not harness.ledger_ids().isdisjoint(young)

    wait_until(is_delivered, 15, "a job that is not too old when its turn comes")


def test_an_undecodable_entry_is_kept_and_does_no_harm(working_harness: Harness) -> None:
    harness = working_harness
    harness.redis.xadd("trackrelay:0:live", {"v": "1", "j": b"\x00not json\xff"})
    fine = [harness.producer.track(str(person), "fine", {}) for person in range(8)]
    harness.wait_delivered(fine)
    letter = wait_until(
        lambda: harness.rows("SELECT * FROM trackrelay_dead_letters WHERE reason = 'undecodable'"),
        10,
        "the dead letter",
    )[0]
    assert b"not json" in bytes(letter.raw)
    harness.wait_settled()


def test_an_entry_of_a_newer_format_halts_its_shard_with_one_line(
    harness: Harness, start_worker: Callable[..., Any]
) -> None:
    worker = start_worker(harness.settings, pool="threads", concurrency=4)
    shard = 0
    harness.redis.xadd(f"trackrelay:{shard}:live", {"v": "99", "j": b"[]"})
    fine = [
        harness.producer.enqueue(operations.track(str(person), "fine", {})) for person in range(20)
    ]
    wait_until(lambda: "format 99" in worker.output, 10, "the line")
    wait_until(lambda: len(harness.ledger_ids() & set(fine)) >= 5, 10, "the other shards' jobs")
    assert harness.redis.xlen(f"trackrelay:{shard}:live") >= 1
    assert not harness.dead_ids()
