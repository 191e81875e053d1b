"""Each row of the outcome table, over HTTP, with a real worker."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.canaries import CANARY_ATTRIBUTE, CANARY_EMAIL, CANARY_EVENT_DATA
from tests.support.road import Road
from tests.support.waiting import wait_until
from tests.worker.delivery.in_process import probe_now
from trackrelay import Person, operations

BATCH = "/api/v2/batch"
SUFFIX = {"content_type": "application/json"}
V2_REFUSAL = json.dumps(
    {"errors": [{"reason": "invalid", "field": "attributes.plan", "message": "no such plan"}]}
)


def enqueue_together(road: Road, count: int, name: str = "seen") -> list[str]:
    """One person's jobs, in one stream entry each, read together: they go in one batch."""
    with road.producer.pipeline() as pipeline:
        return [pipeline.track("42", name, {"n": number}) for number in range(count)]


def test_200_and_204_are_delivered(working_road: Road) -> None:
    road = working_road
    jobs = [
        road.producer.identify("42", {"email": CANARY_EMAIL, "plan": CANARY_ATTRIBUTE}),
        road.producer.track("42", "bought", {"secret": CANARY_EVENT_DATA}),
        road.producer.submit_form("f1", Person(id="42"), {"name": "Ada"}),
        *enqueue_together(road, 3),
    ]
    road.wait_delivered(jobs)
    assert [effect["name"] for effect in road.effects("id:42") if effect["action"] == "event"] == [
        "bought",
        *["seen"] * 3,
    ]
    row = road.delivered(jobs[0])
    assert (row.key, row.operation, row.source, row.attempts) == (
        "id:42",
        "person.identify",
        "tests",
        1,
    )
    assert road.stream_length() == road.backlog_size() == 0


def test_of_a_207_the_listed_are_dead_letters_and_the_rest_is_delivered(
    road: Road, start_worker: Any
) -> None:
    road.sandbox.add_fault(
        kind="reject",
        match={"contains": "poison"},
        reason="invalid",
        field="attributes.x",
        message="no poison",
    )
    good = enqueue_together(road, 3)
    bad = road.producer.track("42", "poison", {})
    after = road.producer.track("42", "after", {})
    start_worker(road.settings)
    road.wait_delivered([*good, after])
    letter = road.wait_dead(bad)
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
    working_road: Road, status: int
) -> None:
    road = working_road
    road.sandbox.add_fault(
        kind="status", status=status, body=V2_REFUSAL, match={"path": "/api/v2"}, **SUFFIX
    )
    job = road.producer.identify("42", {"plan": "x"})
    letter = road.wait_dead(job)
    assert (letter.reason, letter.error, letter.field, letter.status) == (
        "rejected",
        "no such plan",
        "attributes.plan",
        status,
    )
    assert road.breaker().get("state", "closed") == "closed"


@pytest.mark.parametrize("status", [400, 413])
def test_a_refused_batch_is_halved_until_the_poison_is_alone(
    road: Road, start_worker: Any, status: int
) -> None:
    road.sandbox.add_fault(
        kind="status", status=status, body=V2_REFUSAL, match={"contains": "poison"}, **SUFFIX
    )
    before = enqueue_together(road, 5)
    bad = road.producer.track("42", "poison", {})
    after = enqueue_together(road, 5, "later")
    start_worker(road.settings)
    road.wait_delivered([*before, *after])
    assert road.wait_dead(bad).status == status
    assert [effect["name"] for effect in road.effects("id:42")] == ["seen"] * 5 + ["later"] * 5


def test_a_batch_refused_to_the_last_one_in_the_same_words_halts_delivery(
    road: Road, start_worker: Any
) -> None:
    fault = road.sandbox.add_fault(
        kind="status", status=400, body=V2_REFUSAL, match={"path": "/api/v2"}, **SUFFIX
    )
    jobs = enqueue_together(road, 4)
    start_worker(road.settings)
    wait_until(lambda: road.breaker().get("state") == "halted", 15, "delivery to halt")
    assert road.breaker()["reason"] == "refused"
    assert not road.dead_ids()
    road.sandbox.delete_fault(fault)
    probe_now(road.redis)  # no need to wait for the next attempt
    road.wait_delivered(jobs)
    assert not road.dead_ids()


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
    road: Road, start_worker: Any, trouble: str
) -> None:
    fault = road.sandbox.add_fault(**TROUBLES[trouble], match={"path": "/api/v2"})
    jobs = enqueue_together(road, 3)
    start_worker(
        {**road.settings, "TRACKRELAY_REQUEST_TIMEOUT": "1s"}, pool="threads", concurrency=2
    )
    waiting = road.wait_waiting(jobs[0])
    assert waiting.attempts == 0
    road.sandbox.delete_fault(fault)
    more = enqueue_together(road, 2, "later")
    road.wait_delivered([*jobs, *more], timeout=30)
    assert not road.dead_ids()
    seen = list(dict.fromkeys(effect["id"] for effect in road.effects("id:42")))
    assert seen == [*jobs, *more]


