"""Misbehaviour on demand: what each kind of fault does, and to which requests."""

from __future__ import annotations

import http.client
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest

from tests.support.sandbox_api import Answer, Api
from tests.support.waiting import patient, wait_until
from trackrelay.sandbox.client import SandboxError

PERSON: dict[str, Any] = {"type": "person", "action": "identify", "identifiers": {"id": "42"}}
EVENT: dict[str, Any] = {**PERSON, "action": "event", "name": "bought"}


def effects(api: Api) -> list[tuple[str, str]]:
    return [(effect["action"], effect["keys"][0]) for effect in api.client.effects()]


def fault(api: Api, number: int) -> dict[str, Any]:
    return next(fault for fault in api.client.faults() if fault["id"] == number)


def test_a_status_is_answered_in_the_documented_shape_and_nothing_takes_effect(api: Api) -> None:
    api.client.add_fault(kind="status", status=503, retry_after="2", message="come back later")
    v2, merge = api.batch(PERSON), api.call("POST", "/api/v1/merge_customers", {})
    v1 = api.call("PUT", "/api/v1/customers/42", {})
    assert [answer.status for answer in (v2, merge, v1)] == [503] * 3
    assert v2.json == {"errors": [{"reason": "invalid", "field": "", "message": "come back later"}]}
    assert merge.json == {"meta": {"error": "come back later"}}
    assert v1.json == {"meta": {"errors": ["come back later"]}}
    assert v2.headers["retry-after"] == "2"
    assert effects(api) == []


def test_a_status_may_have_any_body(api: Api) -> None:
    api.client.add_fault(
        kind="status", status=502, body="<html>bad gateway</html>", content_type="text/html"
    )
    answer = api.batch(PERSON)
    assert (answer.status, answer.body) == (502, b"<html>bad gateway</html>")
    assert answer.headers["content-type"] == "text/html"


@pytest.mark.parametrize("effect", [False, True])
def test_a_body_replaces_the_answer(api: Api, effect: bool) -> None:
    api.client.add_fault(
        kind="body", body="<h1>Welcome</h1>", content_type="text/html", effect=effect
    )
    answer = api.batch(PERSON)
    assert (answer.status, answer.body) == (200, b"<h1>Welcome</h1>")
    assert bool(effects(api)) is effect


def test_a_redirect_says_where_to(api: Api) -> None:
    api.client.add_fault(kind="redirect", status=302, location="https://elsewhere.example.com/")
    answer = api.batch(PERSON)
    assert (answer.status, answer.headers["location"]) == (302, "https://elsewhere.example.com/")
    assert effects(api) == []


@pytest.mark.parametrize(
    ("kind", "took_effect"), [("close_before", []), ("close_after", [("identify", "id:42")])]
)
def test_a_connection_is_closed_without_an_answer(
    api: Api, kind: str, took_effect: list[Any]
) -> None:
    api.client.add_fault(kind=kind, times=1)
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        api.batch(PERSON)
    assert effects(api) == took_effect
    assert next(api.client.requests())["status"] is None
    assert api.batch(PERSON).status == 200


def test_a_delay_holds_the_right_answer_back(api: Api) -> None:
    api.client.add_fault(kind="delay", seconds=0.3)
    began = time.monotonic()
    assert api.batch(PERSON).status == 200
    assert time.monotonic() - began >= 0.3
    assert effects(api) == [("identify", "id:42")]


def test_a_request_that_a_delayed_client_gave_up_still_takes_effect(api: Api) -> None:
    api.client.add_fault(kind="delay", seconds=0.3)
    with pytest.raises(TimeoutError):
        api.call("POST", "/api/v2/entity", PERSON, timeout=0.1)
    wait_until(lambda: effects(api))
    assert effects(api) == [("identify", "id:42")]


def test_a_drip_sends_the_right_answer_byte_by_byte(api: Api) -> None:
    api.client.add_fault(kind="drip", seconds=2.0)
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=patient(10))
    headers = {"Authorization": api.auth, "Content-Type": "application/json"}
    began = time.monotonic()
    connection.request("POST", "/api/v2/batch", b'{"batch": []}', headers)
    answer = connection.getresponse()
    times = []
    while answer.read(1):
        times.append(time.monotonic())
    connection.close()
    assert times[-1] - began >= 1.6
    # Byte by byte; a busy machine may read some of them together.
    assert sum(late - early > 0.01 for early, late in pairwise(times)) > 3
    api.client.clear_faults()
    api.client.add_fault(kind="drip", seconds=0.1)
    assert api.batch(PERSON).json == {}


