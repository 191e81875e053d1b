"""Submission of the operations of all clients."""

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


class Target(Protocol):
    """Enqueues operations: a Producer or an Outbox."""

    def enqueue_all(self, batch: Sequence[Operation], /) -> list[str]:
        """Enqueue operations and return the ids of their jobs."""


_target: Callable[[], Target] = default_producer


def enqueue_through(target: Callable[[], Target] | None) -> None:
    """Set what enqueues the operations of all clients.

    Args:
        target: called for each request, e.g. ``lambda: Outbox(db.session)``; None: the default
            producer.
    """
    global _target
    _target = target or default_producer


def replacements(error: InvalidOperationError) -> list[Operation | RefusedPayload]:
    """Apply ``on_invalid`` to a refused request, and return what is enqueued in its place.

    Raises:
        InvalidOperationError: ``error``, if ``on_invalid`` is ``raise``.
    """
    invalid_calls = getattr(_target(), "invalid_calls", None)
    return (
        invalid_calls if isinstance(invalid_calls, InvalidCallPolicy) else InvalidCallPolicy()
    ).replacements(error)


def replacements_in_batch(error: InvalidOperationError, index: int) -> list[Operation]:
    """Return what is enqueued in place of a refused operation of a batch.

    The response has the error in any case.
    """
    try:
        return [part for part in replacements(error) if isinstance(part, Operation)]
    except InvalidOperationError:
        # Without the message, which may show a value.
        log.warning(
            "trackrelay: operation %d of a batch was refused and is not enqueued: field %s; "
            "allowed: %s",
            index,
            error.field or "operation",
            error.limit,
        )
        return []


def enqueue(operations: Sequence[Operation]) -> tuple[str, ...]:
    """Enqueue ``operations`` and return the ids of their jobs."""
    target = _target()
    ids: list[str] = []
    for chunk in chunks(iter(operations)):
        try:
            ids += target.enqueue_all(chunk)
        except NotEnqueuedError as error:
            error.operations, error.enqueued_before = tuple(operations[len(ids) :]), len(ids)
            raise
    return tuple(ids)
