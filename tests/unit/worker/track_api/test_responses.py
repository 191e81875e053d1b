"""What an answer means, row by row."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackrelay.worker.track_api.region import judge
from trackrelay.worker.track_api.request_builder import Request
from trackrelay.worker.track_api.responses import (
    MAX_ERRORS,
    Accepted,
    Answer,
    AuthRejected,
    Classification,
    EndpointFailure,
    FieldError,
    NoAnswer,
    Refusal,
    Refused,
    classify_response,
    retry_after_s,
)

ONE = Request("entity", "/api/v2/entity", b"{}", 1)
BATCH = Request("batch", "/api/v2/batch", b"{}", 3)
FORM = Request("v1", "/api/v1/forms/x/submit", b"{}", 1)
METRIC = Request("v1", "/api/v1/metrics", b"{}", 1)
SEGMENT = Request("v1", "/api/v1/segments/7/add_customers?id_type=id", b"{}", 3)
V2_ERRORS = {"errors": [{"reason": "invalid", "field": "name", "message": "too long"}]}
V1_ERRORS = {"meta": {"errors": ["too long"]}}
MERGE_ERROR = {"meta": {"error": "too long"}}
PARTLY = {
    "errors": [{"batch_index": 1, "reason": "invalid", "field": "name", "message": "too long"}]
}


ANSWERED = "Wed, 21 Oct 2026 07:28:00 GMT"


def of(
    request: Request, status: int, body: Any = None, retry_after: str | None = None
) -> Classification:
    raw = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    return classify_response(request, Answer(status, raw, retry_after, ANSWERED))


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
        (BATCH, 404, V2_ERRORS, EndpointFailure),
        (BATCH, 405, V2_ERRORS, EndpointFailure),
        (BATCH, 422, V2_ERRORS, EndpointFailure),
        (ONE, 400, b"<html>", EndpointFailure),
        (ONE, 400, {"errors": []}, EndpointFailure),
        (ONE, 400, {"meta": {}}, EndpointFailure),
        (ONE, 404, None, EndpointFailure),
        (ONE, 200, None, EndpointFailure),
        (ONE, 200, b"<html>ok</html>", EndpointFailure),
        (ONE, 200, [], EndpointFailure),
        (ONE, 204, None, EndpointFailure),
        (FORM, 204, b"surprise", EndpointFailure),
        (ONE, 207, PARTLY, EndpointFailure),
        (BATCH, 207, {"errors": []}, Accepted),
        (BATCH, 207, {}, EndpointFailure),
        (BATCH, 207, {"errors": {}}, EndpointFailure),
        (BATCH, 207, {"errors": [{"batch_index": 3}]}, EndpointFailure),
        (BATCH, 207, {"errors": [{"batch_index": -1}]}, EndpointFailure),
        (BATCH, 207, {"errors": [{"batch_index": True}]}, EndpointFailure),
        (BATCH, 207, {"errors": [{"batch_index": 1}, {"batch_index": 1}]}, Accepted),
        (BATCH, 207, {"errors": [{"batch_index": 1}, {"batch_index": 4}]}, EndpointFailure),
        (BATCH, 207, {"errors": [{"batch_index": 1}, {"batch_index": [[]]}]}, EndpointFailure),
        (BATCH, 207, {"errors": [{}]}, EndpointFailure),
        (BATCH, 207, b"<html>", EndpointFailure),
        (BATCH, 201, {}, EndpointFailure),
        *[
            (BATCH, status, {}, EndpointFailure)
            for status in (408, 425, 429, 500, 502, 503, 504, 599, 418)
        ],
        *[(ONE, status, V2_ERRORS, AuthRejected) for status in (401, 403, 301, 302, 307, 308)],
    ],
)
def test_each_row(request_: Request, status: int, body: Any, expected: type) -> None:
    assert isinstance(of(request_, status, body), expected)


def test_a_207_names_what_was_refused_and_why() -> None:
    answer = of(BATCH, 207, PARTLY)
    assert isinstance(answer, Accepted)
    refusal = answer.refused[1]
    assert (refusal.message, refusal.reason, refusal.field) == ("too long", "invalid", "name")


def test_a_207_without_errors_says_that_all_is_accepted() -> None:
    assert of(BATCH, 207, {"errors": []}) == Accepted({})


TWO_ERRORS = [
    {"reason": "invalid", "field": "attributes.a", "message": "too long"},
    {"reason": "required", "field": "attributes.b", "message": "is missing"},
]
BOTH = (
    FieldError("too long", "invalid", "attributes.a"),
    FieldError("is missing", "required", "attributes.b"),
)


def test_several_errors_of_one_operation_are_one_refusal_with_all_of_them() -> None:
    other = {"batch_index": 0, "reason": "invalid", "field": "name", "message": "blank"}
    errors = [{"batch_index": 2, **TWO_ERRORS[0]}, other, {"batch_index": 2, **TWO_ERRORS[1]}]
    answer = of(BATCH, 207, {"errors": errors})
    assert isinstance(answer, Accepted)
    assert answer.refused[2] == Refusal(
        "attributes.a: too long; attributes.b: is missing", 207, "invalid", "attributes.a", BOTH
    )
    assert answer.refused[0] == Refusal("blank", 207, "invalid", "name")
    assert answer.refused.keys() == {0, 2}


def test_a_400_with_several_errors_keeps_all_of_them() -> None:
    answer = of(ONE, 400, {"errors": TWO_ERRORS})
    assert isinstance(answer, Refused)
    assert answer.refusal.errors == BOTH
    assert answer.refusal.message == "attributes.a: too long; attributes.b: is missing"
    v1 = of(ONE, 400, {"meta": {"errors": ["too long", "is missing"]}})
    assert isinstance(v1, Refused)
    assert v1.refusal.message == "too long; is missing"
    assert v1.refusal.errors == (FieldError("too long"), FieldError("is missing"))


def test_the_same_error_twice_is_one() -> None:
    errors = [{"batch_index": 1, **TWO_ERRORS[0]}] * 2
    answer = of(BATCH, 207, {"errors": errors})
    assert isinstance(answer, Accepted)
    assert answer.refused[1] == Refusal("too long", 207, "invalid", "attributes.a")


def test_what_is_kept_of_many_errors_is_bounded() -> None:
    errors = [
        {"batch_index": 1, "field": f"f{n}", "message": "x" * 3000, "reason": "y" * 3000}
        for n in range(1000)
    ]
    for answer in (of(BATCH, 207, {"errors": errors}), of(ONE, 400, {"errors": errors})):
        refusal = answer.refused[1] if isinstance(answer, Accepted) else answer.refusal  # type: ignore[union-attr]
        assert len(refusal.errors) == MAX_ERRORS
        assert len(repr(refusal)) < 50_000
        assert len(refusal.message) < 5_000
        assert refusal.message.endswith("and 980 more")


@pytest.mark.parametrize("body", [V1_ERRORS, MERGE_ERROR])
def test_a_message_of_v1_is_kept(body: Any) -> None:
    answer = of(ONE, 400, body)
    assert isinstance(answer, Refused)
    assert answer.refusal.message == "too long"


def test_no_answer_is_the_endpoints_problem() -> None:
    assert classify_response(BATCH, NoAnswer("timed out")) == EndpointFailure("timed out")


def test_only_429_says_too_fast_and_a_wait_is_taken_from_any() -> None:
    slow, away = of(BATCH, 429, {}, "7"), of(BATCH, 503, {}, "1.5")
    dated = of(BATCH, 503, {}, "Wed, 21 Oct 2026 07:30:00 GMT")
    assert isinstance(slow, EndpointFailure)
    assert isinstance(away, EndpointFailure)
    assert isinstance(dated, EndpointFailure)
    assert (slow.too_fast, slow.retry_after_s) == (True, 7.0)
    assert (away.too_fast, away.retry_after_s) == (False, 1.5)
    assert (dated.too_fast, dated.retry_after_s) == (False, 120.0)


@pytest.mark.parametrize(
    "body", [b"<html>maintenance</html>", b"", b'{"message": "maintenance"}', b"[]"]
)
def test_a_wait_asked_for_by_an_answer_that_is_not_the_apis_own_is_bounded(body: bytes) -> None:
    foreign = of(BATCH, 503, body, "86400")
    own = of(BATCH, 503, {"errors": [{"reason": "busy", "message": "maintenance"}]}, "86400")
    assert isinstance(foreign, EndpointFailure)
    assert isinstance(own, EndpointFailure)
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
        *(
            "1e9",
            "0x10",
            "1_000",
            "\u0661",
            "9" * 100_000,
            "Mon, 1 Jan 2024 00.00.00 +",
            ", , , ,",
            "\x00",
            "::::",
        ),
        "Mon, 01 Jan 0001 00:00:00 +2359",
        "Wed, 21 Oct 2026 25:61:61 GMT",
    ],
)
def test_a_wait_that_makes_no_sense_is_no_wait(header: str | None) -> None:
    assert retry_after_s(header, ANSWERED) is None


def test_what_an_endpoint_says_in_its_own_way_is_not_repeated() -> None:
    answer = of(ONE, 500, b"stack trace with ada@example.com")
    assert isinstance(answer, EndpointFailure)
    assert "ada" not in answer.error


@given(
    st.sampled_from([ONE, BATCH, FORM, METRIC, SEGMENT]),
    st.integers(200, 599),
    st.binary(max_size=60),
)
def test_garbage_is_never_taken_for_an_acceptance_or_a_refusal(
    request_: Request, status: int, body: bytes
) -> None:
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    answer = classify_response(request_, Answer(status, body))
    if not isinstance(document, dict) and body:
        assert isinstance(answer, EndpointFailure | AuthRejected)


#: Bodies that would break something before they are classified, were it not prepared.
HOSTILE_BODIES = [
    b"[" * 1_500,
    b"[" * 100_000,
    b"[" * 1_000 + b"]" * 1_000,
    b'{"errors":[{"batch_index":0,"message":"x"}],"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    b'{"a":' * 1_000 + b"1" + b"}" * 1_000,
    b"9" * 5_000,
    b'{"errors":[{"batch_index":%s}]}' % (b"9" * 5_000),
    b'{"errors":[{"batch_index":%s}]}' % (b"[" * 150 + b"]" * 150),
    b'{"errors":[{"batch_index":"%s"}]}' % (b"x" * 100_000),
    b'{"errors":[{"batch_index":1e400}]}',
    b'{"errors":[{"batch_index":0,"reason":"\\u0000","message":"\\ud800"}]}',
    b'{"errors":[{"batch_index":0,"message":{"a":["b"]},"field":5}]}',
    b'{"meta":{"errors":["\xff"]}}',
    b'{"meta":{"errors":[1,null,["x"]]}}',
    b'{"meta":{"errors":[%s]}}' % b",".join([b'"word"'] * 100_000),
    b'{"errors":{"a":1}}',
    *(b"null", b"", b"NaN", b"\xef\xbb\xbf{}", b"[1]", b'"us"', b"\x00", b"1" * 1_000_000),
    b'{"region":["us"],"environment_id":1}',
    b'{"region":"us","environment_id":%s}' % (b"9" * 4_000),
    b'{"region":"us","environment_id":"\\u001b[2J<b>"}',
    b'{"region":"us","environment_id":{"a":1}}',
]


@pytest.mark.parametrize(
    "request_", [ONE, BATCH, FORM, METRIC, SEGMENT], ids=lambda request: request.path
)
def test_whatever_an_answer_holds_it_has_a_meaning_of_bounded_size(request_: Request) -> None:
    for status in (0, 100, 200, 204, 207, 302, 400, 401, 404, 413, 429, 500, 999):
        for body in HOSTILE_BODIES:
            found = classify_response(request_, Answer(status, body, "9" * 10_000, ANSWERED))
            assert len(repr(found)) < 100_000
            # An unreadable answer neither accepts nor refuses all jobs.
            if isinstance(found, Accepted) and not found.refused:
                assert body == b"" or body.startswith(b"{")
            if isinstance(found, Refused):
                assert b"errors" in body


def test_whatever_the_region_endpoint_answers_is_a_verdict() -> None:
    for body in HOSTILE_BODIES:
        verdict = judge(
            Answer(200, body), base_url="x", region="us", own_url=False, environment_id="5"
        )
        assert verdict.problem == "unreachable"
        assert len(verdict.message) < 300
