"""The import itself: lines become operations, operations go into the queue in chunks."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import msgspec

from trackrelay.calls.producer import Producer, chunks
from trackrelay.default import overrides
from trackrelay.errors import QueueFullError, QueueUnavailableError
from trackrelay.operations.operation import Operation
from trackrelay.worker.cli.common.operation_document import DocumentError, operation_of

from .import_report import Rejects, Survey
from .import_source import Line

_encode = msgspec.json.Encoder(order="sorted").encode
#: Memory for counting lines before it goes to disk: SQLite's cache size in KiB.
CACHE_KIB = 65_536
#: How long to wait between two attempts while the queue is full or away.
WAIT_S = 0.5
#: How long the queue may be away before the import fails; running it again continues it.
MAX_OUTAGE_S = 60.0
ENQUEUE_TIMEOUT_S = 10.0


class LineKeys:
    """Gives each line an idempotency key, so that importing a file again sends nothing twice.

    A key is made of the line's content and of how often the file has had the same line before.
    Line numbers are no part of it: a file with repaired or added lines can be imported again. The
    counting is on disk in a temporary database, so that a file of any length takes the same memory.

    Args:
        run: part of every key; with another name, the same file is sent again.
    """

    def __init__(self, run: str = "") -> None:
        self._run = run.encode()
        # An empty name: a temporary database that SQLite moves to disk when it grows.
        self._seen = sqlite3.connect("", isolation_level=None)
        self._seen.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        self._seen.execute("PRAGMA synchronous = OFF")
        self._seen.execute("PRAGMA journal_mode = OFF")
        self._seen.execute(
            "CREATE TABLE seen (line BLOB PRIMARY KEY, times INTEGER NOT NULL) WITHOUT ROWID"
        )

    def key_of(self, document: dict[str, Any]) -> str:
        """Return the key of a line that has none of its own."""
        digest = blake2b(_encode(document), digest_size=16, key=self._run[:64]).digest()
        times = self._count(digest)
        return f"import:{digest.hex()}" + (f":{times}" if times > 1 else "")

    def close(self) -> None:
        """Delete the counts."""
        self._seen.close()

    def _count(self, digest: bytes) -> int:
        (times,) = self._seen.execute(
            "INSERT INTO seen VALUES (?, 1) "
            "ON CONFLICT (line) DO UPDATE SET times = times + 1 RETURNING times",
            (digest,),
        ).fetchone()
        return int(times)


class Appender:
    """Appends chunks to the bulk lane; waits while the queue is full, and through short outages.

    Args:
        on_wait: called with the reason when it has to wait, and with "" when it continues.
    """

    def __init__(self, on_wait: Callable[[str], None]) -> None:
        settings: dict[str, Any] = {
            **overrides(),
            "on_unavailable": "raise",
            "enqueue_timeout": ENQUEUE_TIMEOUT_S,
        }
        self.producer = Producer(**settings)
        self._on_wait = on_wait

    def append(self, chunk: Sequence[Operation]) -> None:
        """Append all of ``chunk``, or nothing.

        Raises:
            QueueUnavailableError: Redis has been away for too long.
        """
        give_up = time.monotonic() + MAX_OUTAGE_S
        while True:
            try:
                self.producer.enqueue_all(chunk, lane="bulk")
                return self._on_wait("")
            except QueueFullError:
                self._on_wait("the queue is full; waiting for the workers")
                give_up = time.monotonic() + MAX_OUTAGE_S
            except QueueUnavailableError:
                if time.monotonic() > give_up:
                    raise
                self._on_wait("the queue cannot be reached; waiting for it")
            time.sleep(WAIT_S)

    def close(self) -> None:
        """Close the connections."""
        self.producer.close()


@dataclass(slots=True)
class Progress:
    """How far an import has come."""

    #: The last line that was read, and the last one whose operation is in the queue.
    read: int = 0
    enqueued_line: int = 0
    enqueued: int = 0


class Import:
    """One run over a file.

    Args:
        keys: names the lines that have no idempotency key.
        rejects: keeps the lines that are refused.
        survey: counts the lines.
        append: takes a chunk of operations; None: enqueue nothing (a dry run).
        on_progress: called after each chunk.
    """

    def __init__(
        self,
        keys: LineKeys,
        rejects: Rejects,
        survey: Survey,
        append: Callable[[Sequence[Operation]], None] | None,
        on_progress: Callable[[], None] = lambda: None,
    ) -> None:
        self._keys = keys
        self._rejects = rejects
        self._survey = survey
        self._append = append
        self._on_progress = on_progress
        self.progress = Progress()

    def run(self, lines: Iterable[Line]) -> None:
        """Import all of ``lines``."""
        for chunk in chunks(self._operations(lines)):
            if self._append is not None:
                self._append(chunk)
                self.progress.enqueued += len(chunk)
                self.progress.enqueued_line = self.progress.read
            self._rejects.flush()
            self._on_progress()

    def _operations(self, lines: Iterable[Line]) -> Iterator[Operation]:
        for line in lines:
            self.progress.read = line.number
            operation = check_line(line, self._survey, self._rejects, self._keys)
            if operation is not None:
                yield operation


def check_line(
    line: Line, survey: Survey, rejects: Rejects, keys: LineKeys | None = None
) -> Operation | None:
    """Return the operation that ``line`` describes, and count it; None if it is refused.

    Args:
        line: to check.
        survey: counts the line.
        rejects: keeps the line if it is refused.
        keys: names a line that has no idempotency key; None: leave it without.
    """
    if line.document is None:
        survey.refuse()
        rejects.add(line, line.problem)
        return None
    try:
        has_key = line.document.get("idempotency_key") is not None
        key = None if has_key or keys is None else keys.key_of(line.document)
        operation = operation_of(line.document, idempotency_key=key)
    except DocumentError as error:
        survey.refuse()
        rejects.add(line, str(error), error.field)
        return None
    survey.add(line.document)
    return operation