def test_an_operation_that_fails_alone_while_others_succeed_is_dead_in_the_end(
    road: Road, start_worker: Any
) -> None:
    road.sandbox.add_fault(kind="status", status=500, match={"contains": "poison"})
    bad = road.producer.track("7", "poison", {})
    follower = road.producer.track("7", "follower", {})
    start_worker({**road.settings, "TRACKRELAY_MAX_ATTEMPTS": "2"}, pool="threads", concurrency=4)
    others = []

    def is_dead() -> Any:
        others.append(road.producer.track("42", "fine", {}))
        return road.dead(bad)

    letter = wait_until(is_dead, 60, "the poison to be dead")
    assert (letter.reason, letter.status, letter.attempts) == ("exhausted", 500, 2)
    assert [event["what"] for event in letter.history] == ["failed", "failed"]
    road.wait_delivered([follower, *others], timeout=30)
    assert road.dead_ids() == {bad}


def test_bad_credentials_halt_delivery_and_it_resumes_by_itself(working_road: Road) -> None:
    road = working_road
    site_id, api_key = (
        road.settings["CUSTOMERIO_SITE_ID"],
        road.settings["CUSTOMERIO_TRACK_API_KEY"],
    )
    road.sandbox.set_credentials(site_id=site_id, api_key="another")
    jobs = enqueue_together(road, 3)
    wait_until(lambda: road.breaker().get("state") == "halted", 15, "delivery to halt")
    assert road.breaker()["reason"] == "credentials"
    wait_until(lambda: road.backlog_size() == 3, 10, "the jobs in the backlog")
    road.sandbox.set_credentials(site_id=site_id, api_key=api_key)
    road.wait_delivered(jobs, timeout=40)
    assert not road.dead_ids()


@pytest.mark.parametrize("fault", [{"kind": "status", "status": 403}, {"kind": "redirect"}])
def test_one_denied_operation_is_retried_and_dead_in_the_end_when_the_region_endpoint_disagrees(
    road: Road, start_worker: Any, fault: dict[str, Any]
) -> None:
    road.sandbox.add_fault(**fault, match={"contains": "poison"})
    fine = road.producer.track("42", "fine", {})
    bad = road.producer.track("7", "poison", {})
    start_worker({**road.settings, "TRACKRELAY_MAX_ATTEMPTS": "2"})
    letter = road.wait_dead(bad, timeout=40)
    assert letter.reason == "exhausted"
    road.wait_delivered([fine])


def test_what_is_older_than_the_maximum_age_expires(road: Road, start_worker: Any) -> None:
    old = road.producer.track("42", "old", {})
    wait_until(lambda: False or road.stream_length() == 1, 5)
    with road.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE trackrelay_state SET updated_at = now() - interval '1 hour' WHERE name = 'possible_since'"
        )
    road.redis.hset("trackrelay:breaker:v2", "recovered_ms", 1)  # something was delivered long ago
    import time

    time.sleep(1.1)  # the age itself: there is no other way to become old
    start_worker(
        {**road.settings, "TRACKRELAY_MAX_AGE": "1s", "TRACKRELAY_LEDGER_RETENTION": "10s"}
    )
    letter = road.wait_dead(old)
    assert letter.reason == "expired"
    young = []

    def is_delivered() -> bool:
        young.append(road.producer.track("42", "young", {}))
        return not road.ledger_ids().isdisjoint(young)

    wait_until(is_delivered, 15, "a job that is not too old when its turn comes")


def test_an_entry_that_cannot_be_decoded_is_kept_and_harms_nobody(working_road: Road) -> None:
    road = working_road
    road.redis.xadd("trackrelay:0:live", {"v": "1", "j": b"\x00not json\xff"})
    fine = [road.producer.track(str(person), "fine", {}) for person in range(8)]
    road.wait_delivered(fine)
    letter = wait_until(
        lambda: road.rows("SELECT * FROM trackrelay_dead_letters WHERE reason = 'undecodable'"),
        10,
        "the dead letter",
    )[0]
    assert b"not json" in bytes(letter.raw)
    road.wait_settled()


def test_an_entry_of_a_newer_format_halts_its_shard_with_one_line(
    road: Road, start_worker: Callable[..., Any]
) -> None:
    worker = start_worker(road.settings, pool="threads", concurrency=4)
    shard = 0
    road.redis.xadd(f"trackrelay:{shard}:live", {"v": "99", "j": b"[]"})
    fine = [
        road.producer.enqueue(operations.track(str(person), "fine", {})) for person in range(20)
    ]
    wait_until(lambda: "format 99" in worker.output, 10, "the line")
    wait_until(lambda: len(road.ledger_ids() & set(fine)) >= 5, 10, "the other shards' jobs")
    assert road.redis.xlen(f"trackrelay:{shard}:live") >= 1
    assert not road.dead_ids()
