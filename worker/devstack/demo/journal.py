"""What the shop's calls were promised: every operation the queue accepted, in the order it did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from trackrelay.calls.backends import Backend
from trackrelay.operations.operation import Operation
from trackrelay.queue.append import Entry
from trackrelay.queue.redis_keys import Lane


@dataclass(frozen=True, slots=True)
class Accepted:
    """One job that the queue has taken."""

    operation: Operation
    lane: Lane


@dataclass(slots=True)
class Journal:
    """A backend that writes down what the one behind it accepted; each companion ahead of its event, as it is delivered."""

    behind: Backend
    accepted: list[Accepted] = field(default_factory=list)

    def append(self, entries: Sequence[Entry], lane: Lane) -> None:
        """Hand ``entries`` on; they count once they are accepted."""
        self.behind.append(entries, lane)
        for entry in entries:
            each = entry.operation
            self.accepted += [
                Accepted(one, lane) for one in (each.companion, each) if one is not None
            ]

    def close(self) -> None:
        """Give back what is held open."""
        self.behind.close()
