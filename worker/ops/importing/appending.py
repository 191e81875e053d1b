"""Getting operations into the bulk lane, leaving room for what applications enqueue meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import redis
from redis.exceptions import RedisError

from producers.connections import connection_options
from producers.default import overrides
from producers.errors import QueueFull, QueueUnavailable
from producers.operation import Operation
from producers.producer import Producer
from producers.settings import load

#: An import takes at most this part of the queue's length and of Redis' memory: the rest is the applications'.
BULK_PART = 0.5
#: How long to wait between two looks at a queue that is full or away.
WAIT_S = 0.5
#: A queue that is away for longer ends the import: a second run goes on where it stopped.
PATIENCE_S = 60.0
#: How often to look at Redis' memory.
LOOK_S = 1.0
ENQUEUE_TIMEOUT_S = 10.0


class Appender:
    """Appends chunks, waiting for room and through short outages.

    Args:
        waiting: called with why, whenever it has to wait, and with nothing when it goes on.
    """

    def __init__(self, waiting: Callable[[str], None]) -> None:
        configured = load(overrides())
        told: dict[str, Any] = {**overrides(), "on_unavailable": "raise", "enqueue_timeout": ENQUEUE_TIMEOUT_S}
        told["max_queue_length"] = max(1, int(configured.max_queue_length * BULK_PART))
        self.producer = Producer(**told)
        self._waiting = waiting
        self._redis: redis.Redis | None = None
        if configured.backend == "redis" and configured.redis_url is not None:
            self._redis = redis.Redis.from_url(configured.redis_url, **connection_options(ENQUEUE_TIMEOUT_S))
        self._looked = 0.0

    def append(self, chunk: Sequence[Operation]) -> None:
        """Append ``chunk``, all of it or nothing.

        Raises:
            QueueUnavailable: Redis has been away for too long.
        """
        give_up = time.monotonic() + PATIENCE_S
        while True:
            try:
                self._wait_for_memory()
                self.producer.enqueue_all(chunk, lane="bulk")
                return self._waiting("")
            except QueueFull:
                self._waiting("the queue is full enough; waiting for the workers")
                give_up = time.monotonic() + PATIENCE_S
            except QueueUnavailable:
                if time.monotonic() > give_up:
                    raise
                self._waiting("the queue cannot be reached; waiting for it")
            time.sleep(WAIT_S)

    def close(self) -> None:
        """Close the connections."""
        self.producer.close()
        if self._redis is not None:
            self._redis.close()

    def _wait_for_memory(self) -> None:
        while self._redis is not None and time.monotonic() - self._looked > LOOK_S:
            if _is_memory_free(self._redis):
                self._looked = time.monotonic()
                return
            self._waiting("Redis is full enough; waiting for the workers")
            time.sleep(WAIT_S)


def _is_memory_free(client: redis.Redis) -> bool:
    try:
        memory = client.info("memory")
    except RedisError:
        return True  # enqueueing meets the same trouble, and knows what to do
    limit = int(memory.get("maxmemory", 0))
    return not limit or int(memory["used_memory"]) < limit * BULK_PART
