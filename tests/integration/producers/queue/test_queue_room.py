"""A queue or a Redis that is full: calls say so, and imports wait."""

from collections.abc import Callable

import pytest
import redis

from tests.support.many_operations import enqueueing_many
from tests.support.waiting import patient, wait_until
from trackrelay import Producer, QueueFullError, operations
from trackrelay.operations.keys import shard_of
from trackrelay.worker.delivery.lua_scripts import ACKNOWLEDGE
from trackrelay.worker.queue.queue_length import jobs_queued

Entries = Callable[[], dict[str, list[bytes]]]


def test_a_full_queue_says_so_with_both_numbers_and_takes_nothing(
    queue: redis.Redis, redis_url: str, entries: Entries
) -> None:
    producer = Producer(redis_url=redis_url, max_queue_length=3)
    for _ in range(3):
        producer.track("42", "seen", {})
    with pytest.raises(
        QueueFullError, match=r"would hold 4 jobs; TRACKRELAY_MAX_QUEUE_LENGTH is 3"
    ) as error:
        producer.track("42", "seen", {})
    assert error.value.job_id
    assert sum(map(len, entries().values())) == 3


def test_redis_is_never_filled_to_the_brim(queue: redis.Redis, producer: Producer) -> None:
    used = int(queue.info("memory")["used_memory"])
    # The mark is read ten times a second: nobody fills a quarter of this in between.
    limit = used + 160_000_000
    queue.config_set("maxmemory", limit)

    def fill() -> None:
        for _ in range(1_000):
            with producer.pipeline() as pipeline:
                for person in range(50):
                    pipeline.track(str(person), "seen", {"pad": "x" * 5_000})

    with pytest.raises(QueueFullError, match="for workers to drain"):
        fill()
    # The append-only file's buffer counts as well: on a busy disk it is a few megabytes.
    assert int(queue.info("memory")["used_memory"]) < limit


def test_enqueue_many_waits_while_the_queue_is_half_full_and_live_calls_go_on(
    queue: redis.Redis, redis_url: str
) -> None:
    producer = Producer(redis_url=redis_url, max_queue_length=1_000)
    stream = f"trackrelay:{shard_of('id:42', 4)}:bulk"
    with enqueueing_many(producer, 1_500) as done:
        wait_until(lambda: jobs_queued(queue, 4) == 500, 10, "half a queue")
        assert not done.wait(0.3)
        for _ in range(500):
            producer.track("42", "live")
        with pytest.raises(QueueFullError, match="would hold 1,001 jobs"):
            producer.track("42", "live")
        assert jobs_queued(queue, 4) == 1_000

        queue.delete(*queue.scan_iter("trackrelay:*:live"))
        (first, _), *_ = queue.xrange(stream)
        queue.eval(ACKNOWLEDGE, 2, stream, f"{stream}:more", "nobody", first, 25)
        assert not done.wait(0.1)
        wait_until(lambda: jobs_queued(queue, 4) == 975, 10, "a chunk more")
        queue.xtrim(stream, maxlen=0)
        assert done.wait(patient(10))
    assert jobs_queued(queue, 4) == 500


def test_enqueue_many_never_waits_for_room_that_cannot_come(
    queue: redis.Redis, redis_url: str
) -> None:
    with enqueueing_many(Producer(redis_url=redis_url, max_queue_length=10), 100) as done:
        assert done.wait(patient(10))


def test_enqueue_many_waits_while_redis_uses_half_of_its_memory_and_live_calls_go_on(
    queue: redis.Redis, producer: Producer
) -> None:
    queue.config_set("maxmemory", int(queue.info("memory")["used_memory"] * 1.7))
    with enqueueing_many(producer, 10) as done:
        producer.track("42", "live")
        assert not done.wait(0.7)
        with pytest.raises(QueueFullError, match="what exceeds 50% is kept for live calls"):
            producer.enqueue(operations.track("42", "seen"), lane="bulk")
        queue.config_set("maxmemory", 0)
        assert done.wait(patient(10))


def test_a_full_queue_names_all_that_it_did_not_take(queue: redis.Redis, redis_url: str) -> None:
    producer = Producer(redis_url=redis_url, max_queue_length=2)
    with pytest.raises(QueueFullError, match=r"would hold 3 jobs.*\(3 jobs\)$") as raised:
        producer.add_to_segment(7, ["1", "2", "3"])
    assert len(raised.value.operations) == 3
