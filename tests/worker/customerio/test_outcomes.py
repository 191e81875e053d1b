"""What an answer means, row by row."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.customerio.outcomes import (
    Accepted,
    Answer,
    Denied,
    Meaning,
    NoAnswer,
    Refused,
    Troubled,
    meaning,
    retry_after_s,
)
from worker.customerio.requests import Request

ONE = Request("entity", "/api/v2/entity", b"{}", 1)
BATCH = Request("batch", "/api/v2/batch", b"{}", 3)
FORM = Request("v1", "/api/v1/forms/x/submit", b"{}", 1)
METRIC = Request("v1", "/api/v1/metrics", b"{}", 1)
SEGMENT = Request("v1", "/api/v1/segments/7/add_customers?id_type=id", b"{}", 3)
V2_ERRORS = {"errors": [{"reason": "invalid", "field": "name", "message": "too long"}]}
V1_ERRORS = {"meta": {"errors": ["too long"]}}
MERGE_ERROR = {"meta": {"error": "too long"}}
PARTLY = {"errors": [{"batch_index": 1, "reason": "invalid", "field": "name", "message": "too long"}]}


ANSWERED = "Wed, 21 Oct 2026 07:28:00 GMT"


def of(request: Request, status: int, body: Any = None, retry_after: str | None = None) -> Meaning:
    raw = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    return meaning(request, Answer(status, raw, retry_after, ANSWERED))


@pytest.mark.parametrize(
    ("request_", "status", "body", "expected"),
    [
        (BATCH, 200, {}, Accepted),
        (ONE, 200, {}, Accepted),
        (FORM, 204, None, Accepted),
        (FORM, 200, {}, Accepted),
        (METRIC, 200, None, Accepted),
        (BATCH, 207, PARTLY, Accepted),
        (ONE, 400, V2_ERRORS, Refused),
        (ONE, 404, V1_ERRORS, Refused),
        (ONE, 413, V1_ERRORS, Refused),
        (ONE, 422, MERGE_ERROR, Refused),
        (BATCH, 400, V2_ERRORS, Refused),
        (BATCH, 413, V1_ERRORS, Refused),
        (SEGMENT, 400, V1_ERRORS, Refused),
        (BATCH, 404, V2_ERRORS, Troubled),
        (BATCH, 405, V2_ERRORS, Troubled),
        (BATCH, 422, V2_ERRORS, Troubled),
        (ONE, 400, b"<html>", Troubled),
        (ONE, 400, {"errors": []}, Troubled),
        (ONE, 400, {"meta": {}}, Troubled),
        (ONE, 404, None, Troubled),
        (ONE, 200, None, Troubled),
        (ONE, 200, b"<html>ok</html>", Troubled),
        (ONE, 200, [], Troubled),
        (ONE, 204, None, Troubled),
        (FORM, 204, b"surprise", Troubled),
        (ONE, 207, PARTLY, Troubled),
        (BATCH, 207, {"errors": []}, Troubled),
        (BATCH, 207, {"errors": [{"batch_index": 3}]}, Troubled),
        (BATCH, 207, {"errors": [{"batch_index": -1}]}, Troubled),
        (BATCH, 207, {"errors": [{"batch_index": True}]}, Troubled),
        (BATCH, 207, {"errors": [{"batch_index": 1}, {"batch_index": 1}]}, Troubled),
        (BATCH, 207, {"errors": [{}]}, Troubled),
        (BATCH, 207, b"<html>", Troubled),
        (BATCH, 201, {}, Troubled),
        *[(BATCH, status, {}, Troubled) for status in (408, 425, 429, 500, 502, 503, 504, 599, 418)],
        *[(ONE, status, V2_ERRORS, Denied) for status in (401, 403, 301, 302, 307, 308)],
    ],
)
def test_each_row(request_: Request, status: int, body: Any, expected: type) -> None:
    assert isinstance(of(request_, status, body), expected)


def test_a_207_names_what_was_refused_and_why() -> None:
    answer = of(BATCH, 207, PARTLY)
    assert isinstance(answer, Accepted)
    refusal = answer.refused[1]
    assert (refusal.message, refusal.reason, refusal.field) == ("too long", "invalid", "name")


@pytest.mark.parametrize("body", [V1_ERRORS, MERGE_ERROR])
def test_v1_words_are_kept(body: Any) -> None:
    answer = of(ONE, 400, body)
    assert isinstance(answer, Refused)
    assert answer.refusal.message == "too long"


def test_no_answer_is_the_endpoints_problem() -> None:
    assert meaning(BATCH, NoAnswer("timed out")) == Troubled("timed out")


def test_only_429_says_too_fast_and_a_wait_is_taken_from_any() -> None:
    slow, away = of(BATCH, 429, {}, "7"), of(BATCH, 503, {}, "1.5")
    dated = of(BATCH, 503, {}, "Wed, 21 Oct 2026 07:30:00 GMT")
    assert isinstance(slow, Troubled)
    assert isinstance(away, Troubled)
    assert isinstance(dated, Troubled)
    assert (slow.too_fast, slow.retry_after_s) == (True, 7.0)
    assert (away.too_fast, away.retry_after_s) == (False, 1.5)
    assert (dated.too_fast, dated.retry_after_s) == (False, 120.0)


@pytest.mark.parametrize("body", [b"<html>maintenance</html>", b"", b'{"message": "maintenance"}', b"[]"])
def test_a_wait_asked_for_by_an_answer_that_is_not_the_apis_own_is_bounded(body: bytes) -> None:
    foreign = of(BATCH, 503, body, "86400")
    own = of(BATCH, 503, {"errors": [{"reason": "busy", "message": "maintenance"}]}, "86400")
    assert isinstance(foreign, Troubled)
    assert isinstance(own, Troubled)
    assert foreign.retry_after_s == 300
    assert own.retry_after_s == 86_400


@pytest.mark.parametrize(
    ("until", "seconds"),
    [
        (ANSWERED, 0),
        ("Wed, 21 Oct 2026 07:28:07 GMT", 7),
        ("Wednesday, 21-Oct-26 07:28:07 GMT", 7),  # as HTTP had it before
        ("Wed Oct 21 07:28:07 2026", 7),
        ("Wed, 21 Oct 2026 09:28:07 +0200", 7),
        ("Fri, 01 Jan 2027 00:00:00 GMT", 6_193_920),  # the breaker waits a day at the most
    ],
)
def test_a_moment_counts_from_the_answers_own_clock(until: str, seconds: float) -> None:
    assert retry_after_s(until, ANSWERED) == seconds


@pytest.mark.parametrize("date", [None, "", "today"])
def test_without_the_answers_clock_a_moment_says_nothing(date: str | None) -> None:
    assert retry_after_s("Wed, 21 Oct 2026 07:30:00 GMT", date) is None


@pytest.mark.parametrize(
    "header",
    [
        *(None, "", "soon", "-1", "nan", "inf"),
        "Wed, 21 Oct 2026 07:27:59 GMT",
        "Wed, 99 Oct 2026 07:30:00 GMT",
        "Wed, 21 Oct 99999999999999999999 07:30:00 GMT",
        "Wed, 21 Oct 2026 07:30:00 +99999999999999999999",
    ],
)
def test_a_wait_that_makes_no_sense_is_no_wait(header: str | None) -> None:
    assert retry_after_s(header, ANSWERED) is None


def test_what_an_endpoint_says_in_its_own_way_is_not_repeated() -> None:
    answer = of(ONE, 500, b"stack trace with ada@example.com")
    assert isinstance(answer, Troubled)
    assert "ada" not in answer.error


@given(st.sampled_from([ONE, BATCH, FORM, METRIC, SEGMENT]), st.integers(200, 599), st.binary(max_size=60))
def test_garbage_is_never_taken_for_an_acceptance_or_a_refusal(request_: Request, status: int, body: bytes) -> None:
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    answer = meaning(request_, Answer(status, body))
    if not isinstance(document, dict) and body:
        assert isinstance(answer, Troubled | Denied)
