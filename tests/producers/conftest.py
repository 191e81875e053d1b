"""Queues for the tests of producers."""

from collections.abc import Callable, Iterator

import pytest
import redis

from trackrelay import Producer
from trackrelay.worker.queue.queue_config import set_up


@pytest.fixture
def queue(redis_url: str) -> Iterator[redis.Redis]:
    """A Redis with a queue of four shards."""
    client = redis.Redis.from_url(redis_url)
    set_up(client, 4)
    yield client
    client.close()


@pytest.fixture
def producer(queue: redis.Redis, redis_url: str) -> Iterator[Producer]:
    """A producer of that queue."""
    producer = Producer(redis_url=redis_url, enqueue_timeout=30)
    yield producer
    producer.close()


@pytest.fixture
def entries(queue: redis.Redis) -> Callable[[], dict[str, list[bytes]]]:
    """What lies in each stream."""

    def read() -> dict[str, list[bytes]]:
        names = sorted(name.decode() for name in queue.scan_iter("trackrelay:*", _type="stream"))
        return {name: [fields[b"j"] for _, fields in queue.xrange(name)] for name in names}

    return read
