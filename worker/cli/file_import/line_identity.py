"""What makes a line itself, so that a second run of the same file sends nothing twice."""

from __future__ import annotations

import sqlite3
from hashlib import blake2b
from typing import Any

import msgspec

_encode = msgspec.json.Encoder(order="sorted").encode
#: Rows the counting keeps in memory before it goes to disk, as SQLite's cache size in KiB.
CACHE_KIB = 65_536


class Identity:
    """Gives each line an idempotency key made of what it says, and of how often the file has said so before.

    Line numbers are no part of it: a file whose bad lines were repaired, or that grew, can be imported again. The counting
    is on disk, in a nameless file, so that a file of any length takes the same memory.

    Args:
        run: part of every key: the same file under another name of the run is sent again.
    """

    def __init__(self, run: str = "") -> None:
        self._run = run.encode()
        # SQLite's name for a temporary database that goes to disk when it grows and disappears when it is closed.
        self._seen = sqlite3.connect("", isolation_level=None)
        self._seen.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        self._seen.execute("PRAGMA synchronous = OFF")
        self._seen.execute("PRAGMA journal_mode = OFF")
        self._seen.execute(
            "CREATE TABLE seen (line BLOB PRIMARY KEY, times INTEGER NOT NULL) WITHOUT ROWID"
        )

    def key_of(self, document: dict[str, Any]) -> str:
        """The key of a line that brings none of its own."""
        digest = blake2b(_encode(document), digest_size=16, key=self._run[:64]).digest()
        times = self._times(digest)
        return f"import:{digest.hex()}" + (f":{times}" if times > 1 else "")

    def close(self) -> None:
        """Forget everything."""
        self._seen.close()

    def _times(self, digest: bytes) -> int:
        (times,) = self._seen.execute(
            "INSERT INTO seen VALUES (?, 1) ON CONFLICT (line) DO UPDATE SET times = times + 1 RETURNING times",
            (digest,),
        ).fetchone()
        return int(times)
