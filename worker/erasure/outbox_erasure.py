"""Finds and deletes a person's rows in an application's outbox."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from trackrelay.errors import TrackRelayError
from trackrelay.outbox.outbox_database import make_engine
from trackrelay.outbox.table import table
from trackrelay.queue.job import decode_entry
from trackrelay.worker.delivery.shard_queue import RawEntry

from .person_keys import PersonKeys
from .queue_search import is_refused_call_of

#: Seconds to connect, or to wait for SQLite's one writer.
TIMEOUT_S = 5.0
#: Rows that are read in one go.
CHUNK = 1_000

_c = table.c
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError)


class OutboxAwayError(TrackRelayError):
    """The outbox cannot be read or changed. The cause is the database's own error."""


@dataclass(frozen=True, slots=True)
class FoundRow:
    """A row with something of the person."""

    id: int
    #: As the entry of a stream, with the time at which it was written.
    entry: RawEntry
    #: Whether it holds jobs, and not a refused call.
    has_jobs: bool


class OutboxErasure:
    """The outbox in the database that ``url`` names.

    Raises:
        OutboxAwayError: from each method.
    """

    def __init__(self, url: str) -> None:
        self._engine = make_engine(url, timeout_s=TIMEOUT_S, pool_size=1)

    def find(self, person: PersonKeys) -> list[FoundRow]:
        """Return the person's rows, also those that were relayed but whose jobs are not in yet."""
        query = sa.select(_c.id, _c.entry, _c.format, _c.accepted_ms).order_by(_c.id)
        if not person.must_decode:
            tokens = [token.decode() for token in person.tokens]
            query = query.where(
                sa.or_(*(_c.entry.contains(each, autoescape=True) for each in tokens))
            )
        found = []
        try:
            with self._engine.connect() as connection:
                streamed = connection.execution_options(yield_per=CHUNK)
                for row in streamed.execute(query):
                    if (each := _found(row, person)) is not None:
                        found.append(each)
        except SQLAlchemyError as error:
            raise OutboxAwayError("the outbox cannot be read") from error
        return found

    def delete(self, rows: Sequence[FoundRow]) -> None:
        """Delete rows."""
        ids = [row.id for row in rows]
        try:
            with self._engine.begin() as connection:
                for first in range(0, len(ids), CHUNK):
                    chunk = ids[first : first + CHUNK]
                    connection.execute(sa.delete(table).where(_c.id.in_(chunk)))
        except SQLAlchemyError as error:
            raise OutboxAwayError("the outbox cannot be changed") from error

    def close(self) -> None:
        """Close the connection."""
        self._engine.dispose()


def _found(row: Any, person: PersonKeys) -> FoundRow | None:
    data = row.entry.encode()
    entry = RawEntry(f"{row.accepted_ms}-0", str(row.format).encode(), data)
    try:
        jobs = decode_entry(data)
    except _UNREADABLE:
        return FoundRow(row.id, entry, False) if is_refused_call_of(data, person) else None
    # All jobs of a row belong to one call.
    return FoundRow(row.id, entry, True) if any(person.is_in(job.keys) for job in jobs) else None


def outbox_rows(url: str, person: PersonKeys) -> list[FoundRow]:
    """Return the person's rows in the outbox that ``url`` names."""
    with closing(OutboxErasure(url)) as outbox:
        return outbox.find(person)
