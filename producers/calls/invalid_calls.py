"""What becomes of a call that is refused: ``on_invalid``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from trackrelay.errors import InvalidOperationError
from trackrelay.operations.operation import Operation
from trackrelay.operations.refused_operations import RefusedPayload
from trackrelay.queue.call_counts import CallCounts

log = logging.getLogger("trackrelay")

#: What a setting can say.
Mode = Literal["raise", "log", "dead_letter"]


class InvalidCallPolicy:
    """Raises, logs or keeps what is refused, and counts it.

    Args:
        counts: None counts nothing.
    """

    def __init__(self, mode: Mode = "raise", counts: CallCounts | None = None) -> None:
        self._mode = mode
        self._counts = counts

    def instead(
        self, error: InvalidOperationError, mode: Mode | None = None
    ) -> list[Operation | RefusedPayload]:
        """Return what is enqueued instead of what the refused call would have been, in its order.

        Args:
            mode: left out, as the setting says.

        Returns:
            the operations to enqueue; a draft that is among them was logged, and only its id is left.

        Raises:
            InvalidOperationError: ``error``, if that is what the mode says.
        """
        if not error.parts:
            error.parts = (RefusedPayload(None),)
        self.count(error)
        mode = mode or self._mode
        if mode == "raise":
            raise error
        if mode == "dead_letter":
            return [
                part.kept(error) if isinstance(part, RefusedPayload) else part
                for part in error.parts
            ]
        for part in error.parts:
            if isinstance(part, RefusedPayload):
                _log(part, error)
        return list(error.parts)

    def replacements_for_call(
        self,
        error: InvalidOperationError,
        make: Callable[..., Any],
        arguments: Sequence[object],
        named: Mapping[str, object],
    ) -> list[Operation | RefusedPayload]:
        """Do the same for a call of ``make``, whose arguments stand for an operation that was not even drafted."""
        if not error.parts:
            call = {"call": make.__name__, "arguments": list(arguments), "keywords": dict(named)}
            error.parts = (RefusedPayload(call, named.get("idempotency_key")),)
        return self.instead(error)

    def count(self, error: InvalidOperationError) -> None:
        """Count what was refused."""
        if self._counts is not None:
            refused = [part.name for part in error.parts if isinstance(part, RefusedPayload)]
            self._counts.add(
                "refused", [(name, error.field or "operation") for name in refused or ["unknown"]]
            )


def _log(draft: RefusedPayload, error: InvalidOperationError) -> None:
    # No part of the message: it may show a value.
    allowed = f"; allowed: {error.limit}" if error.limit else ""
    log.error(
        "trackrelay: %s was refused and is not enqueued (job %s): field %s%s",
        draft.name,
        draft.id,
        error.field or "operation",
        allowed,
    )
