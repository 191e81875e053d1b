"""Names of people that belong together: which email, phone, visitor or device is whose.

Names and people are keyed hashes. The table is bounded: when it is nearly full, half of the names
are left out, chosen by their hash. So of each name that is kept, everything is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import sqlalchemy as sa

from . import state
from .pg_values import text_array

#: Rows of the table.
MAX_ROWS = 200_000
#: A table that is fuller than this gets room: half of the names are left out.
NEARLY_FULL = 0.9
#: A table that is emptier than this takes more names again.
NEARLY_EMPTY = 0.2
#: People of one name. More are no news.
MAX_PEOPLE = 10
#: Days after which a row that was not seen again is deleted.
KEPT_DAYS = 90
#: How many different values the first four digits of a hash have.
ALL_NAMES = 0x10000

_STATE = "identities"


class How(StrEnum):
    """What a job says about a name."""

    #: It is a name of the person.
    CLAIMED = "claimed"
    #: The job is for whoever has the name.
    ADDRESSED = "addressed"
    #: Its person was merged into another one.
    MERGED = "merged"
    #: Its person was deleted or suppressed.
    REMOVED = "removed"


class Link(NamedTuple):
    """What one job says about a name. Name and person are keys as keyed hashes."""

    name: str
    how: str
    #: Empty if the job names nobody else.
    person: str
    source: str


_LOCK = sa.text("SELECT pg_advisory_xact_lock(hashtext('trackrelay_identities'))")
# What a forgotten person's jobs said may still be in the memory of a worker.
_ADD = sa.text("""
    WITH given AS (
        SELECT g.* FROM unnest(
            CAST(:name AS text[]), CAST(:how AS text[]), CAST(:person AS text[]),
            CAST(:source AS text[]), CAST(:job_id AS text[])
        ) WITH ORDINALITY AS g (name, how, person, source, job_id, number)
        WHERE NOT EXISTS (SELECT 1 FROM trackrelay_forgotten f
            WHERE f.blocked AND f.key IN (g.name, g.person))
    ),
    known AS (
        UPDATE trackrelay_identities i SET last_seen = now(), job_id = g.job_id FROM given g
        WHERE (i.name, i.how, i.person, i.source) = (g.name, g.how, g.person, g.source)
        RETURNING g.number
    ),
    added AS (
        INSERT INTO trackrelay_identities
            (name, how, person, source, job_id, first_seen, last_seen)
        SELECT name, how, person, source, job_id, now(), now() FROM given g
        WHERE number NOT IN (SELECT number FROM known)
            AND (SELECT count(*) FROM trackrelay_identities i
                 WHERE i.name = g.name AND i.how = g.how) < :max_people
        ORDER BY number LIMIT :room
        ON CONFLICT DO NOTHING RETURNING 1
    )
    SELECT count(*) FROM added
""")
_COUNT = sa.text("SELECT count(*) FROM trackrelay_identities")
_PRUNE = sa.text("""
    DELETE FROM trackrelay_identities
    WHERE last_seen < now() - make_interval(days => :days)
        OR substring(split_part(name, '#', 2) FROM 1 FOR 4) >= :limit
""")
_ERASE = sa.text("""
    DELETE FROM trackrelay_identities
    WHERE name = ANY(CAST(:every AS text[])) OR person = ANY(CAST(:every AS text[]))
""")
_COUNT_OF = sa.text("""
    SELECT count(*) FROM trackrelay_identities
    WHERE name = ANY(CAST(:every AS text[])) OR person = ANY(CAST(:every AS text[]))
""")


def is_kept(name: str, limit: int) -> bool:
    """Return whether a name is among those that are kept.

    Args:
        name: a key as a keyed hash: its kind, a colon, a number sign and the digits.
        limit: how many of :data:`ALL_NAMES` are kept.
    """
    return int(name.partition("#")[2][:4] or "0", 16) < limit


def add(engine: sa.Engine, links: Sequence[tuple[Link, str]]) -> int:
    """Write links down, in a transaction of its own that gives up early.

    Args:
        engine: Postgres.
        links: each link once, with the latest job that says it.

    Returns:
        how many of :data:`ALL_NAMES` are kept from now on.

    Raises:
        SQLAlchemyError: nothing was written.
    """
    with engine.begin() as connection:
        # A worker's other threads may wait for this transaction, so it must not wait for anybody.
        connection.exec_driver_sql("SET LOCAL lock_timeout = '500ms'")
        connection.exec_driver_sql("SET LOCAL statement_timeout = '3s'")
        connection.execute(_LOCK)
        rows, limit = _stored(connection)
        kept = [(link, job) for link, job in links if is_kept(link.name, limit)]
        added = connection.execute(
            _ADD,
            {
                "name": text_array([link.name for link, _ in kept]),
                "how": text_array([link.how for link, _ in kept]),
                "person": text_array([link.person for link, _ in kept]),
                "source": text_array([link.source for link, _ in kept]),
                "job_id": text_array([job for _, job in kept]),
                "max_people": MAX_PEOPLE,
                "room": max(0, MAX_ROWS - rows),
            },
        ).scalar_one()
        if added:
            _store(connection, rows + added, limit)
    return limit


def prune(connection: sa.Connection) -> int:
    """Delete what is too old, and make room in a full table; return how many rows were deleted."""
    connection.execute(_LOCK)
    _, limit = _stored(connection)
    rows = int(connection.execute(_COUNT).scalar_one())
    if rows > NEARLY_FULL * MAX_ROWS:
        limit = max(1, limit // 2)
    elif rows < NEARLY_EMPTY * MAX_ROWS:
        limit = min(ALL_NAMES, limit * 2)
    digits = f"{limit:04x}" if limit < ALL_NAMES else "g"
    deleted = connection.execute(_PRUNE, {"days": KEPT_DAYS, "limit": digits}).rowcount
    _store(connection, rows - deleted, limit)
    return deleted


def count_of(connection: sa.Connection, keys: Sequence[str]) -> int:
    """Return how many rows have one of the keys."""
    return int(connection.execute(_COUNT_OF, {"every": text_array(keys)}).scalar_one())


def erase(connection: sa.Connection, keys: Sequence[str]) -> None:
    """Delete the rows with one of the keys. Whoever writes later sees that they are blocked."""
    connection.execute(_LOCK)
    connection.execute(_ERASE, {"every": text_array(keys)})


def kept_share(connection: sa.Connection) -> float:
    """Return the share of names that are kept."""
    return _stored(connection)[1] / ALL_NAMES


def _stored(connection: sa.Connection) -> tuple[int, int]:
    value: Any = state.get(connection, _STATE) or {}
    return int(value.get("rows", 0)), int(value.get("limit", ALL_NAMES))


def _store(connection: sa.Connection, rows: int, limit: int) -> None:
    state.put(connection, _STATE, {"rows": rows, "limit": limit})
