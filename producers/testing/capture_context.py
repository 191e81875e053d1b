"""The context in which operations are captured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from trackrelay.calls import backends
from trackrelay.calls.backends import MemoryBackend
from trackrelay.calls.producer import Producer
from trackrelay.default import overridden
from trackrelay.operations.operation import Operation
from trackrelay.operations.refused_operations import RefusedOperation
from trackrelay.queue.append import Entry
from trackrelay.queue.redis_keys import Lane

from .captured import Captured


class DeliveryRefusedError(AssertionError):
    """The sandbox refused an operation, as Customer.io would."""


class Delivers(Protocol):
    """Takes operations in order, like ``trackrelay.worker.testing.DeliveringSandbox``."""

    def deliver(self, operation: Operation) -> None:
        """Take an operation, after its companion."""

    def raise_if_refused(self) -> None:
        """Raise DeliveryRefusedError if any was refused."""


@contextmanager
def capture(*producers: Producer, deliver_to: Delivers | None = None) -> Iterator[Captured]:
    """Keep what is enqueued inside the block, and send nothing to Redis. All checks run.

    This covers ``trackrelay.track`` and the other functions, outboxes, and the extensions of
    frameworks.

    Args:
        producers: instances of :class:`~trackrelay.Producer` to capture as well.
        deliver_to: a sandbox that gets every operation at once, see
            :class:`trackrelay.worker.testing.DeliveringSandbox`.

    Raises:
        DeliveryRefusedError: at the end, if the sandbox refused something.
    """
    backend = CapturingBackend(deliver_to)
    with _memory_backend(backend), overridden(backend="memory"), _captured(backend, producers):
        yield Captured(backend.operations)
    if deliver_to is not None:
        deliver_to.raise_if_refused()


@contextmanager
def _memory_backend(backend: MemoryBackend) -> Iterator[None]:
    # An application that is created inside the block may call configure(), which makes another
    # producer.
    before, backends.make_memory = backends.make_memory, lambda: backend
    try:
        yield
    finally:
        backends.make_memory = before


@contextmanager
def _captured(backend: MemoryBackend, producers: Sequence[Producer]) -> Iterator[None]:
    before = [(each, each.backend, each.fallback) for each in producers]
    for each in producers:
        each.backend, each.fallback = backend, None
    try:
        yield
    finally:
        for each, its_backend, its_fallback in before:
            each.backend, each.fallback = its_backend, its_fallback


class CapturingBackend(MemoryBackend):
    """Keep operations, and deliver them to a sandbox."""

    def __init__(self, deliver_to: Delivers | None) -> None:
        super().__init__()
        self._deliver_to = deliver_to

    def append(self, entries: Sequence[Entry], lane: Lane) -> None:
        super().append(entries, lane)
        if self._deliver_to is not None:
            for entry in entries:
                if not isinstance(entry.operation, RefusedOperation):
                    self._deliver_to.deliver(entry.operation)
