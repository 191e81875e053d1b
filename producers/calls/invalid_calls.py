"""What becomes of a call that is refused: ``on_invalid``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from trackrelay.errors import InvalidOperation
from trackrelay.operations.operation import Operation
from trackrelay.operations.refused_operations import RefusedDraft
from trackrelay.queue.call_counts import CallCounts

log = logging.getLogger("trackrelay")

#: What a setting can say.
Mode = Literal["raise", "log", "dead_letter"]


class Refusals:
    """Raises, logs or keeps what is refused, and counts it.

    Args:
        counts: None counts nothing.
    """

    def __init__(self, mode: Mode = "raise", counts: CallCounts | None = None) -> None:
        self._mode = mode
        self._counts = counts

    def instead(
        self, error: InvalidOperation, mode: Mode | None = None
    ) -> list[Operation | RefusedDraft]:
        """Return what is enqueued instead of what the refused call would have been, in its order.

        Args:
            mode: left out, as the setting says.

        Returns:
            the operations to enqueue; a draft that is among them was logged, and only its id is left.

        Raises:
            InvalidOperation: ``error``, if that is what the mode says.
        """
        if not error.parts:
            error.parts = (RefusedDraft(None),)
        self.count(error)
        mode = mode or self._mode
        if mode == "raise":
            raise error
        if mode == "dead_letter":
            return [
                part.kept(error) if isinstance(part, RefusedDraft) else part for part in error.parts
            ]
        for part in error.parts:
            if isinstance(part, RefusedDraft):
                _log(part, error)
        return list(error.parts)

    def instead_of_call(
        self,
        error: InvalidOperation,
        make: Callable[..., Any],
        arguments: Sequence[object],
        named: Mapping[str, object],
    ) -> list[Operation | RefusedDraft]:
        """Do the same for a call of ``make``, whose arguments stand for an operation that was not even drafted."""
        if not error.parts:
            call = {"call": make.__name__, "arguments": list(arguments), "keywords": dict(named)}
            error.parts = (RefusedDraft(call, named.get("idempotency_key")),)
        return self.instead(error)

    def count(self, error: InvalidOperation) -> None:
        """Count what was refused."""
        if self._counts is not None:
            refused = [part.name for part in error.parts if isinstance(part, RefusedDraft)]
            self._counts.add(
                "refused", [(name, error.field or "operation") for name in refused or ["unknown"]]
            )


def _log(draft: RefusedDraft, error: InvalidOperation) -> None:
    # No part of the message: it may show a value.
    allowed = f"; allowed: {error.limit}" if error.limit else ""
    log.error(
        "trackrelay: %s was refused and is not enqueued (job %s): field %s%s",
        draft.name,
        draft.id,
        error.field or "operation",
        allowed,
    )
