"""Read the catalog."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

_ROWS = sa.text("""
    SELECT source, operation, name, path, type, count, bytes, first_at, last_at,
           CAST(extract(epoch FROM first_seen) AS float8) AS first_seen,
           CAST(extract(epoch FROM last_seen) AS float8) AS last_seen
    FROM trackrelay_catalog
    WHERE CAST(:source AS text) IS NULL OR source = :source
    ORDER BY source, operation, name, path, type
""")


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


def catalog_rows(connection: sa.Connection, source: str | None = None) -> list[CatalogRow]:
    """Return the rows of the catalog, of one source or of all."""
    return [CatalogRow(*row) for row in connection.execute(_ROWS, {"source": source})]
