"""``on_unavailable="outbox"``: what Redis did not take is written to the outbox, and what follows it for the same key as well."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from threading import Lock

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from ..append import Entry, operations_of
from ..errors import QueueUnavailable
from ..redis_keys import Lane
from .database import make_engine
from .outbox import insert
from .table import table

#: How often a producer that keeps back a key looks whether its rows have been relayed.
LOOK_S = 0.2
#: Keys remembered one by one; beyond that every key counts as having rows in the outbox.
MAX_KEYS = 10_000

_LAST = sa.select(sa.func.max(table.c.id))
_FIRST_UNRELAYED = sa.select(sa.func.min(table.c.id)).where(table.c.generation.is_(None))


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
        self._rows.update(dict.fromkeys(keys, last_row))
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
        self._look_at = 0.0
        self._began = False

    def must_take(self, entries: Sequence[Entry]) -> bool:
        """Whether ``entries`` must go to the outbox although the queue may be there: an earlier job of their keys is in it."""
        if not self._began:
            with self._beginning:
                self._begin()
        if not self._unrelayed:
            return False
        keys = _keys(entries)
        if not self._unrelayed.has_any(keys):
            return False
        self._look()
        return self._unrelayed.has_any(keys)

    def write(self, entries: Sequence[Entry], lane: Lane, why: Exception | None = None) -> None:
        """Write ``entries`` in a transaction of their own.

        Raises:
            QueueUnavailable: the outbox did not take them either.
        """
        try:
            with self._connections().begin() as connection:
                self._bound(connection)
                insert(connection, entries, lane)
                last_row = connection.execute(_LAST).scalar_one()
        except (SQLAlchemyError, OSError) as error:
            reason = why.args[0] if why else "the outbox holds earlier jobs of this key that were not relayed yet"
            message = f"{reason}; nor did the outbox take it: {_said(error)}"
            raise QueueUnavailable(message, *operations_of(entries)) from error
        with self._lock:
            self._writes += 1
            self._unrelayed.wrote(_keys(entries), last_row)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _begin(self) -> None:
        # A process before this one may have left rows. A database that is away now is no reason to refuse the queue.
        if self._began:
            return
        try:
            with self._connections().connect() as connection:
                self._bound(connection)
                if connection.execute(_FIRST_UNRELAYED).scalar() is not None:
                    last_row = connection.execute(_LAST).scalar_one()
                    self._unrelayed.wrote_all(last_row)
        except (SQLAlchemyError, OSError):
            pass
        self._began = True

    def _look(self) -> None:
        with self._lock:
            if time.monotonic() < self._look_at:
                return
            self._look_at = time.monotonic() + LOOK_S
            writes = self._writes
        try:
            with self._connections().connect() as connection:
                self._bound(connection)
                first = connection.execute(_FIRST_UNRELAYED).scalar()
        except (SQLAlchemyError, OSError):
            return
        with self._lock:
            # A row written since may be older than what was seen.
            if writes == self._writes:
                self._unrelayed.relayed_before(first)

    def _connections(self) -> sa.Engine:
        if self._pid != os.getpid():
            # A forked child must not speak on its parent's connections, nor close them.
            self._engine.dispose(close=False)
            self._pid = os.getpid()
        return self._engine

    def _bound(self, connection: sa.Connection) -> None:
        if connection.dialect.name == "postgresql":
            statement = sa.text(
                "SELECT set_config('statement_timeout', :ms, true), set_config('lock_timeout', :ms, true)"
            )
            connection.execute(statement, {"ms": str(self._timeout_ms)})


def _keys(entries: Sequence[Entry]) -> list[str]:
    return [key for entry in entries for key in entry.operation.keys]


def _said(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    text = str(cause).strip()
    return f"{type(cause).__name__}: {text.splitlines()[0] if text else ''}"[:300]
