"""The journal: every job that a producer enqueued, and the result of the call."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from trackrelay.queue.redis_keys import Lane

#: ``accepted``: the call returned, or its transaction was committed. ``raised``: the call failed
#: for good, and the job may be there all the same. ``rolled back``: its transaction was, and the
#: job never existed.
Told = Literal["accepted", "raised", "rolled back"]
Fate = Literal["delivered", "dead"]


class Call(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One job, as its producer saw it."""

    id: str
    operation: str
    #: Plain, as the producer made them: ``id:42``.
    keys: tuple[str, ...]
    #: By which the job is recognised among the sandbox's effects (see `marks.py`).
    mark: str
    told: Told
    #: Unix seconds at which the last try began, and was answered.
    began: float
    ended: float
    lane: Lane = "live"
    #: What must become of it in the end.
    fate: Fate = "delivered"
    #: Calls it took until one returned.
    tries: int = 1
    error: str | None = None


class Journal:
    """A producer's calls in the order it made them, one line each, written before the next call."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def write(self, calls: Iterable[Call]) -> None:
        """Add calls."""
        self._file.write(b"".join(msgspec.json.encode(call) + b"\n" for call in calls))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read(path: Path) -> list[Call]:
    """The calls of one journal; the last line may have been cut by a kill."""
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    decoder = msgspec.json.Decoder(Call)
    return [decoder.decode(line) for line in lines]


def count(path: Path) -> int:
    """How many calls a journal has so far."""
    return path.read_bytes().count(b"\n") if path.exists() else 0
