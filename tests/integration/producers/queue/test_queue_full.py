"""Redis' memory: what calls leave to the workers, however much they bring at once."""

import threading
from collections.abc import Iterator

import pytest
import redis

from trackrelay import Producer, QueueFullError
from trackrelay.queue.append import MEMORY_MARK
from trackrelay.worker.devstack.servers import ValkeyProcess
from trackrelay.worker.queue.queue_config import set_up

MAXMEMORY = 48 * 2**20


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
