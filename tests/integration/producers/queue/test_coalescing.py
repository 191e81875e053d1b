"""Several jobs in one stream entry."""

from collections.abc import Iterable

import redis
from hypothesis import given
from hypothesis import strategies as st

from trackrelay import Producer, operations
from trackrelay.operations.keys import shard_of
from trackrelay.operations.operation import Operation
from trackrelay.queue.coalescing import ENTRY_BYTES, ENTRY_JOBS, PlacedEntry, coalesce
from trackrelay.queue.job import Job, decode_entry, encode_entry
from trackrelay.queue.redis_keys import Lane, stream
from trackrelay.worker.queue.queue_length import jobs_queued, lengths

SHARDS = 4


def placed(*of_shards: tuple[int, ...], size_bytes: int = 10) -> list[PlacedEntry]:
    """Entries of one numbered job each."""
    return [
        PlacedEntry(shards, b'[{"n":%d}%s]' % (number, b" " * size_bytes))
        for number, shards in enumerate(of_shards)
    ]


def in_shard(entries: Iterable[PlacedEntry], shard: int) -> list[bytes]:
    """The jobs of a shard, in order."""
    return [
        part
        for entry in entries
        if shard in entry.shards
        for part in entry.data[1:-1].replace(b" ", b"").split(b",")
    ]


@given(st.lists(st.sampled_from([(0,), (1,), (2,), (0, 1), (2, 0)]), max_size=200))
def test_each_shard_has_its_jobs_in_their_order(of_shards: list[tuple[int, ...]]) -> None:
    before = placed(*of_shards)
    after = list(coalesce(before))
    assert all(in_shard(after, shard) == in_shard(before, shard) for shard in range(3))
    assert sum(entry.jobs for entry in after) == len(before)
    assert all(entry.jobs == 1 for entry in after if len(entry.shards) > 1)
    assert all(entry.jobs <= ENTRY_JOBS for entry in after)


def test_as_many_share_an_entry_as_may() -> None:
    assert [entry.jobs for entry in coalesce(placed(*[(0,)] * 60))] == [ENTRY_JOBS, ENTRY_JOBS, 10]
    large = placed(*[(0,)] * 5, size_bytes=ENTRY_BYTES // 2)
    assert [entry.jobs for entry in coalesce(large)] == [2, 2, 1]
    assert [entry.jobs for entry in coalesce(placed((0,), (1,), (0,)))] == [2, 1]


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


def test_a_stream_that_somebody_emptied_holds_nothing(
    queue: redis.Redis, producer: Producer
) -> None:
    name = stream(shard_of("id:42", SHARDS), "bulk")
    producer.enqueue_many(seen(60))
    queue.xtrim(name, maxlen=0)
    assert jobs_queued(queue, SHARDS) == 0
    producer.enqueue_many(seen(30))
    assert jobs_queued(queue, SHARDS) == 30
