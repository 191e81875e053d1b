"""Where the clients' operations go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ..default import default_producer
from ..errors import NotEnqueued
from ..operation import Operation
from ..producer import chunks


class Takes(Protocol):
    """What takes operations: a Producer, an Outbox, a framework's extension."""

    def enqueue_all(self, batch: Sequence[Operation], /) -> list[str]:
        """Take some operations; returns their jobs' ids."""


_target: Callable[[], Takes] = default_producer


def enqueue_through(target: Callable[[], Takes] | None) -> None:
    """Say what takes the operations of every client from now on.

    Args:
        target: asked at each call, e.g. ``lambda: Outbox(db.session)``; None: the producer that ``producers.track`` uses.
    """
    global _target
    _target = target or default_producer


def take(operations: Sequence[Operation]) -> tuple[str, ...]:
    """Enqueue ``operations``; returns their jobs' ids."""
    target = _target()
    ids: list[str] = []
    for chunk in chunks(iter(operations)):
        try:
            ids += target.enqueue_all(chunk)
        except NotEnqueued as error:
            error.operations, error.enqueued_before = tuple(operations[len(ids) :]), len(ids)
            raise
    return tuple(ids)
