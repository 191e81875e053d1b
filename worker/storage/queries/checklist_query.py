"""Read what the checklist needs beside the catalog: names of people, and dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

#: Rows of the ledger that are looked at, evenly chosen: a large ledger is never read whole.
MAX_ROWS = 100_000

_SHARE = sa.text("""
    SELECT least(100.0, 100.0 * :rows / greatest(sum(reltuples), 1)) FROM pg_class
    WHERE oid = 'trackrelay_ledger'::regclass
        OR oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'trackrelay_ledger'::regclass)
""")
_NAMES = """
    SELECT split_part(key, ':', 1) AS kind, coalesce(source, '') AS source, count(*) AS jobs
    FROM trackrelay_ledger TABLESAMPLE SYSTEM (:share)
    WHERE operation LIKE 'person.%' AND outcome = 'delivered'
        AND split_part(key, ':', 1) IN ('id', 'email', 'phone', 'cio_id')
    GROUP BY 1, 2 ORDER BY 3 DESC
"""
_LETTERS = sa.text("""
    SELECT count(*) AS letters, CAST(extract(epoch FROM min(died_at)) AS float8) AS oldest
    FROM trackrelay_dead_letters WHERE state = 'open'
""")


@dataclass(frozen=True, slots=True)
class NamedJobs:
    """How many of the looked-at jobs of one application name people in one way."""

    #: ``id``, ``email``, ``phone`` or ``cio_id``.
    kind: str
    source: str
    jobs: int


@dataclass(frozen=True, slots=True)
class OpenLetters:
    """The dead letters that nobody has repaired or discarded yet."""

    count: int = 0
    #: When the oldest died, in unix seconds.
    oldest: float | None = None


def named_jobs(connection: sa.Connection) -> Sequence[NamedJobs]:
    """Return how jobs in the ledger name people, the most frequent first."""
    share = float(connection.execute(_SHARE, {"rows": MAX_ROWS}).scalar() or 100.0)
    # Postgres takes no parameter of another type here.
    rows = connection.execute(sa.text(_NAMES.replace(":share", f"{share:.6f}")))
    return [NamedJobs(*row) for row in rows]


def open_letters(connection: sa.Connection) -> OpenLetters:
    """Return what waits for repair."""
    return OpenLetters(*connection.execute(_LETTERS).one())
