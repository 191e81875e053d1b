"""A full queue, and Redis' memory: what calls leave to the workers, and how they say so."""

import threading
from collections.abc import Callable, Iterator

import pytest
import redis

from tests.support.many_operations import enqueueing_many
from tests.support.waiting import patient, wait_until
from trackrelay import Producer, QueueFullError, operations
from trackrelay.operations.keys import shard_of
from trackrelay.queue.append import MEMORY_MARK
from trackrelay.worker.delivery.lua_scripts import ACKNOWLEDGE
from trackrelay.worker.devstack.servers import ValkeyProcess
from trackrelay.worker.queue.queue_config import set_up
from trackrelay.worker.queue.queue_length import jobs_queued

MAXMEMORY = 48 * 2**20

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
        with pytest.raises(QueueFullError, match="the part above 50% is kept for live calls"):
            producer.enqueue(operations.track("42", "seen"), lane="bulk")
        queue.config_set("maxmemory", 0)
        assert done.wait(patient(10))


def test_a_full_queue_names_all_that_it_did_not_take(queue: redis.Redis, redis_url: str) -> None:
    producer = Producer(redis_url=redis_url, max_queue_length=2)
    with pytest.raises(QueueFullError, match=r"would hold 3 jobs.*\(3 jobs\)$") as raised:
        producer.add_to_segment(7, ["1", "2", "3"])
    assert len(raised.value.operations) == 3


@pytest.fixture
def small(own_redis: ValkeyProcess) -> Iterator[redis.Redis]:
    """A Redis of little memory that had room a moment ago.

    It has no append-only file, whose buffer would count as well.
    """
    client = redis.Redis.from_url(own_redis.url)
    set_up(client, 4)
    client.config_set("appendonly", "no")
    client.config_set("maxmemory", MAXMEMORY)
    client.set("trackrelay:room", 0, ex=3600)
    yield client
    client.close()


def kept_part(client: redis.Redis) -> float:
    """Return the share of maxmemory that the streams take, without the buffers of connections."""
    names = list(client.scan_iter("trackrelay:*", _type="stream"))
    return sum(int(client.memory_usage(name, samples=0) or 0) for name in names) / MAXMEMORY


def test_large_events_of_many_threads_do_not_pass_the_mark_between_two_reads(
    small: redis.Redis, own_redis: ValkeyProcess
) -> None:
    producer = Producer(redis_url=own_redis.url, enqueue_timeout=60)

    refusals: list[str] = []

    def fill(thread: int) -> None:
        try:
            for number in range(10_000):
                producer.track(f"{thread}-{number}", "seen", {"pad": "x" * 90_000})
        except QueueFullError as error:
            refusals.append(str(error))

    threads = [threading.Thread(target=fill, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refusals) == 16
    assert all("for workers to drain" in refusal for refusal in refusals)
    assert 0.5 < kept_part(small) < MEMORY_MARK
    producer.close()


def test_a_large_pipeline_counts_its_own_bytes(
    small: redis.Redis, own_redis: ValkeyProcess
) -> None:
    producer = Producer(redis_url=own_redis.url, enqueue_timeout=60)

    def fill() -> None:
        for _ in range(10):
            with producer.pipeline() as pipeline:
                for number in range(8_000):
                    pipeline.track(str(number), "seen", {"pad": "x" * 900})

    with pytest.raises(QueueFullError):
        fill()
    assert kept_part(small) < MEMORY_MARK
    producer.track("42", "there is room for a small one")
    producer.close()
