"""Getting operations into the bulk lane, leaving room for what applications enqueue meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from trackrelay.calls.producer import Producer
from trackrelay.default import overrides
from trackrelay.errors import QueueFullError, QueueUnavailableError
from trackrelay.operations.operation import Operation

#: How long to wait between two looks at a queue that is full or away.
WAIT_S = 0.5
#: A queue that is away for longer ends the import: a second run goes on where it stopped.
PATIENCE_S = 60.0
ENQUEUE_TIMEOUT_S = 10.0


class Appender:
    """Appends chunks, waiting for room and through short outages.

    Args:
        waiting: called with why, whenever it has to wait, and with nothing when it goes on.
    """

    def __init__(self, waiting: Callable[[str], None]) -> None:
        told: dict[str, Any] = {
            **overrides(),
            "on_unavailable": "raise",
            "enqueue_timeout": ENQUEUE_TIMEOUT_S,
        }
        self.producer = Producer(**told)
        self._waiting = waiting

    def append(self, chunk: Sequence[Operation]) -> None:
        """Append ``chunk``, all of it or nothing.

        Raises:
            QueueUnavailableError: Redis has been away for too long.
        """
        give_up = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.producer.enqueue_all(chunk, lane="bulk")
                return self._waiting("")
            except QueueFullError:
                self._waiting("the queue is full enough; waiting for the workers")
                give_up = time.monotonic() + PATIENCE_S
            except QueueUnavailableError:
                if time.monotonic() > give_up:
                    raise
                self._waiting("the queue cannot be reached; waiting for it")
            time.sleep(WAIT_S)

    def close(self) -> None:
        """Close the connections."""
        self.producer.close()
