"""Fixtures about refused calls."""

from collections.abc import Iterator

import pytest
import redis

import trackrelay
from trackrelay import Producer


@pytest.fixture
def keeping(queue: redis.Redis, redis_url: str) -> Iterator[Producer]:
    """A producer that keeps what is refused; so do the module-level functions."""
    trackrelay.configure(redis_url=redis_url, on_invalid="dead_letter", source="shop")
    yield trackrelay.default.default_producer()
    trackrelay.default.default_producer().close()
