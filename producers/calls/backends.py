"""Where operations go: Redis, or nowhere at all in tests and on a developer's machine. Every check runs before any of them."""

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
    """Takes checked and encoded entries."""

    def append(self, entries: Sequence[Entry], lane: Lane) -> None:
        """Take all ``entries``, or raise and take none."""

    def close(self) -> None:
        """Give back what is held open."""


class ConsoleBackend:
    """Prints a line of JSON for every operation to stderr."""

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
    """Keeps what was enqueued in a list, for tests."""

    def __init__(self) -> None:
        #: What was enqueued, in order.
        self.operations: list[Operation] = []
        #: What was refused and would be kept as dead letters, in order.
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
    """Drops everything."""

    def append(self, entries: Sequence[Entry], lane: Lane) -> None:
        pass

    def close(self) -> None:
        pass


#: Makes the backend for ``memory``; a test that captures has one of its own, whoever makes a producer meanwhile.
make_memory: Callable[[], MemoryBackend] = MemoryBackend


def backend_for(settings: Settings) -> Backend:
    """The backend that ``settings.backend`` names."""
    match settings.backend:
        case "console":
            return ConsoleBackend()
        case "memory":
            return make_memory()
        case "off":
            return OffBackend()
    from trackrelay.queue.queue_client import RedisQueue

    return RedisQueue(settings)
