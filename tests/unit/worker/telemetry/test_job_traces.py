"""The trace of a job in log lines and links. Any program may have written it."""

import pytest
from opentelemetry import trace

from tests.support.fixtures.tracing_fixtures import Recorded
from trackrelay.worker.telemetry.job_traces import (
    add_current_trace,
    recorded_contexts,
    trace_fields,
)

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
RECORDED = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "canary",
        f"00-{TRACE}-{SPAN}-00",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE}-{SPAN}-0١",
        "0" * 10_000,
    ],
)
def test_a_text_that_is_no_trace_of_a_recorded_call_is_ignored(text: str | None) -> None:
    assert trace_fields(text) == {}
    assert recorded_contexts(trace, [text]) == []


def test_a_trace_is_a_field_of_the_log_line_and_a_link() -> None:
    assert trace_fields(RECORDED) == {"trace_id": TRACE}
    (context,) = recorded_contexts(trace, [RECORDED, None, RECORDED])
    assert (context.trace_id, context.span_id) == (int(TRACE, 16), int(SPAN, 16))
    assert context.is_remote
    assert context.trace_flags.sampled


def test_a_log_line_names_the_current_span_unless_it_names_the_trace_of_a_job(
    recorded: Recorded,
) -> None:
    with recorded.tracer.start_as_current_span("work") as span:
        line = add_current_trace(None, "info", {"event": "request"})
        of_job = add_current_trace(None, "info", {"event": "dead_letter", "trace_id": TRACE})
    context = span.get_span_context()
    assert line["trace_id"] == f"{context.trace_id:032x}"
    assert line["span_id"] == f"{context.span_id:016x}"
    assert of_job == {"event": "dead_letter", "trace_id": TRACE}
    assert add_current_trace(None, "info", {"event": "request"}) == {"event": "request"}
