"""What the span of a request says, and that it names nobody."""

from typing import Any

import pytest
from opentelemetry.trace import StatusCode

from tests.support.fixtures.tracing_fixtures import Recorded
from trackrelay import Operation, operations
from trackrelay.transport.answers import Answer, NoAnswer
from trackrelay.worker.delivery.request_spans import note_response, request_span
from trackrelay.worker.storage.stored_job import Job
from trackrelay.worker.track_api import request_builder
from trackrelay.worker.track_api.request_builder import Request
from trackrelay.worker.track_api.responses import classify_response

TRACE = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


def job_of(operation: Operation, number: int = 0) -> Job:
    return Job(
        id=f"01CANARY{number:018}",
        operation=operation.name,
        keys=operation.keys,
        shards=(0,),
        body=operation.body,
        lane="live",
        enqueued_at=0.0,
        age_from=0.0,
        trace=TRACE,
    )


def recorded_span(recorded: Recorded, request: Request, jobs: list[Job], answer: Any) -> Any:
    with request_span(request, jobs, 2, "https://track.example.com/base") as span:
        note_response(span, classify_response(request, answer), answer, len(jobs))
    return recorded.spans[-1]


def batch() -> tuple[Request, list[Job]]:
    jobs = [job_of(operations.track("42", "canary-event"), number) for number in range(3)]
    return request_builder.batch([job.body for job in jobs]), jobs


REFUSED = b'{"errors":[{"reason":"invalid","field":"canary","message":"canary","batch_index":1}]}'


@pytest.mark.parametrize(
    ("answer", "counts", "error"),
    [
        (Answer(200, b"{}"), {"delivered": 3, "rejected": 0}, None),
        (Answer(207, REFUSED), {"delivered": 2, "rejected": 1}, None),
        (Answer(400, REFUSED), {"refused_together": 3}, "400"),
        (Answer(503, b"canary"), {"deferred": 3}, "503"),
        (Answer(401, b"canary"), {"deferred": 3}, "401"),
        (NoAnswer("canary-host timed out"), {"deferred": 3}, "no_answer"),
    ],
)
def test_the_span_says_what_became_of_the_jobs(
    recorded: Recorded, answer: Answer | NoAnswer, counts: dict[str, int], error: str | None
) -> None:
    request, jobs = batch()
    span = recorded_span(recorded, request, jobs, answer)

    found = {
        name.removeprefix("trackrelay.jobs."): value
        for name, value in span.attributes.items()
        if name.startswith("trackrelay.jobs.")
    }
    assert found == counts
    assert span.attributes.get("error.type") == error
    assert (span.status.status_code is StatusCode.ERROR) == (error is not None)
    assert span.attributes.get("http.response.status_code") == getattr(answer, "status", None)
    assert span.attributes["server.address"] == "track.example.com"
    assert span.attributes["url.template"] == "/api/v2/batch"
    assert "canary" not in span.to_json()


def test_the_path_of_a_single_request_names_nobody(recorded: Recorded) -> None:
    operation = operations.track_anonymous("canary-visitor", "seen")
    job = job_of(operation)
    request = request_builder.single(job.operation, job.body)
    span = recorded_span(recorded, request, [job], Answer(200, b"{}"))

    assert span.name == "deliver anonymous.event"
    assert span.attributes["messaging.message.id"] == job.id
    assert "canary" not in span.to_json().replace(job.id, "")


def test_the_path_of_an_unsubscribe_names_no_delivery(recorded: Recorded) -> None:
    operation = operations.unsubscribe("canary-delivery")
    job = job_of(operation)
    request = request_builder.single(job.operation, job.body)
    span = recorded_span(recorded, request, [job], Answer(200, b"{}"))

    assert span.attributes["url.template"] == "/unsubscribe/…"
