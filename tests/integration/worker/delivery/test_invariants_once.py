"""Once, in effect: the same call twice, however late, is delivered once."""

import multiprocessing
from typing import Any

from tests.support.harness import Harness
from tests.support.in_process_worker import (
    BUSY,
    FakeApi,
    Worker,
    make_due,
    probe_now,
    refusal,
    shard_of_person,
)
from trackrelay import Person, Producer, operations

SHARD = shard_of_person("42")


def say_it(redis_url: str, answers: Any) -> None:
    producer = Producer(redis_url=redis_url)
    answers.put(
        [producer.track("42", "order", {"total": 1}, idempotency_key="A-1001") for _ in range(3)]
    )


def test_the_same_idempotency_key_from_several_processes_is_one_job(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    url = harness.settings["TRACKRELAY_REDIS_URL"]
    processes = [context.Process(target=say_it, args=(url, answers)) for _ in range(3)]
    for process in processes:
        process.start()
    ids = {job for _ in processes for job in answers.get(timeout=20)}
    for process in processes:
        process.join()
    assert len(ids) == 1
    assert harness.stream_length() == 9
    worker.work()
    assert api.taken == ["order"]
    assert harness.ledger_ids() == ids
    assert harness.stream_length() == 0


def test_the_first_of_repeats_in_one_read_wins_and_keeps_its_place(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    with harness.producer.pipeline() as pipeline:
        job = pipeline.track("42", "first", {"n": 1}, idempotency_key="k")
        pipeline.track("42", "between", {})
        pipeline.track("42", "first", {"n": 2}, idempotency_key="k")
    worker.run_shard(SHARD)
    assert api.taken == ["first", "between"]
    assert api.sent[0].documents[0]["attributes"] == {"n": 1}
    assert job in harness.ledger_ids()


def test_a_repeat_is_dropped_wherever_the_job_is_by_now(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    operation = operations.track("42", "order", {}, idempotency_key="k")
    api.answers = lambda request, documents: BUSY
    job = harness.producer.enqueue(operation)
    worker.run_shard(SHARD)
    harness.producer.enqueue(operation)  # while it waits in the backlog
    worker.run_shard(SHARD)
    assert len(harness.rows("SELECT * FROM trackrelay_backlog")) == 1
    assert harness.stream_length() == 0
    api.answers = lambda request, documents: refusal("no such thing")
    probe_now(harness.redis)
    make_due(harness.engine)
    worker.run_shard(SHARD)
    assert harness.dead_ids() == {job}
    requests = len(api.sent)
    harness.producer.enqueue(operation)  # while it is a dead letter that nobody has looked at
    worker.run_shard(SHARD)
    assert len(api.sent) == requests
    assert harness.stream_length() == harness.backlog_size() == 0


def test_a_repeat_in_the_other_lane_is_dropped_as_well(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    operation = operations.submit_form("f", Person(id="42"), {"a": "b"}, idempotency_key="k")
    harness.producer.enqueue_many([operation, operation])
    harness.producer.enqueue(operation)
    worker.work()
    assert len(api.sent) == 1


def test_the_identify_that_goes_with_an_event_is_dropped_with_it(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    for _ in range(2):
        harness.producer.track(
            "42", "order", {}, person_attributes={"label": "goes with it"}, idempotency_key="k"
        )
        worker.run_shard(SHARD)
    assert api.taken == ["goes with it", "order"]
