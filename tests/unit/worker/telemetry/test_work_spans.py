"""Spans of workers: whose trace they belong to, what they link to, and how a process ends."""

import threading

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SpanExporter,
    SpanExportResult,
)

from tests.support.fixtures.tracing_fixtures import Recorded
from trackrelay.worker.telemetry import work_spans
from trackrelay.worker.telemetry.work_spans import Work, flush_spans, work_span

WORK = Work("deliver batch", "CLIENT", 2, "01", {"trackrelay.shard": 3})


def traceparent(number: int, flags: str = "01") -> str:
    return f"00-{number:032x}-{number:016x}-{flags}"


def test_the_span_belongs_to_the_first_recorded_call_and_links_to_all(recorded: Recorded) -> None:
    traces = [traceparent(9, "00"), traceparent(1), traceparent(2), traceparent(1), None]
    with recorded.tracer.start_as_current_span("task") as task, work_span(WORK, traces) as span:
        span.note("jobs", delivered=2)
        span.answered(200)

    batch = recorded.named("deliver")[0]
    assert batch.context.trace_id == 1
    assert batch.parent.span_id == 1
    assert [link.context.trace_id for link in batch.links] == [
        1,
        2,
        task.get_span_context().trace_id,
    ]
    assert batch.attributes["messaging.batch.message_count"] == 2
    assert batch.attributes["trackrelay.jobs.delivered"] == 2
    assert batch.attributes["http.response.status_code"] == 200


def test_without_a_recorded_call_the_span_belongs_to_what_the_worker_does(
    recorded: Recorded,
) -> None:
    with recorded.tracer.start_as_current_span("task") as task, work_span(WORK, [None]):
        pass
    with work_span(WORK, [None], needs_trace=True):
        pass

    batch, _ = recorded.spans
    assert batch.parent == task.get_span_context()
    assert not batch.links


def test_more_links_than_the_sdk_keeps_are_in_further_spans(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    with work_span(WORK, [traceparent(number) for number in range(1, 301)]):
        pass

    batch = recorded.named("deliver batch")[-1]
    spans = [batch, *recorded.named("deliver batch: further jobs")]
    assert [len(span.links) for span in spans] == [128, 128, 44]
    assert {link.context.trace_id for span in spans for link in span.links} == set(range(1, 301))
    assert {span.parent.span_id for span in spans[1:]} == {batch.context.span_id}
    assert not any(span.dropped_links for span in spans)


@pytest.mark.parametrize(("text", "limit"), [("1000", 1000), ("0", 1), ("", 128), ("many", 128)])
def test_the_limit_of_links_is_the_sdk_s_own(
    monkeypatch: pytest.MonkeyPatch, text: str, limit: int
) -> None:
    monkeypatch.setenv("OTEL_SPAN_LINK_COUNT_LIMIT", text)
    assert work_spans.max_links() == limit


def test_an_error_marks_the_span_and_goes_on(recorded: Recorded) -> None:
    with pytest.raises(ValueError, match="canary"), work_span(WORK, []):
        raise ValueError("canary")

    (span,) = recorded.spans
    assert span.attributes["error.type"] == "ValueError"
    assert "canary" not in span.to_json()


def test_a_collector_that_hangs_does_not_hold_up_the_end_of_a_process(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    released, asked = threading.Event(), threading.Event()

    class Hanging(SpanExporter):
        def export(self, spans: object) -> SpanExportResult:
            asked.set()
            released.wait(600)
            return SpanExportResult.FAILURE

    monkeypatch.setattr(work_spans, "FLUSH_S", 0.05)
    trace.get_tracer_provider().add_span_processor(
        BatchSpanProcessor(Hanging(), schedule_delay_millis=600_000)
    )
    with work_span(WORK, []):
        pass
    flush_spans()
    assert asked.is_set() or asked.wait(60)
    assert not released.is_set()
    released.set()


def test_without_an_sdk_there_is_nothing_to_flush() -> None:
    flush_spans()
    with work_span(WORK, [traceparent(1)]) as span:
        span.note("jobs", delivered=1)
        span.answered(200)
        span.failed("500")


@pytest.mark.usefixtures("broken_processor")
def test_a_processor_that_raises_stops_no_work() -> None:
    done = []
    with work_span(WORK, [traceparent(1)]) as span:
        span.note("jobs", delivered=2)
        done.append(1)
    assert done == [1]
