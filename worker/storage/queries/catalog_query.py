"""Read the catalog."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import sqlalchemy as sa

_ROWS = sa.text("""
    SELECT source, operation, name, path, type, count, bytes, first_at, last_at,
           CAST(extract(epoch FROM first_seen) AS float8) AS first_seen,
           CAST(extract(epoch FROM last_seen) AS float8) AS last_seen, longest_gap_s
    FROM trackrelay_catalog
    WHERE CAST(:source AS text) IS NULL OR source = :source
    ORDER BY source, operation, name, path, type
""")
# One row for each row of the catalog: a row for each day would take most of the time of a check.
# Of what is rare, days say nothing.
_DAYS = sa.text("""
    SELECT c.source, c.operation, c.name, c.path,
        CAST(json_object_agg(d.day - DATE '1970-01-01', d.count) AS text) AS days
    FROM trackrelay_catalog c JOIN trackrelay_catalog_days d ON d.catalog_id = c.id
    WHERE d.day > CAST(now() AT TIME ZONE 'UTC' AS date) - :days AND c.count >= :min_count
        AND (CAST(:name AS text) IS NULL
            OR CAST(:name AS text) IN (c.name, c.operation, c.operation || ' ' || c.name))
        AND ((c.path = '' AND c.type = :observed) OR (c.path <> '' AND c.path !~ '[.[]'))
    GROUP BY c.id ORDER BY c.count DESC, c.id LIMIT :limit
""")
#: Days that are compared, the jobs without which nothing is compared, and rows of the catalog
#: whose days are read: the most frequent ones.
MAX_DAYS, MIN_COUNT, MAX_SERIES = 28, 20, 10_000
_decode_days = msgspec.json.Decoder(dict[int, int]).decode


@dataclass(frozen=True, slots=True)
class CatalogRow:
    """One row: how often a path of a subject had a type. Times are unix seconds."""

    source: str
    operation: str
    name: str
    path: str
    type: str
    count: int
    bytes: int
    first_at: int
    last_at: int
    first_seen: float
    last_seen: float
    #: The longest time between two writes, in seconds.
    longest_gap_s: int = 0


@dataclass(frozen=True, slots=True)
class DayRow:
    """How many jobs had an attribute with one type; of an empty path: how many there were."""

    source: str
    operation: str
    name: str
    path: str
    #: The jobs by day, in days since 1970 (UTC).
    days: dict[int, int]


def catalog_rows(connection: sa.Connection, source: str | None = None) -> list[CatalogRow]:
    """Return the rows of the catalog, of one source or of all."""
    return [CatalogRow(*row) for row in connection.execute(_ROWS, {"source": source})]


def catalog_days(connection: sa.Connection, observed: str, name: str | None = None) -> list[DayRow]:
    """Return the counts of the last days: of jobs, and of the attributes at the top.

    Args:
        connection: of the workers' database.
        observed: the type of the rows that count the observed jobs of a subject.
        name: only of this event, or of this operation; None: of all.
    """
    given = {
        "observed": observed,
        "days": MAX_DAYS,
        "min_count": MIN_COUNT,
        "limit": MAX_SERIES,
        "name": name,
    }
    rows = connection.execute(_DAYS, given)
    return [
        DayRow(row.source, row.operation, row.name, row.path, _decode_days(row.days))
        for row in rows
    ]
