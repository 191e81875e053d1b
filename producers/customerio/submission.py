"""Where the clients' operations go."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from trackrelay.calls.invalid_calls import InvalidCallPolicy
from trackrelay.calls.producer import chunks
from trackrelay.default import default_producer
from trackrelay.errors import InvalidOperationError, NotEnqueuedError
from trackrelay.operations.operation import Operation
from trackrelay.operations.refused_operations import RefusedPayload

log = logging.getLogger("trackrelay")


class Takes(Protocol):
    """What takes operations: a Producer, an Outbox, a framework's extension."""

    def enqueue_all(self, batch: Sequence[Operation], /) -> list[str]:
        """Take some operations; returns their jobs' ids."""


_target: Callable[[], Takes] = default_producer


def enqueue_through(target: Callable[[], Takes] | None) -> None:
    """Say what takes the operations of every client from now on.

    Args:
        target: asked at each call, e.g. ``lambda: Outbox(db.session)``; None: the producer that ``trackrelay.track`` uses.
    """
    global _target
    _target = target or default_producer


def instead(error: InvalidOperationError) -> list[Operation | RefusedPayload]:
    """Return what is enqueued instead of a refused request, as ``on_invalid`` says, and count the refusal.

    Raises:
        InvalidOperationError: ``error``, if that is what it says.
    """
    invalid_calls = getattr(_target(), "invalid_calls", None)
    return (
        invalid_calls if isinstance(invalid_calls, InvalidCallPolicy) else InvalidCallPolicy()
    ).instead(error)


def instead_in_batch(error: InvalidOperationError, index: int) -> list[Operation]:
    """Return what is enqueued instead of a refused operation of a batch, whose answer has the error in any case."""
    try:
        return [part for part in instead(error) if isinstance(part, Operation)]
    except InvalidOperationError:
        # Without the message, which may show a value.
        log.warning(
            "trackrelay: operation %d of a batch was refused and is not enqueued: field %s; allowed: %s",
            index,
            error.field or "operation",
            error.limit,
        )
        return []


def take(operations: Sequence[Operation]) -> tuple[str, ...]:
    """Enqueue ``operations``; returns their jobs' ids."""
    target = _target()
    ids: list[str] = []
    for chunk in chunks(iter(operations)):
        try:
            ids += target.enqueue_all(chunk)
        except NotEnqueuedError as error:
            error.operations, error.enqueued_before = tuple(operations[len(ids) :]), len(ids)
            raise
    return tuple(ids)
