"""Decide where in a lane's backlog to scan next.

Delivered rows stay in the index until it is vacuumed. While a session keeps an old snapshot, as a
dump does, they stay for long. Then a scan from the lowest position passes over all of them. So the
next scan begins where the last one ended. It begins at the lowest position only as often as that
costs little.
"""

from __future__ import annotations

from dataclasses import dataclass

#: After a scan from the beginning there is none for this many times its duration. So these scans
#: take at most a twentieth of the time.
REST = 20
#: Longest such rest in seconds. A single slow scan must not delay rows that became due below.
MAX_REST_S = 10.0


@dataclass(frozen=True, slots=True)
class ScanResult:
    """The result of a scan, in positions."""

    #: The first due row.
    lowest: int | None
    #: Where more due rows may follow. None: all due rows were found.
    following: int | None
    #: The position of the shard's next new row.
    end: int


@dataclass(slots=True)
class ScanCursor:
    """The position from which to scan for due rows in one lane of a shard.

    It is only a hint, and stays valid while other workers hold the shard. A scan from the beginning
    finds the rows below it: a retry that became due, or a job that became first for its second key.
    """

    _next: int = 0
    #: The first row that was found since the last turn. Rows behind it, for its key and for those
    #: that were found later, have higher positions.
    _lowest: int | None = None
    #: When to scan from the beginning, by the caller's clock.
    _rewind_at: float = 0.0
    #: Whether the last scan was from the beginning, and found a row. There are never two of these
    #: in a row. If a cycle takes longer than the rest and cannot send the lowest rows, a second one
    #: would find the same rows, and never any others.
    _was_rewound: bool = False

    def start(self, now: float) -> int:
        """Return the position from which to scan. 0: from the beginning."""
        return 0 if now >= self._rewind_at and not self._was_rewound else self._next

    def rewind(self) -> None:
        """Make the next scan begin at the beginning."""
        self._rewind_at, self._was_rewound = 0.0, False

    def advance(self, start: int, result: ScanResult, began: float, ended: float) -> None:
        """Continue after a scan from ``start``."""
        self.rest(start, began, ended)
        self._was_rewound = start == 0 and result.lowest is not None
        lowest = result.lowest if self._lowest is None or start == 0 else self._lowest
        if result.following is not None:
            self._next, self._lowest = result.following, lowest
        else:
            self._next, self._lowest = result.end if lowest is None else lowest, None

    def rest(self, start: int, began: float, ended: float) -> None:
        """Delay the next scan from the beginning, by the duration of a scan from ``start``."""
        if start == 0:
            self._rewind_at = ended + min(MAX_REST_S, REST * (ended - began))
