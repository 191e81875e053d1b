"""The span of a call: in the request's trace, without payload, and only where it is recorded."""

import logging
from collections.abc import Sequence

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from tests.support.fixtures.tracing_fixtures import Recorded
from trackrelay import InvalidOperationError, Person, Producer, QueueUnavailableError, aio
from trackrelay.default import default_producer, overridden
from trackrelay.queue.append import Entry
from trackrelay.queue.job import Job, decode_entry
from trackrelay.queue.redis_keys import Lane

ADA = Person(email="ada@example.com")


class Queue:
    """A backend that keeps the entries, or does not answer."""

    def __init__(self, error: Exception | None = None) -> None:
        self.entries: list[Entry] = []
        self.error = error

    def append(self, entries: Sequence[Entry], lane: Lane) -> None:
        if self.error:
            raise self.error
        self.entries += entries

    def close(self) -> None:
        return

    @property
    def jobs(self) -> list[Job]:
        return [job for entry in self.entries for job in decode_entry(entry.data)]


def producer_of(queue: Queue, **settings: object) -> Producer:
    producer = Producer(backend="memory", **settings)
    producer.backend = queue
    return producer


def traceparent(span: trace.Span) -> str:
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def test_a_call_is_a_span_in_the_trace_of_its_request_and_the_job_carries_it(
    recorded: Recorded,
) -> None:
    queue = Queue()
    with recorded.tracer.start_as_current_span("GET /cart") as request:
        job = producer_of(queue).track(ADA, "canary-event", {"card": "canary-value"})

    call, _ = recorded.spans
    assert call.name == "enqueue person.event"
    assert call.kind is SpanKind.PRODUCER
    assert call.parent == request.get_span_context()
    assert dict(call.attributes) == {
        "messaging.system": "trackrelay",
        "messaging.operation.name": "enqueue",
        "messaging.operation.type": "send",
        "messaging.destination.name": "live",
        "messaging.message.id": job,
        "messaging.message.body.size": len(queue.jobs[0].body),
    }
    assert [each.trace for each in queue.jobs] == [traceparent(call)]
    assert "ada" not in call.to_json()
    assert "canary" not in call.to_json()


def test_the_calls_of_a_pipeline_are_one_span(recorded: Recorded) -> None:
    queue = Queue()
    with producer_of(queue).pipeline() as pipeline:
        pipeline.track("1", "seen")
        pipeline.identify("2", {"plan": "pro"})

    (call,) = recorded.spans
    assert call.name == "enqueue batch"
    assert call.attributes["messaging.batch.message_count"] == 2
    assert {job.trace for job in queue.jobs} == {traceparent(call)}


async def test_a_coroutine_has_a_span_too(recorded: Recorded) -> None:
    queue = Queue()
    with overridden(backend="memory"):
        default_producer().backend = queue
        with recorded.tracer.start_as_current_span("request") as request:
            await aio.track("1", "seen")
        assert await aio.enqueue_many([]) == 0

    call, _ = recorded.spans
    assert call.parent == request.get_span_context()
    assert [job.trace for job in queue.jobs] == [traceparent(call)]


def test_a_call_that_fails_is_a_failed_span_without_the_message(recorded: Recorded) -> None:
    producer = producer_of(Queue(QueueUnavailableError("canary-host did not answer")))
    with pytest.raises(QueueUnavailableError):
        producer.track("1", "seen")

    (call,) = recorded.spans
    assert call.status.status_code is StatusCode.ERROR
    assert call.attributes["error.type"] == "QueueUnavailableError"
    assert "canary" not in call.to_json()
    assert not trace.get_current_span().get_span_context().is_valid


def test_a_call_whose_job_is_only_logged_is_a_failed_span(
    recorded: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    producer = producer_of(Queue(QueueUnavailableError("away")), on_unavailable="log")
    with caplog.at_level(logging.ERROR):
        producer.track("1", "seen")

    (call,) = recorded.spans
    assert call.attributes["error.type"] == "NotEnqueuedError"


def test_a_refused_call_enqueues_nothing_and_has_no_span(recorded: Recorded) -> None:
    with pytest.raises(InvalidOperationError):
        producer_of(Queue()).track("", "seen")
    assert recorded.spans == []


@pytest.mark.parametrize("is_sampled", [False, None])
def test_a_request_that_is_not_recorded_adds_nothing_to_its_jobs(
    recorded: Recorded, is_sampled: bool | None
) -> None:
    """Either its trace is not sampled, or tracing is off."""
    queue = Queue()
    if is_sampled is None:
        with recorded.tracer.start_as_current_span("request"):
            producer_of(queue, tracing=False).track("1", "seen")
        assert len(recorded.spans) == 1
    else:
        parent = trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=True))
        with trace.use_span(parent):
            producer_of(queue).track("1", "seen")
        assert recorded.spans == []

    assert b"trace" not in queue.entries[0].data


def test_without_an_sdk_the_trace_of_a_proxy_travels_on() -> None:
    """A service that only passes traces on: the API is there, and nothing records."""
    queue = Queue()
    sampled = trace.TraceFlags(trace.TraceFlags.SAMPLED)
    context = trace.SpanContext(1, 2, is_remote=True, trace_flags=sampled)
    with trace.use_span(trace.NonRecordingSpan(context)):
        producer_of(queue).track("1", "seen")
    producer_of(queue).track("1", "seen")

    assert [job.trace for job in queue.jobs] == [f"00-{1:032x}-{2:016x}-01", None]


@pytest.mark.usefixtures("broken_processor")
def test_a_processor_that_raises_fails_no_call() -> None:
    queue = Queue()
    job = producer_of(queue).track("42", "seen")
    assert [each.id for each in queue.jobs] == [job]