@pytest.mark.parametrize("effect", [False, True])
def test_a_hang_ends_without_an_answer(api: Api, effect: bool) -> None:
    api.client.add_fault(kind="hang", seconds=0.2, effect=effect)
    began = time.monotonic()
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        api.batch(PERSON)
    assert time.monotonic() - began >= 0.2
    assert bool(effects(api)) is effect


def test_deleting_a_fault_releases_the_requests_that_it_holds(api: Api) -> None:
    number = api.client.add_fault(kind="hang")
    failures: list[type[Exception]] = []

    def send() -> None:
        try:
            api.batch(PERSON)
        except (http.client.RemoteDisconnected, ConnectionResetError) as error:
            failures.append(type(error))

    held = threading.Thread(target=send)
    held.start()
    while fault(api, number)["hits"] == 0:
        time.sleep(0.01)
    assert held.is_alive()
    assert api.client.summary()["concurrent"] == 1
    api.client.delete_fault(number)
    held.join(patient(5))
    assert failures
    assert api.batch(PERSON).status == 200


def test_a_rejection_strikes_single_operations_of_a_batch(api: Api) -> None:
    api.client.add_fault(
        kind="reject",
        reason="invalid",
        field="attributes.plan",
        message="no such plan",
        match={"identifier": "id:42"},
    )
    other = {**PERSON, "identifiers": {"id": "43"}}
    answer = api.batch(other, PERSON, EVENT, other)
    assert answer.status == 207
    assert [error["batch_index"] for error in answer.json["errors"]] == [1, 2]
    assert answer.json["errors"][0]["message"] == "no such plan"
    assert effects(api) == [("identify", "id:43")] * 2


def test_a_rejection_of_something_alone_is_a_400(api: Api) -> None:
    number = api.client.add_fault(
        kind="reject", message="not today", match={"action": "identify"}, times=2
    )
    assert api.entity(**PERSON).json["errors"][0]["message"] == "not today"
    answer = api.call("PUT", "/api/v1/customers/42", {"plan": "pro"})
    assert (answer.status, answer.json) == (400, {"meta": {"errors": ["not today"]}})
    assert fault(api, number)["hits"] == 2
    assert api.entity(**PERSON).status == 200


def test_times_of_a_rejection_counts_operations(api: Api) -> None:
    api.client.add_fault(kind="reject", times=1, skip=1)
    answer = api.batch(PERSON, EVENT, EVENT)
    assert [error["batch_index"] for error in answer.json["errors"]] == [1]
    assert api.batch(PERSON, EVENT).status == 200


@pytest.mark.parametrize(
    "match",
    [
        {},
        {"method": "post"},
        {"path": "/api/v2"},
        {"type": "person"},
        {"action": "event"},
        {"name": "bought"},
        {"identifier": "id:42"},
        {"contains": '"needle"'},
        {
            "type": "person",
            "action": "event",
            "name": "bought",
            "identifier": "id:42",
            "contains": "needle",
        },
    ],
)
def test_a_fault_strikes_what_matches(api: Api, match: dict[str, str]) -> None:
    number = api.client.add_fault(kind="status", match=match)
    assert api.batch({**EVENT, "attributes": {"note": "needle"}}).status == 503
    assert fault(api, number)["hits"] == 1


@pytest.mark.parametrize(
    "match",
    [
        {"method": "PUT"},
        {"path": "/api/v1"},
        {"type": "object"},
        {"action": "merge"},
        {"name": "sold"},
        {"identifier": "id:4"},
        {"identifier": "email:42"},
        {"contains": "haystack"},
        # One operation must fit in all respects, not several together.
        {"action": "event", "identifier": "id:7"},
    ],
)
def test_a_fault_spares_what_does_not_match(api: Api, match: dict[str, str]) -> None:
    number = api.client.add_fault(kind="status", match=match)
    assert api.batch(EVENT, {**PERSON, "identifiers": {"id": "7"}}).status == 200
    assert fault(api, number)["hits"] == 0


