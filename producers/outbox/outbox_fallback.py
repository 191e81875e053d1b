"""``on_unavailable="outbox"``: write to the outbox what Redis did not take.

Later jobs of the same keys go there as well.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from trackrelay.errors import QueueUnavailableError, without_frames
from trackrelay.queue.append import Entry, operations_of
from trackrelay.queue.job import FORMAT_VERSION, decode_entry
from trackrelay.queue.redis_keys import Lane

from .outbox_database import make_engine
from .table import insert, table

T = TypeVar("T")

#: How often to check whether rows were relayed, while this producer holds back some keys.
POLL_S = 0.2
#: How often to check for rows of other processes. Within this time a call can overtake theirs.
IDLE_POLL_S = 0.5
#: Pause after the outbox did not answer. Callers wait for each check, and the queue may be
#: available.
RETRY_S = 5.0
#: Most keys to remember. Beyond that, every key counts as having rows in the outbox.
MAX_KEYS = 10_000
#: Most new rows to read in one check. If there are more, every key counts as having rows.
MAX_READ_ROWS = 1_000
#: Rows to read again. A transaction may commit after others whose rows have higher ids.
OVERLAP_ROWS = 500

_LAST = sa.select(sa.func.max(table.c.id))
_FIRST_UNRELAYED = sa.select(sa.func.min(table.c.id)).where(table.c.generation.is_(None))
_UNRELAYED = (
    sa.select(table.c.id, table.c.format, table.c.entry)
    .where(table.c.generation.is_(None), table.c.id > sa.bindparam("after"))
    .order_by(table.c.id)
    .limit(sa.bindparam("limit"))
)


@dataclass(frozen=True, slots=True)
class OutboxRows:
    """The rows that were not relayed."""

    #: The first of them; None if there is none.
    first: int | None = None
    #: New ones with the keys of their jobs. None stands for a newer format, which may have any key.
    rows: Sequence[tuple[int, list[str] | None]] = ()
    #: The last row of the outbox, if there were too many to read.
    last: int | None = None


class ReadOnlySessionError(OSError):
    """The database takes no writes on this connection.

    After a failover, a new one reaches another server.
    """


class Unrelayed:
    """Keys with rows in the outbox that were not relayed yet.

    Their next jobs must go to the outbox too.
    """

    def __init__(self) -> None:
        #: The last row of each key.
        self._rows: dict[str, int] = {}
        #: Every key counts as having a row up to this one.
        self._floor = 0

    def __bool__(self) -> bool:
        return bool(self._rows or self._floor)

    def has_any(self, keys: Sequence[str]) -> bool:
        """Return whether an earlier job of one of ``keys`` may still be in the outbox."""
        return bool(self._floor) or not self._rows.keys().isdisjoint(keys)

    def add(self, keys: Sequence[str], last_row: int) -> None:
        """Note that there are rows of ``keys``, none after ``last_row``."""
        self._rows.update((key, max(last_row, self._rows.get(key, 0))) for key in keys)
        if len(self._rows) > MAX_KEYS:
            self.add_all(max(self._rows.values()))

    def add_all(self, last_row: int) -> None:
        """Note that there may be rows of any key, none after ``last_row``."""
        self._rows = {key: row for key, row in self._rows.items() if row > last_row}
        self._floor = max(self._floor, last_row)

    def remove_before(self, row: int | None) -> None:
        """Note that every row before ``row`` was relayed; None stands for every row."""
        if row is None:
            self._rows, self._floor = {}, 0
            return
        self._rows = {key: last for key, last in self._rows.items() if last >= row}
        if self._floor < row:
            self._floor = 0


class Fallback:
    """The outbox of one producer. Thread-safe.

    Connects at first use, and anew in a forked child.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        self._engine = make_engine(url, timeout_s=timeout_s)
        self._pid = os.getpid()
        self._timeout_ms = int(timeout_s * 1000)
        self._unrelayed = Unrelayed()
        self._lock = Lock()
        self._first_lock = Lock()
        self._writes = 0
        #: The row up to which other processes' rows are known.
        self._read_to = 0
        self._refresh_at = 0.0
        self._is_ready = False

    def must_take(self, entries: Sequence[Entry]) -> bool:
        """Return whether the outbox holds an earlier job of the keys of ``entries``."""
        if self._is_ready:
            self._refresh()
        else:
            self._refresh_first()
        return bool(self._unrelayed) and self._unrelayed.has_any(_keys(entries))

    def write(self, entries: Sequence[Entry], lane: Lane, cause: Exception | None = None) -> None:
        """Write ``entries`` in a transaction of their own.

        Raises:
            QueueUnavailableError: the outbox did not take them either.
        """
        try:
            last_row = self._writable(lambda: self._insert(entries, lane))
        except (SQLAlchemyError, OSError) as error:
            reason = (
                cause.args[0]
                if cause
                else "the outbox holds earlier jobs of this key that were not relayed yet"
            )
            message = f"{reason}; the outbox did not take it either: {_first_line(error)}"
            raise QueueUnavailableError(message, *operations_of(entries)) from without_frames(error)
        with self._lock:
            self._writes += 1
            self._unrelayed.add(_keys(entries), last_row)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _insert(self, entries: Sequence[Entry], lane: Lane) -> int:
        with self._connections().begin() as connection:
            self._limit_time(connection)
            insert(connection, entries, lane)
            return int(connection.execute(_LAST).scalar_one())

    def _writable(self, run: Callable[[], T]) -> T:
        try:
            return run()
        except ReadOnlySessionError:
            # A failover made this server a standby. The other connections lead to the same server.
            self._engine.dispose()
            return run()

    def _refresh_first(self) -> None:
        # An earlier process may have left rows, so every caller waits for the first check. If the
        # database does not answer, use the queue all the same.
        with self._first_lock:
            self._refresh()
            self._is_ready = True

    def _refresh(self) -> None:
        if time.monotonic() < self._refresh_at:
            return
        with self._lock:
            if time.monotonic() < self._refresh_at:
                return
            # Other threads do not check until this one has an answer.
            self._refresh_at = time.monotonic() + RETRY_S
            writes, read_to = self._writes, self._read_to
        try:
            found = self._writable(lambda: self._read(read_to))
        except (SQLAlchemyError, OSError):
            return
        with self._lock:
            # A row that was written meanwhile may be missing from what was read.
            if writes == self._writes:
                self._unrelayed.remove_before(found.first)
            self._note(found)
            self._refresh_at = time.monotonic() + (POLL_S if self._unrelayed else IDLE_POLL_S)

    def _read(self, read_to: int) -> OutboxRows:
        with self._connections().connect() as connection:
            self._limit_time(connection)
            first = connection.execute(_FIRST_UNRELAYED).scalar()
            if first is None:
                return OutboxRows()
            which = {"after": read_to - OVERLAP_ROWS, "limit": MAX_READ_ROWS + 1}
            rows = connection.execute(_UNRELAYED, which).all()
            if len(rows) > MAX_READ_ROWS:
                return OutboxRows(first, last=connection.execute(_LAST).scalar_one())
        return OutboxRows(first, [(row.id, _keys_of_row(row.format, row.entry)) for row in rows])

    def _note(self, found: OutboxRows) -> None:
        for row, keys in found.rows:
            if keys is None:
                self._unrelayed.add_all(row)
            else:
                self._unrelayed.add(keys, row)
        if found.last is not None:
            self._unrelayed.add_all(found.last)
        # If no row waits, the table may have been recreated, with ids that start again.
        known = [self._read_to, found.last or 0, *(row for row, _ in found.rows)]
        self._read_to = 0 if found.first is None else max(known)

    def _connections(self) -> sa.Engine:
        if self._pid != os.getpid():
            # A forked child must neither use nor close its parent's connections.
            self._engine.dispose(close=False)
            self._pid = os.getpid()
        return self._engine

    def _limit_time(self, connection: sa.Connection) -> None:
        if connection.dialect.name == "postgresql":
            statement = sa.text(
                "SELECT set_config('statement_timeout', :ms, true), set_config('lock_timeout', "
                ":ms, true), "
                "current_setting('transaction_read_only')"
            )
            if connection.execute(statement, {"ms": str(self._timeout_ms)}).one()[2] == "on":
                raise ReadOnlySessionError(
                    "the outbox's database takes no writes: the session is read-only"
                )


def _keys(entries: Sequence[Entry]) -> list[str]:
    return [key for entry in entries for key in entry.operation.keys]


def _keys_of_row(format_: int, entry: str) -> list[str] | None:
    if format_ > FORMAT_VERSION:
        return None
    try:
        return [key for job in decode_entry(entry.encode()) for key in job.keys]
    except (msgspec.MsgspecError, ValueError):
        # The relay will make a dead letter of it.
        return []


def _first_line(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    text = str(cause).strip()
    return f"{type(cause).__name__}: {text.splitlines()[0] if text else ''}"[:300]
