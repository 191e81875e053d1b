"""A Django project with a queue."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from tests.support import django_project
from trackrelay.queue.job import decode_entry


@pytest.fixture
def project(shop_url: str, lite_url: str, queue: redis.Redis, redis_url: str) -> Iterator[None]:
    """The project without an outbox."""
    with django_project.connected(REDIS_URL=redis_url, SOURCE="shop"):
        yield


@pytest.fixture
def queued(queue: redis.Redis) -> Callable[[], list[Any]]:
    """The jobs in the queue; those of one shard in order."""

    def read() -> list[Any]:
        names = sorted(name.decode() for name in queue.scan_iter("trackrelay:*", _type="stream"))
        return [
            job
            for name in names
            for _, fields in queue.xrange(name)
            for job in decode_entry(fields[b"j"])
        ]

    return read
