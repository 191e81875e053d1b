"""The outbox through SQLAlchemy, on PostgreSQL and SQLite."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from trackrelay.outbox.outbox_database import make_engine
from trackrelay.outbox.table import table
from trackrelay.worker.storage.engine import leave_replicas

from .outbox_rows import Mark, Relayed, Row

#: Seconds to connect, or to wait for SQLite's one writer.
TIMEOUT_S = 5.0

_c = table.c
_ROW = sa.select(
    _c.id, _c.job_id, _c.lane, _c.format, _c.entry, _c.accepted_ms, _c.generation
).order_by(_c.id)
_UNRELAYED = _ROW.where(_c.generation.is_(None)).limit(sa.bindparam("most"))
_NOT_RELAYED_IN = _ROW.where(
    sa.or_(_c.generation.is_(None), _c.generation != sa.bindparam("generation_in_force"))
).limit(sa.bindparam("most"))
_RELAYED = (
    sa.select(_c.id, _c.job_id, _c.lane, _c.generation, _c.place)
    .where(_c.generation.is_not(None), _c.id > sa.bindparam("after"))
    .order_by(_c.id)
    .limit(sa.bindparam("most"))
)
_LAST_TURN = sa.select(sa.func.coalesce(sa.func.max(_c.turn), 0)).where(
    _c.generation == sa.bindparam("generation_in_force")
)
_MARK = (
    sa.update(table)
    .where(
        _c.id == sa.bindparam("row_id"), sa.func.coalesce(_c.generation, "") == sa.bindparam("was")
    )
    .values(
        generation=sa.bindparam("marked_generation"),
        turn=sa.bindparam("marked_turn"),
        place=sa.bindparam("at"),
    )
)
# One statement for all of them, which PostgreSQL reads once.
_MARK_ON_POSTGRESQL = sa.text(f"""
    UPDATE {table.name} AS row SET generation = mark.generation, turn = mark.turn, place = mark.place
    FROM unnest(CAST(:id AS bigint[]), CAST(:was AS text[]), CAST(:generation AS text[]), CAST(:turn AS bigint[]),
        CAST(:place AS text[])) AS mark (id, was, generation, turn, place)
    WHERE row.id = mark.id AND coalesce(row.generation, '') = mark.was
""")
_DELETE = sa.delete(table).where(_c.id.in_(sa.bindparam("ids", expanding=True)))
_UNMARK = (
    sa.update(table)
    .where(_c.id.in_(sa.bindparam("ids", expanding=True)))
    .values(generation=None, turn=None, place=None)
)


class SqlRows:
    """The table in the database that ``url`` names; connects at first use."""

    def __init__(self, url: str) -> None:
        self._engine = make_engine(url, timeout_s=TIMEOUT_S, pool_size=1)
        leave_replicas(self._engine)

    @cached_property
    def name(self) -> str:
        """Host, port and database, hashed."""
        return outbox_name(self._engine.url)

    def unrelayed(self, most: int) -> list[Row]:
        with self._engine.connect() as connection:
            return [Row(*row) for row in connection.execute(_UNRELAYED, {"most": most})]

    def not_relayed_in(self, generation: str, most: int) -> list[Row]:
        parameters = {"generation_in_force": generation, "most": most}
        with self._engine.connect() as connection:
            return [Row(*row) for row in connection.execute(_NOT_RELAYED_IN, parameters)]

    def mark(self, marks: Sequence[Mark]) -> None:
        with self._engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(_MARK_ON_POSTGRESQL, _columns(marks))
            else:
                connection.execute(_MARK, [_parameters(mark) for mark in marks])

    def relayed(self, after: int, most: int) -> list[Relayed]:
        with self._engine.connect() as connection:
            return [
                Relayed(*row)
                for row in connection.execute(_RELAYED, {"after": after, "most": most})
            ]

    def last_turn(self, generation: str) -> int:
        with self._engine.connect() as connection:
            return int(
                connection.execute(_LAST_TURN, {"generation_in_force": generation}).scalar_one()
            )

    def delete(self, ids: Sequence[int]) -> None:
        with self._engine.begin() as connection:
            connection.execute(_DELETE, {"ids": list(ids)})

    def unmark(self, ids: Sequence[int]) -> None:
        with self._engine.begin() as connection:
            connection.execute(_UNMARK, {"ids": list(ids)})

    def close(self) -> None:
        """Close the connection."""
        self._engine.dispose()


def outbox_name(url: sa.URL) -> str:
    """Name the outbox in the database that ``url`` leads to: relays of one name take turns."""
    place = f"{url.get_backend_name()}:{url.host}:{url.port}:{url.database}"
    return hashlib.sha1(place.encode(), usedforsecurity=False).hexdigest()[:12]


def _parameters(mark: Mark) -> dict[str, Any]:
    return {
        "row_id": mark.id,
        "was": mark.was or "",
        "marked_generation": mark.generation,
        "marked_turn": mark.turn,
        "at": mark.place,
    }


def _columns(marks: Sequence[Mark]) -> dict[str, Any]:
    return {
        "id": [mark.id for mark in marks],
        "was": [mark.was or "" for mark in marks],
        "generation": [mark.generation for mark in marks],
        "turn": [mark.turn for mark in marks],
        "place": [mark.place for mark in marks],
    }
