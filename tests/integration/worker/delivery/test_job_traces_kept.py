"""The trace of a call goes on through retries, dead letters and replays."""

from structlog.testing import capture_logs

from tests.support.fixtures.tracing_fixtures import Recorded
from tests.support.harness import Harness
from tests.support.in_process_worker import (
    FakeApi,
    Worker,
    make_due,
    people_of,
    probe_now,
    refusal,
)
from trackrelay.worker.dead_letters.replay_batches import Replayer, ReplayPolicy
from trackrelay.worker.track_api.responses import Answer


def test_an_outage_a_refusal_and_a_replay_are_in_the_trace_of_the_call(
    harness: Harness, worker: Worker, api: FakeApi, recorded: Recorded
) -> None:
    (person,) = people_of(0, 1)
    job = harness.producer.track(person, "seen")
    answers = [Answer(503, b""), refusal("canary-refusal"), None]
    api.answers = lambda request, documents: answers[0]

    with capture_logs() as lines:
        worker.run_shard(0)
        answers.pop(0)
        probe_now(worker.redis)
        make_due(harness.engine)
        worker.work_off(lambda: harness.dead(job))
        answers.pop(0)
        assert list(Replayer.of(worker.resources, who="ada").replay([job], ReplayPolicy()))
        make_due(harness.engine)
        worker.work_off(lambda: harness.delivered(job))

    (call,) = recorded.named("enqueue")
    spans = recorded.named("deliver")
    found = [span.attributes.get("error.type") for span in spans]
    assert list(dict.fromkeys(found)) == ["503", "400", None]
    assert {span.parent.span_id for span in spans} == {call.context.span_id}
    assert all(span.links[0].context.span_id == call.context.span_id for span in spans)
    assert "canary" not in "".join(span.to_json() for span in spans)
    trace_id = f"{call.context.trace_id:032x}"
    named = {line["event"]: line.get("trace_id") for line in lines}
    assert (named["job_deferred"], named["dead_letter"]) == (trace_id, trace_id)


def test_tracing_that_is_off_records_nothing(
    harness: Harness, worker: Worker, recorded: Recorded
) -> None:
    off = Worker({**harness.settings, "TRACKRELAY_TRACING": "0"}, worker.api)
    job = harness.producer.track(people_of(0, 1)[0], "seen")
    off.work_off(lambda: harness.delivered(job))
    off.close()

    assert [span.name for span in recorded.spans] == ["enqueue person.event"]
