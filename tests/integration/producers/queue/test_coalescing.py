"""Several jobs in one stream entry."""

import redis

from trackrelay import Producer, operations
from trackrelay.operations.keys import shard_of
from trackrelay.operations.operation import Operation
from trackrelay.queue.job import Job, decode_entry, encode_entry
from trackrelay.queue.redis_keys import Lane, stream
from trackrelay.worker.queue.queue_length import jobs_queued, lengths

SHARDS = 4


def seen(count: int) -> list[Operation]:
    """Events of one person, some with a companion."""
    return [
        operations.track("42", "seen", {"n": n}, person_attributes={"n": n} if n % 3 == 0 else None)
        for n in range(count)
    ]


def in_stream(queue: redis.Redis, lane: Lane) -> list[tuple[Job, ...]]:
    """The jobs of each entry of the person's shard."""
    return [
        decode_entry(fields[b"j"])
        for _, fields in queue.xrange(stream(shard_of("id:42", SHARDS), lane))
    ]


def test_what_is_enqueued_by_the_hundred_shares_entries_and_each_job_counts(
    queue: redis.Redis, producer: Producer
) -> None:
    many = seen(60)
    producer.enqueue_many(many)
    entries = in_stream(queue, "bulk")
    assert len(entries) == 3
    assert [job.id for jobs in entries for job in jobs] == [
        job.id for operation in many for job in decode_entry(encode_entry(operation))
    ]
    assert (
        lengths(queue, SHARDS)[shard_of("id:42", SHARDS), "bulk"]
        == jobs_queued(queue, SHARDS)
        == 60
    )


def test_live_jobs_have_entries_to_themselves(queue: redis.Redis, producer: Producer) -> None:
    with producer.pipeline() as pipeline:
        for _ in range(60):
            pipeline.track("42", "seen", {})
    assert [len(jobs) for jobs in in_stream(queue, "live")] == [1] * 60


def test_a_stream_emptied_by_hand_holds_nothing(queue: redis.Redis, producer: Producer) -> None:
    name = stream(shard_of("id:42", SHARDS), "bulk")
    producer.enqueue_many(seen(60))
    queue.xtrim(name, maxlen=0)
    assert jobs_queued(queue, SHARDS) == 0
    producer.enqueue_many(seen(30))
    assert jobs_queued(queue, SHARDS) == 30
