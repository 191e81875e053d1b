"""Where the clients' operations go."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ..default import default_producer
from ..errors import InvalidOperation, NotEnqueued
from ..operation import Operation
from ..producer import chunks

log = logging.getLogger("trackrelay")


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


def drop(document: Any, error: InvalidOperation, index: int) -> None:
    """Account for an operation of a batch that was refused: the answer says so, and few callers read it.

    Every refusal inside a batch comes this way.
    """
    log.warning("trackrelay: operation %d of a batch was refused: %s", index, error)


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
