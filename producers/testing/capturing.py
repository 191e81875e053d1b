"""Capturing what is enqueued."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .. import backends
from ..append import Entry
from ..backends import MemoryBackend
from ..default import overridden
from ..producer import Producer
from ..redis_keys import Lane
from .captured import Captured
from .delivering import Delivery

if TYPE_CHECKING:
    from sandbox.in_process import InProcessSandbox


@contextmanager
def capture(*producers: Producer, deliver_to: InProcessSandbox | None = None) -> Iterator[Captured]:
    """Inside, nothing goes to Redis, and what is enqueued is kept: by ``producers.track`` and the others, by an outbox,
    by a framework's extension. Every check runs.

    Args:
        producers: explicit instances of :class:`~producers.Producer` to capture as well.
        deliver_to: a sandbox, see :func:`in_process_sandbox`, which gets every operation at once.

    Raises:
        DeliveryRefused: at the end, if the sandbox refused something.
    """
    delivery = Delivery(deliver_to) if deliver_to is not None else None
    backend = CapturingBackend(delivery)
    with _every_memory_is(backend), overridden(backend="memory"), _into(backend, producers):
        yield Captured(backend.operations)
    if delivery is not None:
        delivery.raise_if_refused()


@contextmanager
def _every_memory_is(backend: MemoryBackend) -> Iterator[None]:
    # An application made inside may configure anew, and so make another producer.
    before, backends.make_memory = backends.make_memory, lambda: backend
    try:
        yield
    finally:
        backends.make_memory = before


@contextmanager
def _into(backend: MemoryBackend, producers: Sequence[Producer]) -> Iterator[None]:
    before = [(each, each.backend, each.fallback) for each in producers]
    for each in producers:
        each.backend, each.fallback = backend, None
    try:
        yield
    finally:
        for each, its_backend, its_fallback in before:
            each.backend, each.fallback = its_backend, its_fallback


class CapturingBackend(MemoryBackend):
    """Keeps operations, and delivers them."""

    def __init__(self, delivery: Delivery | None) -> None:
        super().__init__()
        self._delivery = delivery

    def append(self, entries: Sequence[Entry], lane: Lane) -> None:
        super().append(entries, lane)
        if self._delivery is not None:
            for entry in entries:
                self._delivery.deliver(entry.operation)
