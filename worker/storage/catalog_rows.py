"""Write and prune the catalog."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import sqlalchemy as sa

from .pg_values import number_array, text_array

#: Rows of one source, and of all sources. A sender that invents names cannot fill the table.
MAX_SOURCE_ROWS = 5_000
MAX_ROWS = 100_000
#: Days for which counts are kept; a row that was not seen for so long is deleted.
KEPT_DAYS = 90
_PRUNE_CHUNK = 5_000
#: The type of the row that counts a source's observations for which there is no room.
NO_ROOM = "no room"

_GIVEN = """
    SELECT * FROM unnest(
        CAST(:source AS text[]), CAST(:operation AS text[]), CAST(:name AS text[]),
        CAST(:path AS text[]), CAST(:type AS text[]),
        CAST(:count AS bigint[]), CAST(:bytes AS bigint[])
    ) WITH ORDINALITY AS g (source, operation, name, path, type, count, bytes, number)
"""

_ADD = sa.text(f"""
    WITH given AS ({_GIVEN}),
    counted AS (
        SELECT source, operation, name,
               sum(count) FILTER (WHERE path = '' AND type = :observed) AS count
        FROM given GROUP BY source, operation, name
    ),
    totals AS (
        SELECT c.source, c.operation, c.name, coalesce(c.count, 0) AS added,
               coalesce(t.count, 0) AS before
        FROM counted c LEFT JOIN trackrelay_catalog t
            ON (t.source, t.operation, t.name, t.path, t.type)
             = (c.source, c.operation, c.name, '', :observed)
    ),
    room AS (
        SELECT source,
               least(:max_source_rows - count(*) FILTER (WHERE t.id IS NOT NULL),
                     :max_rows - (SELECT count(*) FROM trackrelay_catalog)) AS rows
        FROM (SELECT DISTINCT source FROM given) s LEFT JOIN trackrelay_catalog t USING (source)
        GROUP BY source
    ),
    placed AS (
        SELECT g.*, t.id IS NOT NULL AS known,
               coalesce(totals.before, 0) AS before, coalesce(totals.added, 0) AS added,
               row_number() OVER (PARTITION BY g.source, t.id IS NULL ORDER BY g.number) AS place
        FROM given g
        LEFT JOIN trackrelay_catalog t
            ON (t.source, t.operation, t.name, t.path, t.type)
             = (g.source, g.operation, g.name, g.path, g.type)
        LEFT JOIN totals ON (totals.source, totals.operation, totals.name)
                          = (g.source, g.operation, g.name)
    ),
    admitted AS (
        SELECT p.* FROM placed p JOIN room USING (source)
        WHERE p.known OR p.place <= room.rows
        UNION ALL
        SELECT source, '', '', '', :no_room, count(*), 0, 0, false, 0, 0, 0
        FROM placed JOIN room USING (source)
        WHERE NOT known AND place > room.rows
        GROUP BY source
    ),
    written AS (
        INSERT INTO trackrelay_catalog AS t
            (source, operation, name, path, type, count, bytes,
             first_at, last_at, first_seen, last_seen)
        SELECT source, operation, name, path, type, count, bytes,
               before, before + added, now(), now()
        FROM admitted ORDER BY source, operation, name, path, type
        ON CONFLICT (source, operation, name, path, type) DO UPDATE SET
            count = t.count + excluded.count,
            bytes = t.bytes + excluded.bytes,
            last_at = greatest(t.last_at, excluded.last_at),
            longest_gap_s = greatest(
                t.longest_gap_s, CAST(extract(epoch FROM now() - t.last_seen) AS bigint)),
            last_seen = now()
        RETURNING t.id, (SELECT a.count FROM admitted a
            WHERE (a.source, a.operation, a.name, a.path, a.type)
                = (t.source, t.operation, t.name, t.path, t.type)) AS added
    )
    INSERT INTO trackrelay_catalog_days AS d (day, catalog_id, count)
    SELECT CAST(now() AT TIME ZONE 'UTC' AS date), id, added FROM written ORDER BY id
    ON CONFLICT (day, catalog_id) DO UPDATE SET count = d.count + excluded.count
""")

_PRUNE_DAYS = sa.text("""
    DELETE FROM trackrelay_catalog_days WHERE (day, catalog_id) IN (
        SELECT day, catalog_id FROM trackrelay_catalog_days
        WHERE day < CAST(now() AT TIME ZONE 'UTC' AS date) - :days LIMIT :chunk)
""")
_PRUNE_ROWS = sa.text("""
    DELETE FROM trackrelay_catalog WHERE id IN (
        SELECT id FROM trackrelay_catalog
        WHERE last_seen < now() - make_interval(days => :days) LIMIT :chunk)
""")


class Subject(Protocol):
    """What is counted together."""

    @property
    def source(self) -> str: ...
    @property
    def operation(self) -> str: ...
    @property
    def name(self) -> str: ...


class Observation(Protocol):
    """How often a path of a subject had a type."""

    @property
    def subject(self) -> Any: ...
    @property
    def path(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def jobs(self) -> int: ...
    @property
    def size(self) -> int: ...


def add(engine: sa.Engine, observations: Sequence[Observation], observed: str) -> None:
    """Add observations to the catalog, in a transaction of its own that gives up early.

    Args:
        engine: Postgres.
        observations: each path and type of a subject once; texts are such as Postgres takes.
        observed: the type of the rows that count the observed jobs of a subject.

    Raises:
        SQLAlchemyError: nothing was added.
    """
    with engine.begin() as connection:
        # Delivery waits for this transaction, so it must not wait for anybody.
        connection.exec_driver_sql("SET LOCAL lock_timeout = '500ms'")
        connection.exec_driver_sql("SET LOCAL statement_timeout = '3s'")
        # One process at a time adds rows: the places of new rows are counted.
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('trackrelay_catalog'))")
        connection.execute(
            _ADD,
            {
                "source": text_array([each.subject.source for each in observations]),
                "operation": text_array([each.subject.operation for each in observations]),
                "name": text_array([each.subject.name for each in observations]),
                "path": text_array([each.path for each in observations]),
                "type": text_array([each.type for each in observations]),
                "count": number_array([each.jobs for each in observations]),
                "bytes": number_array([each.size for each in observations]),
                "observed": observed,
                "no_room": NO_ROOM,
                "max_source_rows": MAX_SOURCE_ROWS,
                "max_rows": MAX_ROWS,
            },
        )


def prune(connection: sa.Connection) -> int:
    """Delete one chunk of what is too old; return how many rows. Call until it is 0."""
    parameters = {"days": KEPT_DAYS, "chunk": _PRUNE_CHUNK}
    days = connection.execute(_PRUNE_DAYS, parameters).rowcount
    return days + connection.execute(_PRUNE_ROWS, parameters).rowcount
