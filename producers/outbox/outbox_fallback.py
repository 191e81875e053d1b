"""``on_unavailable="outbox"``: what Redis did not take is written to the outbox, and what follows it for the same key as well."""

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

from trackrelay.configuration.tracebacks import without_frames
from trackrelay.errors import QueueUnavailableError
from trackrelay.queue.append import Entry, operations_of
from trackrelay.queue.job import FORMAT_VERSION, decode_entry
from trackrelay.queue.redis_keys import Lane

from .outbox_database import make_engine
from .table import insert, table

T = TypeVar("T")

#: How often a producer that keeps back a key looks whether its rows have been relayed.
LOOK_S = 0.2
#: How often one that keeps back none looks for rows of other processes: so long a call of theirs can be overtaken.
CALM_S = 0.5
#: How long it lets an outbox alone that did not answer: the queue may be well, and callers wait for a look.
TROUBLE_S = 5.0
#: Keys remembered one by one; beyond that every key counts as having rows in the outbox.
MAX_KEYS = 10_000
#: New rows whose keys are read at one look; if there are more, the same.
LOOK_ROWS = 1_000
#: Rows that are read again: a transaction may commit after others whose rows have higher ids.
OVERLAP_ROWS = 500

_LAST = sa.select(sa.func.max(table.c.id))
_FIRST_UNRELAYED = sa.select(sa.func.min(table.c.id)).where(table.c.generation.is_(None))
_UNRELAYED = (
    sa.select(table.c.id, table.c.format, table.c.entry)
    .where(table.c.generation.is_(None), table.c.id > sa.bindparam("after"))
    .order_by(table.c.id)
    .limit(sa.bindparam("most"))
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at the outbox found."""

    #: The first row that was not relayed; None: there is none.
    first: int | None = None
    #: Further ones, with the keys of their jobs; None: a newer version's, of any key.
    rows: Sequence[tuple[int, list[str] | None]] = ()
    #: If there were too many to be read, the last row there is.
    last: int | None = None


class ReadOnlySessionError(OSError):
    """The database takes no writes on this connection: after a failover a new one reaches another server."""


class Unrelayed:
    """Which keys have rows in the outbox that were not relayed yet: nothing of theirs may go to the queue directly."""

    def __init__(self) -> None:
        #: The last row of each key.
        self._rows: dict[str, int] = {}
        #: Every key counts as having a row up to this one.
        self._floor = 0

    def __bool__(self) -> bool:
        return bool(self._rows or self._floor)

    def has_any(self, keys: Sequence[str]) -> bool:
        """Whether an earlier job of one of ``keys`` may still be in the outbox."""
        return bool(self._floor) or not self._rows.keys().isdisjoint(keys)

    def wrote(self, keys: Sequence[str], last_row: int) -> None:
        """Rows of ``keys`` were written, none after ``last_row``."""
        self._rows.update((key, max(last_row, self._rows.get(key, 0))) for key in keys)
        if len(self._rows) > MAX_KEYS:
            self.wrote_all(max(self._rows.values()))

    def wrote_all(self, last_row: int) -> None:
        """Rows of any key may be there, none after ``last_row``."""
        self._rows = {key: row for key, row in self._rows.items() if row > last_row}
        self._floor = max(self._floor, last_row)

    def relayed_before(self, row: int | None) -> None:
        """Every row before ``row`` was relayed; None: every row."""
        if row is None:
            self._rows, self._floor = {}, 0
            return
        self._rows = {key: last for key, last in self._rows.items() if last >= row}
        if self._floor < row:
            self._floor = 0


class Fallback:
    """The outbox behind one producer. Thread-safe; connects at first use, and anew in a forked child."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._engine = make_engine(url, timeout_s=timeout_s)
        self._pid = os.getpid()
        self._timeout_ms = int(timeout_s * 1000)
        self._unrelayed = Unrelayed()
        self._lock = Lock()
        self._beginning = Lock()
        self._writes = 0
        #: The row up to which other processes' rows are known.
        self._read_to = 0
        self._look_at = 0.0
        self._began = False

    def must_take(self, entries: Sequence[Entry]) -> bool:
        """Whether ``entries`` must go to the outbox although the queue may be there: an earlier job of their keys is in it."""
        if self._began:
            self._look()
        else:
            self._begin()
        return bool(self._unrelayed) and self._unrelayed.has_any(_keys(entries))

    def write(self, entries: Sequence[Entry], lane: Lane, why: Exception | None = None) -> None:
        """Write ``entries`` in a transaction of their own.

        Raises:
            QueueUnavailableError: the outbox did not take them either.
        """
        try:
            last_row = self._writable(lambda: self._insert(entries, lane))
        except (SQLAlchemyError, OSError) as error:
            reason = (
                why.args[0]
                if why
                else "the outbox holds earlier jobs of this key that were not relayed yet"
            )
            message = f"{reason}; nor did the outbox take it: {_said(error)}"
            raise QueueUnavailableError(message, *operations_of(entries)) from without_frames(error)
        with self._lock:
            self._writes += 1
            self._unrelayed.wrote(_keys(entries), last_row)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _insert(self, entries: Sequence[Entry], lane: Lane) -> int:
        with self._connections().begin() as connection:
            self._bound(connection)
            insert(connection, entries, lane)
            return int(connection.execute(_LAST).scalar_one())

    def _writable(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except ReadOnlySessionError:
            # The others lead to the same server, which a failover has made a standby: they would stay read-only for ever.
            self._engine.dispose()
            return act()

    def _begin(self) -> None:
        # A process before this one may have left rows: nobody goes ahead of the first look. A database that is away now
        # is no reason to refuse the queue.
        with self._beginning:
            self._look()
            self._began = True

    def _look(self) -> None:
        if time.monotonic() < self._look_at:
            return
        with self._lock:
            if time.monotonic() < self._look_at:
                return
            # Until it has answered.
            self._look_at = time.monotonic() + TROUBLE_S
            writes, read_to = self._writes, self._read_to
        try:
            seen = self._writable(lambda: self._read(read_to))
        except (SQLAlchemyError, OSError):
            return
        with self._lock:
            # A row written since may be older than what was seen.
            if writes == self._writes:
                self._unrelayed.relayed_before(seen.first)
            self._learn(seen)
            self._look_at = time.monotonic() + (LOOK_S if self._unrelayed else CALM_S)

    def _read(self, read_to: int) -> Seen:
        with self._connections().connect() as connection:
            self._bound(connection)
            first = connection.execute(_FIRST_UNRELAYED).scalar()
            if first is None:
                return Seen()
            which = {"after": read_to - OVERLAP_ROWS, "most": LOOK_ROWS + 1}
            rows = connection.execute(_UNRELAYED, which).all()
            if len(rows) > LOOK_ROWS:
                return Seen(first, last=connection.execute(_LAST).scalar_one())
        return Seen(first, [(row.id, _keys_in(row.format, row.entry)) for row in rows])

    def _learn(self, seen: Seen) -> None:
        for row, keys in seen.rows:
            if keys is None:
                self._unrelayed.wrote_all(row)
            else:
                self._unrelayed.wrote(keys, row)
        if seen.last is not None:
            self._unrelayed.wrote_all(seen.last)
        # Where nothing waits, ids may begin anew.
        known = [self._read_to, seen.last or 0, *(row for row, _ in seen.rows)]
        self._read_to = 0 if seen.first is None else max(known)

    def _connections(self) -> sa.Engine:
        if self._pid != os.getpid():
            # A forked child must not speak on its parent's connections, nor close them.
            self._engine.dispose(close=False)
            self._pid = os.getpid()
        return self._engine

    def _bound(self, connection: sa.Connection) -> None:
        if connection.dialect.name == "postgresql":
            statement = sa.text(
                "SELECT set_config('statement_timeout', :ms, true), set_config('lock_timeout', :ms, true), "
                "current_setting('transaction_read_only')"
            )
            if connection.execute(statement, {"ms": str(self._timeout_ms)}).one()[2] == "on":
                raise ReadOnlySessionError(
                    "the outbox's database takes no writes: the session is read-only"
                )


def _keys(entries: Sequence[Entry]) -> list[str]:
    return [key for entry in entries for key in entry.operation.keys]


def _keys_in(format_: int, entry: str) -> list[str] | None:
    if format_ > FORMAT_VERSION:
        return None
    try:
        return [key for job in decode_entry(entry.encode()) for key in job.keys]
    except (msgspec.MsgspecError, ValueError):
        # The relay makes a dead letter of it.
        return []


def _said(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    text = str(cause).strip()
    return f"{type(cause).__name__}: {text.splitlines()[0] if text else ''}"[:300]
