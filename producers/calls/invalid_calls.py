"""The setting ``on_invalid``: what happens to a refused call."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from trackrelay.errors import InvalidOperationError
from trackrelay.operations.operation import Operation
from trackrelay.operations.refused_operations import RefusedPayload
from trackrelay.queue.call_counts import CallCounts

log = logging.getLogger("trackrelay")

#: The values of the setting.
Mode = Literal["raise", "log", "dead_letter"]


class InvalidCallPolicy:
    """Raises, logs or keeps refused operations, and counts them.

    Args:
        mode: the setting.
        counts: counts the refusals; None: nothing is counted.
    """

    def __init__(self, mode: Mode = "raise", counts: CallCounts | None = None) -> None:
        self._mode = mode
        self._counts = counts

    def replacements(
        self, error: InvalidOperationError, mode: Mode | None = None
    ) -> list[Operation | RefusedPayload]:
        """Return what is enqueued in place of a refused call, in its order.

        Args:
            error: the refusal, with the parts of the call.
            mode: overrides the setting.

        Returns:
            The operations to enqueue. A RefusedPayload among them was logged; only its id counts.

        Raises:
            InvalidOperationError: ``error``, if the mode is ``raise``.
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
        """Return the same for a call that was refused before there was a payload.

        Args:
            error: the refusal.
            make: the builder that was called.
            arguments: its positional arguments, kept as the payload.
            named: its keyword arguments, kept likewise.

        Raises:
            InvalidOperationError: ``error``, if the mode is ``raise``.
        """
        if not error.parts:
            call = {"call": make.__name__, "arguments": list(arguments), "keywords": dict(named)}
            error.parts = (RefusedPayload(call, named.get("idempotency_key")),)
        return self.replacements(error)

    def count(self, error: InvalidOperationError) -> None:
        """Count the refused parts of a call."""
        if self._counts is not None:
            refused = [part.name for part in error.parts if isinstance(part, RefusedPayload)]
            self._counts.add(
                "refused", [(name, error.field or "operation") for name in refused or ["unknown"]]
            )


def _log(payload: RefusedPayload, error: InvalidOperationError) -> None:
    # Without the message of the error, which may show a value.
    allowed = f"; allowed: {error.limit}" if error.limit else ""
    log.error(
        "trackrelay: %s was refused and is not enqueued (job %s): field %s%s",
        payload.name,
        payload.id,
        error.field or "operation",
        allowed,
    )
