"""Random answers of the Track API are all classified; only documented ones accept or refuse."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import structlog

from tests.fuzz.mutations import encoded, mutated, shown, value
from trackrelay.worker.delivery.batching import PackedRequest
from trackrelay.worker.delivery.breaker import BreakerState, Failure
from trackrelay.worker.delivery.outcomes import Deferred, Delivered, Failed, Rejected
from trackrelay.worker.delivery.sender import Sender
from trackrelay.worker.storage.stored_job import Job
from trackrelay.worker.track_api.region import Verdict, judge
from trackrelay.worker.track_api.request_builder import Request
from trackrelay.worker.track_api.responses import (
    Accepted,
    Answer,
    AuthRejected,
    EndpointFailure,
    NoAnswer,
    Refused,
    classify_response,
)

NAME = "answers"

REQUESTS = (
    Request("entity", "/api/v2/entity", b"{}", 1),
    Request("batch", "/api/v2/batch", b"{}", 3),
    Request("v1", "/api/v1/forms/x/submit", b"{}", 1),
    Request("v1", "/api/v1/metrics", b"{}", 1),
    Request("v1", "/api/v1/segments/7/add_customers?id_type=id", b"{}", 3),
)
STATUSES = (
    200,
    200,
    200,
    201,
    204,
    207,
    207,
    207,
    302,
    400,
    400,
    400,
    401,
    403,
    404,
    413,
    422,
    425,
    429,
    500,
    503,
    100,
    0,
    999,
)
BODIES = (
    b"", b"{}", b"[]", b"null", b"<html>ok</html>",
    b'{"errors":[{"reason":"invalid","field":"attributes.plan","message":"property value cannot be '
    b'longer than 1000 bytes"}]}',
    b'{"errors":[{"batch_index":1,"reason":"invalid","field":"name","message":"blank"},{"batch_index":1,"field":"x","message":"y"}]}',
    b'{"errors":[{"batch_index":0},{"batch_index":1},{"batch_index":2}]}', b'{"errors":[]}',
    b'{"meta":{"errors":["id attribute must be present","too long"]}}',
    b'{"meta":{"error":"no such person"}}',
    b'{"url":"track.customer.io","region":"us","environment_id":123}',
)  # fmt: skip
HEADERS = (
    None, "", "0", "7", "1.5", "-1", "1e308", "inf", "nan", "9" * 5_000,
    "Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:30:00 +0200",
    "Fri, 31 Dec 9999 23:59:59 -2359", "Mon, 01 Jan 0001 00:00:00 +2359", "20 20 20 20:20:20 +20",
    "::::", "\u0661", "\x00",
)  # fmt: skip
LETTERS = '0123456789 :,.+-JanMonGMTeEinfaf_\t()"\\'
#: One answer in so many is the answer to a whole delivery, which takes a hundred times as long.
SENT = 50
MAX_SHOWN = 100_000


def run(rng: random.Random, more: Callable[[int], bool], **context: Any) -> int:
    """Try answers while ``more(tried)`` is true; return how many."""
    tried = 0
    with _quiet():
        while more(tried):
            request, answer = rng.choice(REQUESTS), _answer(rng)
            try:
                _check(request, answer)
                if tried % SENT == 0:
                    _deliver(rng)
            except Exception as error:
                raise AssertionError(
                    f"{type(error).__name__}: {str(error)[:300]}; "
                    f"{shown(request)} was answered {shown(answer)}"
                ) from error
            tried += 1
    return tried


def _answer(rng: random.Random) -> Answer:
    return Answer(rng.choice(STATUSES), _body(rng), _header(rng), _header(rng))


def _body(rng: random.Random) -> bytes:
    kind = rng.random()
    if kind < 0.3:
        return rng.choice(BODIES)
    if kind < 0.7:
        return mutated(rng, rng.choice(BODIES))
    if kind < 0.85:
        errors = [
            {
                "batch_index": rng.choice((0, 1, 2, 3, -1, True, "1", None)),
                "message": value(rng),
                "field": value(rng),
            }
        ]
        errors += [value(rng) for _ in range(rng.randrange(3))]
        return encoded({"errors": errors, "meta": value(rng)})
    return encoded(value(rng)) if kind < 0.95 else rng.randbytes(rng.randrange(60))


def _header(rng: random.Random) -> str | None:
    kind = rng.random()
    if kind < 0.8:
        return rng.choice(HEADERS)
    return "".join(rng.choices(LETTERS, k=rng.randrange(40)))


def _check(request: Request, answer: Answer) -> None:
    found = classify_response(request, answer)
    assert len(repr(found)) < MAX_SHOWN, "its classify_response is longer than anybody reads"
    document = _json(answer.body)
    match found:
        case Accepted(refused):
            assert answer.status in (200, 204, 207), "an acceptance of another status"
            assert all(0 <= index < request.size for index in refused), (
                "a refusal of nothing that was sent"
            )
            if answer.status == 204:
                assert not answer.body
                assert "/forms/" in request.path
            elif answer.status == 207:
                assert request.kind == "batch"
                assert {error["batch_index"] for error in document["errors"]} == set(refused)
            else:
                assert isinstance(document, dict) or (
                    not answer.body and request.path.endswith("metrics")
                )
        case Refused(refusal):
            assert answer.status in ((400, 413) if request.size > 1 else (400, 404, 413, 422))
            assert document.get("errors") or document.get("meta"), "a refusal without a word"
            assert refusal.message
        case AuthRejected(status):
            assert status in (401, 403) or 300 <= status < 400
        case EndpointFailure() as trouble:
            assert trouble.retry_after_s is None or 0 <= trouble.retry_after_s < 1e16
            assert len(trouble.error) < 10_000
    verdict = judge(
        answer,
        base_url="https://track.customer.io",
        region="us",
        own_url=False,
        environment_id="123",
    )
    assert len(verdict.message) < 1_000
    assert verdict.problem or (document["region"], document["environment_id"]) in (
        ("us", 123),
        ("us", "123"),
    )


def _json(body: bytes) -> Any:
    # An independent parser, so that the comparison proves something.
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


# -- whole deliveries


def _deliver(rng: random.Random) -> None:
    """Send jobs whose requests are answered at random: each has one result, nothing is raised."""
    route = rng.choice(("v2", "v2", "segment", "single"))
    jobs = [
        _job(rng, number, route)
        for number in range(1 if route == "single" else rng.choice((1, 2, 5, 20)))
    ]
    answers = [
        _answer(rng) if rng.random() < 0.8 else Answer(200, b"{}")
        for _ in range(rng.choice((1, 3)))
    ]
    answered: list[tuple[Request, Answer | NoAnswer]] = []

    def send(request: Request, send_until: float) -> Answer | NoAnswer:
        answer = rng.choice(answers) if rng.random() < 0.95 else NoAnswer("it broke")
        answered.append((request, answer))
        return answer

    results = _sender(rng, send).send(PackedRequest(route, jobs), 0, "1", BreakerState("closed"))
    assert sorted(result.job.id for result in results) == sorted(job.id for job in jobs), (
        "not one result for each job"
    )
    accepted = any(isinstance(classify_response(*each), Accepted) for each in answered)
    for result in results:
        assert isinstance(result, Delivered | Rejected | Failed | Deferred)
        assert accepted or not isinstance(result, Delivered), (
            "delivered, though nothing was accepted"
        )


def _job(rng: random.Random, number: int, route: str) -> Job:
    operation, body = {
        "v2": (
            "person.event",
            b'{"type":"person","action":"event","identifiers":{"id":"1"},"name":"x"}',
        ),
        "segment": (
            "segment.add",
            b'{"action":"add","person":{"id":"1"},"identifiers":{"segment_id":7}}',
        ),
        "single": (
            "form.submit",
            b'{"identifiers":{"form_id":"f"},"person":{"id":"1"},"attributes":{}}',
        ),
    }[route]
    return Job(
        id=f"{number:026}",
        operation=operation,
        keys=(f"id:{number}",),
        shards=(0,),
        body=body,
        lane="live",
        enqueued_at=1.0,
        age_from=1.0,
        failed_at=rng.choice((0.0, 5.0)),
    )


def _sender(rng: random.Random, send: Callable[[Request, float], Any]) -> Sender:
    failure = Failure(opened=False, last_success=rng.choice((0.0, 10.0)), wait_s=0.0, at=20.0)
    pace: Any = SimpleNamespace(
        wait=lambda *args, **options: SimpleNamespace(send_until=float("inf")),
        slow_down=lambda *args, **options: None,
    )
    breaker: Any = SimpleNamespace(
        delivered=lambda *args, **options: False,
        answered=lambda *args, **options: False,
        failed=lambda *args, **options: failure,
        halt=lambda *args, **options: failure,
        halt_refused=lambda *args, **options: failure,
    )
    api: Any = SimpleNamespace(send=send)
    problem = rng.choice((None, "denied", "region", "unreachable"))
    return Sender(
        api, pace, breaker, lambda: Verdict(problem=problem, message="x"), lambda family: None
    )


@contextmanager
def _quiet() -> Iterator[None]:
    before = structlog.get_config()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(50), cache_logger_on_first_use=False
    )
    try:
        yield
    finally:
        structlog.configure(**before)


__all__: Sequence[str] = ("NAME", "run")
