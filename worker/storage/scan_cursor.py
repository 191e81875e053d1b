"""Where in a lane's backlog to look next.

What was delivered stands in the index until it is cleared away, and while somebody holds an old snapshot (a dump does) it is not. A
look from the lowest position passes over all of it; so the next look begins where the last one ended, as an elevator goes up, and from
the beginning only as often as that costs little.
"""

from __future__ import annotations

from dataclasses import dataclass

#: After a look from the beginning there is none for so many times as long as it took: they take a twentieth of the time at the most …
REST = 20
#: … but for no more seconds than this: what became due below must not wait for ever because Postgres once stood still.
LONGEST_REST_S = 10.0


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What a look found, in positions."""

    #: Of the first row that is due.
    lowest: int | None
    #: From where on more may be due; None: nothing is that was not found.
    following: int | None
    #: Where the shard's next row will go.
    end: int


@dataclass(slots=True)
class ScanCursor:
    """From which position to look for what is due in one lane of a shard.

    It is only a hint, and stays valid while other workers hold the shard. A scan from the beginning
    finds the rows below it: a retry that became due, or a job that became first for its second key.
    """

    _next: int = 0
    #: Of the first row that was found since the last turn. What follows it for its key is above, as for all that were found later.
    _lowest: int | None = None
    #: When to scan from the beginning, by the caller's clock.
    _rewind_at: float = 0.0
    #: Whether the last look was from the beginning, and found something. Never two of these in a row: where a round takes longer than
    #: the rest, and what it could not send is what stands lowest, nothing else would ever be found.
    _was_rewound: bool = False

    def start(self, now: float) -> int:
        """From where to look; 0: from the beginning."""
        return 0 if now >= self._rewind_at and not self._was_rewound else self._next

    def rewind(self) -> None:
        """Look from the beginning next."""
        self._rewind_at, self._was_rewound = 0.0, False

    def looked(self, start: int, seen: ScanResult, began: float, ended: float) -> None:
        """Go on from what a look from ``start`` has seen."""
        self.asked(start, began, ended)
        self._was_rewound = start == 0 and seen.lowest is not None
        lowest = seen.lowest if self._lowest is None or start == 0 else self._lowest
        if seen.following is not None:
            self._next, self._lowest = seen.following, lowest
        else:
            self._next, self._lowest = seen.end if lowest is None else lowest, None

    def asked(self, start: int, began: float, ended: float) -> None:
        """Note what a question took that nothing was found by."""
        if start == 0:
            self._rewind_at = ended + min(LONGEST_REST_S, REST * (ended - began))
