"""One request is one trace: from the application through the batch to verification."""

from collections.abc import Callable
from pathlib import Path

from tests.support.harness import Harness
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.traced_stack import TracedStack
from tests.support.waiting import wait_until

VERIFYING = {
    "TRACKRELAY_VERIFY": "all",
    "TRACKRELAY_VERIFY_AFTER": "1s",
    "TRACKRELAY_VERIFY_RATE": "10",
}


def test_a_request_its_calls_the_batch_and_verification_are_one_trace(
    harness: Harness, worker_log: Callable[[str], Path]
) -> None:
    folder = worker_log("worker").parent
    # The worker's pool process sends its spans in ten minutes, or when it ends.
    late = {"OTEL_BSP_SCHEDULE_DELAY": "600000", "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "celery"}
    with (
        OtlpReceiver() as receiver,
        TracedStack(harness.settings | VERIFYING, receiver, folder, late) as stack,
    ):
        job = stack.get("/checkout/canary-person")
        receiver.wait_for(lambda it: len(it.named("enqueue")) == 2, "the calls")
        wait_until(
            lambda: harness.rows("SELECT 1 FROM trackrelay_sent WHERE due_at IS NULL"),
            60,
            lambda: f"verification; its log:\n{stack.log('worker')}",
        )
        assert receiver.named("deliver") == []
        stack.worker.stop()
        receiver.wait_for(lambda it: it.named("verify"), "the pool process to send its spans")

    (request,) = receiver.named("GET")
    identify, track = receiver.named("enqueue")
    (batch,) = receiver.named("deliver")
    verified = receiver.named("verify")
    assert {span.trace_id for span in receiver.spans} == {request.trace_id}
    assert [identify.parent_id, track.parent_id] == [request.span_id] * 2
    assert (request.kind, track.kind, batch.kind) == ("SERVER", "PRODUCER", "CLIENT")
    assert track.attributes["messaging.message.id"] == job
    assert batch.parent_id == identify.span_id
    assert batch.links == (identify.context, track.context)
    assert batch.attributes["trackrelay.jobs.delivered"] == 2
    assert verified[-1].attributes["trackrelay.items.pending"] == 0
    assert {link for span in verified for link in span.links} == {identify.context, track.context}
    assert not any(span.failed for span in receiver.spans)
    assert "canary" not in str([span for span in receiver.spans if span is not request])
    # Its log lines name the trace too.
    (line,) = [each for each in stack.log("worker").splitlines() if '"event": "request"' in each]
    assert f'"trace_id": "{request.trace_id}"' in line
