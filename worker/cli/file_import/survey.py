"""What a file holds, before anything of it is sent: which operations, and whether its events may trigger campaigns."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from trackrelay.operations.registry import BY_NAME
from trackrelay.worker.dead_letters.replay_batches import CAMPAIGN_WINDOW_S


@dataclass(slots=True)
class Survey:
    """Counts of what was looked at.

    Args:
        now: unix seconds from which ages are counted.
    """

    now: float
    lines: int = 0
    #: Lines that are refused: no operations, or such as Customer.io would refuse.
    refused: int = 0
    #: The operations that are not.
    operations: Counter[str] = field(default_factory=Counter)
    #: Events that may trigger campaigns: younger than 72 hours, or without a time of their own.
    young: int = 0
    #: Events that will not.
    old: int = 0

    def refuse(self) -> None:
        """Count one line that is refused."""
        self.lines += 1
        self.refused += 1

    def add(self, document: dict[str, Any]) -> None:
        """Count one line that becomes an operation."""
        self.lines += 1
        name = f"{document.get('type')}.{document.get('action')}"
        self.operations[name] += 1
        action = BY_NAME.get(name)
        if action and action.is_event:
            age = self.now - _seconds(document.get("timestamp"), self.now)
            self.old += age > CAMPAIGN_WINDOW_S
            self.young += age <= CAMPAIGN_WINDOW_S


def _seconds(timestamp: Any, now: float) -> float:
    if isinstance(timestamp, datetime):
        return timestamp.timestamp()
    return float(timestamp) if isinstance(timestamp, int | float) else now