def test_a_fault_matches_v1_by_what_it_says_too(api: Api) -> None:
    api.client.add_fault(
        kind="status", match={"action": "event", "identifier": "email:ada@example.com"}
    )
    events = "/api/v1/customers/Ada%40example.com/events"
    assert api.call("POST", events, {"name": "bought"}).status == 503
    assert api.call("PUT", "/api/v1/customers/Ada%40example.com", {}).status == 200


def test_a_fault_passes_some_then_strikes_so_often(api: Api) -> None:
    api.client.add_fault(kind="status", status=500, skip=2, times=2)
    assert [api.batch(PERSON).status for _ in range(6)] == [200, 200, 500, 500, 200, 200]


def test_a_rate_strikes_a_share(api: Api) -> None:
    number = api.client.add_fault(kind="status", rate=0.3)
    with ThreadPoolExecutor(2) as pool:
        answers: list[Answer] = list(pool.map(lambda _: api.batch(), range(200)))
    struck = sum(answer.status == 503 for answer in answers)
    assert 30 < struck < 95
    assert fault(api, number)["hits"] == struck
    assert fault(api, number)["matches"] == 200


def test_the_first_fault_decides_and_delays_add_up(api: Api) -> None:
    api.client.add_fault(kind="delay", seconds=0.1)
    api.client.add_fault(kind="delay", seconds=0.1)
    first = api.client.add_fault(kind="status", status=502)
    second = api.client.add_fault(kind="status", status=503)
    began = time.monotonic()
    assert api.batch(PERSON).status == 502
    assert time.monotonic() - began >= 0.2
    assert [fault(api, number)["hits"] for number in (first, second)] == [1, 0]


def test_an_outage_is_for_everything_until_it_is_over(api: Api) -> None:
    api.client.add_fault(kind="body", body="masked by the outage")
    with api.client.outage(status=500):
        assert api.batch(PERSON).status == 500
        assert api.call("GET", "/api/v1/accounts/region").status == 500
        assert api.call("POST", "/api/v1/metrics", {}, auth=None).status == 500
        assert api.app("GET", "/v1/customers?email=a@b.c").status == 500
    assert api.batch(PERSON).body == b"masked by the outage"
    api.client.clear_faults()
    assert api.batch(PERSON).status == 200


def test_credentials_are_not_checked_in_an_outage(api: Api) -> None:
    api.client.start_outage(503)
    assert api.call("POST", "/api/v2/batch", {"batch": []}, auth=None).status == 503
    api.client.end_outage()
    assert api.call("POST", "/api/v2/batch", {"batch": []}, auth=None).status == 401


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "explode"},
        {"kind": "status", "match": {"colour": "red"}},
        {"kind": "status", "status": 99},
        {"kind": "status", "rate": 0},
        {"kind": "delay"},
        {"kind": "body"},
        {"kind": "status", "tiems": 3},
    ],
)
def test_a_fault_that_means_nothing_is_refused(api: Api, fault: dict[str, Any]) -> None:
    with pytest.raises(SandboxError):
        api.client.add_fault(**fault)
    assert api.client.faults() == []


def test_a_fault_that_is_not_there_cannot_be_deleted(api: Api) -> None:
    with pytest.raises(SandboxError, match="there is no fault 99"):
        api.client.delete_fault(99)


def test_an_operation_that_is_refused_may_have_several_errors(api: Api) -> None:
    api.client.add_fault(
        kind="reject",
        match={"identifier": "id:42"},
        field="attributes.plan",
        message="no",
        errors=3,
    )
    answer = api.batch({**PERSON, "identifiers": {"id": "1"}}, PERSON)
    assert answer.status == 207
    assert [(error["batch_index"], error["message"]) for error in answer.json["errors"]] == [
        (1, "no"),
        (1, "no (2)"),
        (1, "no (3)"),
    ]
    assert [error["message"] for error in api.entity(**PERSON).json["errors"]] == [
        "no",
        "no (2)",
        "no (3)",
    ]
    assert effects(api) == [("identify", "id:1")]
    assert api.client.summary()["rejected"] == 2


@pytest.mark.parametrize("effect", [False, True])
def test_a_batch_may_be_answered_with_207_and_an_empty_list(api: Api, effect: bool) -> None:
    api.client.add_fault(kind="status", status=207, effect=effect)
    answer = api.batch(PERSON)
    assert (answer.status, answer.json) == (207, {"errors": []})
    assert effects(api) == ([("identify", "id:42")] if effect else [])
