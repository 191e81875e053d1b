"""The rows of an outbox, as the relay reads and marks them, on PostgreSQL and SQLite."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property

import sqlalchemy as sa

from trackrelay.outbox.outbox_database import make_engine
from trackrelay.outbox.table import table
from trackrelay.queue.redis_keys import Lane
from trackrelay.worker.storage.engine import leave_replicas

#: Seconds to connect, or to wait for SQLite's one writer.
TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Row:
    """A job that is to be relayed."""

    id: int
    job_id: str
    lane: Lane
    #: The format of ``entry``.
    format: int
    #: The stream entry, as JSON.
    entry: str
    #: When the row was written: unix milliseconds by the database's clock.
    accepted_ms: int
    #: The generation of the queue into which it was relayed before, or None.
    generation: str | None


@dataclass(frozen=True, slots=True)
class RelayedRow:
    """A job that was relayed, and is kept until it has arrived."""

    id: int
    job_id: str
    lane: Lane
    generation: str
    #: Its stream entries: ``shard:entry id``, separated by spaces.
    place: str


@dataclass(frozen=True, slots=True)
class Mark:
    """What is written into a row that was relayed."""

    row_id: int
    #: The generation in the row when it was read, or empty. A relay that was paused meanwhile does
    #: not overwrite a newer mark.
    previous: str
    new_generation: str
    #: The number of the append.
    new_turn: int
    new_place: str


_c = table.c
_ROWS = sa.select(
    _c.id, _c.job_id, _c.lane, _c.format, _c.entry, _c.accepted_ms, _c.generation
).order_by(_c.id)
_UNRELAYED = _ROWS.where(_c.generation.is_(None)).limit(sa.bindparam("limit"))
_NOT_RELAYED_IN = _ROWS.where(
    sa.or_(_c.generation.is_(None), _c.generation != sa.bindparam("of_generation"))
).limit(sa.bindparam("limit"))
_RELAYED = (
    sa.select(_c.id, _c.job_id, _c.lane, _c.generation, _c.place)
    .where(_c.generation.is_not(None), _c.id > sa.bindparam("after"))
    .order_by(_c.id)
    .limit(sa.bindparam("limit"))
)
_LAST_TURN = sa.select(sa.func.coalesce(sa.func.max(_c.turn), 0)).where(
    _c.generation == sa.bindparam("of_generation")
)
_MARK = (
    sa.update(table)
    .where(
        _c.id == sa.bindparam("row_id"),
        sa.func.coalesce(_c.generation, "") == sa.bindparam("previous"),
    )
    .values(
        generation=sa.bindparam("new_generation"),
        turn=sa.bindparam("new_turn"),
        place=sa.bindparam("new_place"),
    )
)
# One statement for all marks, which PostgreSQL parses once.
_MARK_ON_POSTGRESQL = sa.text(f"""
    UPDATE {table.name} AS row
    SET generation = mark.generation, turn = mark.turn, place = mark.place
    FROM unnest(
        CAST(:row_id AS bigint[]), CAST(:previous AS text[]), CAST(:new_generation AS text[]),
        CAST(:new_turn AS bigint[]), CAST(:new_place AS text[])
    ) AS mark (id, previous, generation, turn, place)
    WHERE row.id = mark.id AND coalesce(row.generation, '') = mark.previous
""")
_DELETE = sa.delete(table).where(_c.id.in_(sa.bindparam("ids", expanding=True)))
_UNMARK = (
    sa.update(table)
    .where(_c.id.in_(sa.bindparam("ids", expanding=True)))
    .values(generation=None, turn=None, place=None)
)


class OutboxRows:
    """The table ``trackrelay_outbox`` in the database that ``url`` names. It connects at first use.

    Each method is a transaction, committed when it returns. Two relays may run at once, and rows
    are appended in order all the same: a relay that sees a later row also sees the earlier ones,
    and appends them first.
    """

    def __init__(self, url: str) -> None:
        self._engine = make_engine(url, timeout_s=TIMEOUT_S, pool_size=1)
        leave_replicas(self._engine)

    @cached_property
    def name(self) -> str:
        """The hash of host, port and database."""
        return outbox_name(self._engine.url)

    def unrelayed(self, limit: int) -> list[Row]:
        """Return the first rows, by id, without a generation."""
        # One statement sees one state of what is committed.
        with self._engine.connect() as connection:
            return [Row(*row) for row in connection.execute(_UNRELAYED, {"limit": limit})]

    def not_relayed_in(self, generation: str, limit: int) -> list[Row]:
        """Return the first rows, by id, with another generation or none."""
        values = {"of_generation": generation, "limit": limit}
        with self._engine.connect() as connection:
            return [Row(*row) for row in connection.execute(_NOT_RELAYED_IN, values)]

    def mark(self, marks: Sequence[Mark]) -> None:
        """Record where rows were relayed to, unless their generation has changed meanwhile."""
        with self._engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                names = [field.name for field in fields(Mark)]
                arrays = {name: [getattr(mark, name) for mark in marks] for name in names}
                connection.execute(_MARK_ON_POSTGRESQL, arrays)
            else:
                connection.execute(_MARK, [asdict(mark) for mark in marks])

    def relayed(self, after: int, limit: int) -> list[RelayedRow]:
        """Return the first rows, by id, with a generation and an id above ``after``."""
        values = {"after": after, "limit": limit}
        with self._engine.connect() as connection:
            return [RelayedRow(*row) for row in connection.execute(_RELAYED, values)]

    def last_turn(self, generation: str) -> int:
        """Return the highest number of an append among the rows of ``generation``, or 0."""
        with self._engine.connect() as connection:
            last = connection.execute(_LAST_TURN, {"of_generation": generation})
            return int(last.scalar_one())

    def delete(self, ids: Sequence[int]) -> None:
        """Delete rows whose jobs have arrived."""
        with self._engine.begin() as connection:
            connection.execute(_DELETE, {"ids": list(ids)})

    def unmark(self, ids: Sequence[int]) -> None:
        """Remove the marks of rows whose entries were lost."""
        with self._engine.begin() as connection:
            connection.execute(_UNMARK, {"ids": list(ids)})

    def close(self) -> None:
        """Close the connection."""
        self._engine.dispose()


def outbox_name(url: sa.URL) -> str:
    """Return a name for the outbox in a database. Relays of the same name take turns."""
    # Several hosts stand in the query.
    hosts = url.query.get("host")
    host = hosts if isinstance(hosts, tuple) else url.host
    place = f"{url.get_backend_name()}:{host}:{url.port}:{url.database}"
    return hashlib.sha1(place.encode(), usedforsecurity=False).hexdigest()[:12]
