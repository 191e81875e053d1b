"""Backends: Redis, or a substitute for tests and development.

The checks run before any backend, so all backends refuse the same calls.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from trackrelay.configuration.producer_settings import Settings
from trackrelay.operations.operation import Operation
from trackrelay.operations.refused_operations import RefusedOperation
from trackrelay.queue.append import Entry
from trackrelay.queue.redis_keys import Lane


class Backend(Protocol):
    """Stores checked and encoded entries."""

    def append(self, entries: Sequence[Entry], lane: Lane) -> None:
        """Store all ``entries``, or raise and store none."""

    def close(self) -> None:
        """Close the connections."""


class ConsoleBackend:
    """Prints each operation to stderr as a line of JSON."""

    def append(self, entries: Sequence[Entry], lane: Lane) -> None:
        for entry in entries:
            for job in msgspec.json.decode(entry.data):
                what = (
                    "trackrelay: refused:"
                    if isinstance(entry.operation, RefusedOperation)
                    else "trackrelay:"
                )
                print(what, msgspec.json.encode(job["body"]).decode(), file=sys.stderr)

    def close(self) -> None:
        pass


class MemoryBackend:
    """Keeps operations in a list, for tests."""

    def __init__(self) -> None:
        #: The enqueued operations, in order.
        self.operations: list[Operation] = []
        #: The refused operations that would become dead letters, in order.
        self.refused: list[RefusedOperation] = []

    def append(self, entries: Sequence[Entry], lane: Lane) -> None:
        for entry in entries:
            if isinstance(entry.operation, RefusedOperation):
                self.refused.append(entry.operation)
            else:
                self.operations.append(entry.operation)

    def close(self) -> None:
        pass


class OffBackend:
    """Drops every operation."""

    def append(self, entries: Sequence[Entry], lane: Lane) -> None:
        pass

    def close(self) -> None:
        pass


#: Makes the backend ``memory``. A capturing test sets another one, which all new producers use.
make_memory: Callable[[], MemoryBackend] = MemoryBackend


def backend_for(settings: Settings) -> Backend:
    """Return the backend that ``settings.backend`` names."""
    match settings.backend:
        case "console":
            return ConsoleBackend()
        case "memory":
            return make_memory()
        case "off":
            return OffBackend()
    from trackrelay.queue.queue_client import RedisQueue

    return RedisQueue(settings)
