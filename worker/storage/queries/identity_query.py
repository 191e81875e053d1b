"""Read what is known of the names of people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from trackrelay.worker.storage.identity_links import KEPT_DAYS, kept_share
from trackrelay.worker.storage.pg_values import text_array

#: Jobs that are named as examples.
MAX_EXAMPLES = 3

# A person who was merged away or deleted claims nothing any more, nor does one who has changed to
# another address before somebody else took the first. Of two that were first written together, it
# is not known which one is left. Windows and no joins: the planner takes a
# part of a statement for small, and would compare each of its rows with each.
_SHARED = sa.text(f"""
    WITH gone AS (
        SELECT name, max(last_seen) AS at FROM trackrelay_identities
        WHERE how IN ('merged', 'removed') GROUP BY name),
    claims AS (
        SELECT split_part(i.name, ':', 1) AS kind, i.name, i.person,
            min(i.first_seen) AS first_seen, max(i.last_seen) AS last_seen,
            min(i.source) AS low, max(i.source) AS high, max(i.job_id) AS job_id
        FROM trackrelay_identities i LEFT JOIN gone ON gone.name = i.person
        WHERE i.how = 'claimed' AND (gone.at IS NULL OR gone.at < i.last_seen)
        GROUP BY i.name, i.person),
    latest AS (
        SELECT *, max(first_seen) OVER (PARTITION BY person, kind) AS latest,
            count(*) OVER (PARTITION BY person, kind, first_seen) AS together
        FROM claims),
    names AS (
        SELECT kind, name, count(*) AS people, max(first_seen) AS since,
            min(low) AS low, max(high) AS high, max(job_id) AS job_id
        FROM latest
        WHERE kind NOT IN ('email', 'phone') OR last_seen > latest
            OR (first_seen = latest AND together = 1)
        GROUP BY kind, name)
    SELECT kind, count(*) AS names, count(*) FILTER (WHERE people > 1) AS shared,
        max(people) AS most,
        CAST(extract(epoch FROM min(since) FILTER (WHERE people > 1)) AS float8) AS since,
        (array_agg(job_id ORDER BY since DESC) FILTER (WHERE people > 1))[1:{MAX_EXAMPLES}] AS jobs,
        array_agg(DISTINCT low) FILTER (WHERE people > 1)
            || array_agg(DISTINCT high) FILTER (WHERE people > 1) AS sources
    FROM names GROUP BY kind ORDER BY kind
""")
_BOTH_WAYS = sa.text(f"""
    SELECT count(DISTINCT a.name) AS names,
        CAST(extract(epoch FROM min(a.first_seen)) AS float8) AS since,
        array_agg(DISTINCT a.source) AS sources,
        (array_agg(a.job_id ORDER BY a.last_seen DESC))[1:{MAX_EXAMPLES}] AS jobs
    FROM trackrelay_identities a
    WHERE a.how = 'addressed' AND a.name LIKE 'email:%' AND EXISTS (
        SELECT 1 FROM trackrelay_identities c
        WHERE c.name = a.name AND c.how = 'claimed' AND c.person LIKE 'id:%')
""")
_VISITORS = sa.text("""
    WITH visitors AS (
        SELECT name, min(first_seen) AS first_seen,
            bool_or(how = 'claimed') AS joined,
            max(first_seen) FILTER (WHERE how = 'claimed') AS joined_at,
            array_agg(source) FILTER (WHERE how = 'addressed') AS sources
        FROM trackrelay_identities WHERE name LIKE 'anonymous:%' GROUP BY name),
    latest AS (SELECT max(joined_at) AS at FROM visitors)
    SELECT count(*) AS visitors, count(*) FILTER (WHERE joined) AS joined,
        count(*) FILTER (WHERE first_seen > (SELECT at FROM latest)) AS since_last,
        CAST(extract(epoch FROM (SELECT at FROM latest)) AS float8) AS last_joined,
        (SELECT array_agg(DISTINCT source) FROM visitors v, unnest(v.sources) AS source) AS sources
    FROM visitors
""")
_COUNTS = sa.text("""
    SELECT count(*) AS links, count(DISTINCT person) FILTER (WHERE person LIKE 'id:%') AS ids,
        CAST(extract(epoch FROM min(first_seen)) AS float8) AS since,
        count(DISTINCT name) FILTER (WHERE how = 'merged') AS merged,
        count(DISTINCT name) FILTER (WHERE how = 'addressed' AND name LIKE 'email:%') AS by_email
    FROM trackrelay_identities
