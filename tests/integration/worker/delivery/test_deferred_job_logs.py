"""The log has a line for each failed attempt, and one for all jobs deferred without any."""

from structlog.testing import capture_logs

from tests.support.harness import Harness
from tests.support.in_process_worker import FakeApi, Worker, people_of
from trackrelay.worker.track_api.responses import Answer


def test_jobs_that_are_moved_aside_are_counted_in_one_line(
    harness: Harness, worker: Worker
) -> None:
    worker.breaker.halt("credentials", "the key is refused")
    people = people_of(0, 50)
    jobs = [harness.producer.track(person, "seen") for person in people]

    with capture_logs() as lines:
        worker.run_shard(0)

    assert harness.backlog_size() == len(jobs)
    assert [line for line in lines if line["event"] == "job_deferred"] == []
    (line,) = [line for line in lines if line["event"] == "jobs_deferred"]
    assert (line["shard"], line["jobs"], line["reasons"]) == (0, 50, {"halted": 50})


def test_a_job_whose_attempt_failed_has_its_own_log_line(
    harness: Harness, worker: Worker, api: FakeApi
) -> None:
    (person,) = people_of(0, 1)
    api.answers = lambda request, documents: Answer(503, b"")
    first = harness.producer.track(person, "seen")

    with capture_logs() as lines:
        worker.run_shard(0)

    assert [line["job"] for line in lines if line["event"] == "job_deferred"] == [first]