""")
_OF = sa.text("""
    WITH RECURSIVE near (name, distance) AS (
        SELECT key, 0 FROM unnest(CAST(:keys AS text[])) AS key
        UNION
        SELECT CASE i.name WHEN n.name THEN i.person ELSE i.name END, n.distance + 1
        FROM near n JOIN trackrelay_identities i ON n.name IN (i.name, i.person)
        WHERE i.person <> '' AND n.distance < 2
    )
    SELECT i.name, i.how, i.person, i.source, i.job_id,
        CAST(extract(epoch FROM i.first_seen) AS float8) AS first_seen,
        CAST(extract(epoch FROM i.last_seen) AS float8) AS last_seen
    FROM trackrelay_identities i
    WHERE i.name IN (SELECT name FROM near WHERE distance < 2)
        OR i.person IN (SELECT name FROM near WHERE distance < 2)
    ORDER BY i.first_seen, i.name, i.how, i.person, i.source LIMIT :limit
""")


@dataclass(frozen=True, slots=True)
class SharedNames:
    """Names of one kind: how many there are, and how many of them several people have."""

    kind: str
    names: int
    shared: int
    #: The most people of one name.
    most: int
    since: float | None = None
    #: Jobs that say so, for ``trackrelay find``.
    jobs: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BothWays:
    """People whom some jobs name by their id, and others by their email."""

    names: int = 0
    since: float | None = None
    sources: tuple[str, ...] = ()
    jobs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Visitors:
    """Anonymous visitors, and those of them who became known."""

    visitors: int = 0
    joined: int = 0
    #: Visitors who came after the last one who became known.
    since_last: int = 0
    last_joined: float | None = None
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Identities:
    """Everything that is known of names. Times are unix seconds."""

    links: int = 0
    ids: int = 0
    #: Ids and emails that were merged into others.
    merged: int = 0
    #: Emails by which jobs name people.
    by_email: int = 0
    since: float | None = None
    #: The share of all names that is kept.
    share: float = 1.0
    kept_days: int = KEPT_DAYS
    shared: tuple[SharedNames, ...] = ()
    both_ways: BothWays = field(default_factory=BothWays)
    visitors: Visitors = field(default_factory=Visitors)

    def of(self, kind: str) -> SharedNames:
        """Return what is known of names of one kind, such as ``email``."""
        nothing = SharedNames(kind, 0, 0, 0)
        return next((each for each in self.shared if each.kind == kind), nothing)


@dataclass(frozen=True, slots=True)
class IdentityRow:
    """What a job said about a name. Times are unix seconds."""

    name: str
    how: str
    person: str
    source: str
    job_id: str
    first_seen: float
    last_seen: float


def identities(connection: sa.Connection) -> Identities:
    """Return what is known of the names of people."""
    counts = connection.execute(_COUNTS).one()
    both = connection.execute(_BOTH_WAYS).one()
    visitors = connection.execute(_VISITORS).one()
    return Identities(
        links=counts.links,
        ids=counts.ids,
        merged=counts.merged,
        by_email=counts.by_email,
        since=counts.since,
        share=kept_share(connection),
        shared=tuple(
            SharedNames(
                row.kind,
                row.names,
                row.shared,
                row.most,
                row.since,
                _texts(row.jobs),
                _texts(row.sources),
            )
            for row in connection.execute(_SHARED)
        ),
        both_ways=BothWays(both.names, both.since, _texts(both.sources), _texts(both.jobs)),
        visitors=Visitors(
            visitors.visitors,
            visitors.joined,
            visitors.since_last,
            visitors.last_joined,
            _texts(visitors.sources),
        ),
    )


def rows_of(connection: sa.Connection, keys: Sequence[str], limit: int) -> list[IdentityRow]:
    """Return the rows about a person: those of the given names, and of the names that these have.

    Args:
        connection: of the workers' database.
        keys: as keyed hashes.
        limit: how many rows at most.
    """
    given: dict[str, Any] = {"keys": text_array(keys), "limit": limit}
    return [IdentityRow(*row) for row in connection.execute(_OF, given)]


def _texts(values: Sequence[str | None] | None) -> tuple[str, ...]:
    return tuple(sorted({value for value in values or () if value is not None}))
