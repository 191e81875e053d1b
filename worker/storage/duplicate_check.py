"""What the stores know of the jobs in a read: one question a read, whatever its size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from trackrelay.queue.redis_keys import Lane
from trackrelay.worker.endpoint_families import ALL_FAMILIES, Family

from .pg_values import text_array

# Of a job of two keys that was enqueued in both lanes, one lane's parts count in every shard: it is known here if the other shard has it in
# the other lane, and its part for this one comes there. A part of each would have two such jobs wait for one another.
# Asked row by row, through an index each time: a join would be planned by statistics, and in the first minute of an outage, when
# the backlog grows, there are none. It would read the whole backlog in every round, for longer than a lease lasts.
_KNOWN = sa.text("""
    SELECT 'job' AS what, id AS name FROM trackrelay_ledger WHERE id = ANY(CAST(:ids AS text[]))
    UNION ALL
    SELECT 'job', job_id FROM trackrelay_dead_letters
        WHERE job_id = ANY(CAST(:ids AS text[])) AND state IN ('open', 'replaying')
    UNION ALL
    SELECT 'job', asked.id FROM unnest(CAST(:ids AS text[])) AS asked (id) CROSS JOIN LATERAL (
        SELECT shard, lane FROM trackrelay_backlog b WHERE b.job_id = asked.id LIMIT 4) found
        WHERE found.shard = :shard OR found.lane <> :lane
    UNION ALL
    SELECT 'key', asked.key FROM unnest(CAST(:keys AS text[])) AS asked (key) CROSS JOIN LATERAL (
        SELECT 1 FROM trackrelay_backlog b WHERE b.shard = :shard AND b.lane = :lane AND b.key = asked.key
        ORDER BY position LIMIT 1) found
    UNION ALL
    SELECT 'due', '' FROM (
        SELECT 1 FROM unnest(CAST(:families AS text[])) AS wanted (family) CROSS JOIN LATERAL (
            SELECT 1 FROM trackrelay_backlog b
            WHERE b.shard = :shard AND b.lane = :lane AND b.family = wanted.family
                AND b.position >= CAST(:due_from AS bigint) AND b.due_at IS NOT NULL AND b.due_at <= now()
            ORDER BY position LIMIT 1) first
        LIMIT 1) due
""")


@dataclass(frozen=True, slots=True)
class DueFilter:
    """Whether the lane's backlog has a due job."""

    #: The position from which to look.
    start: int = 0
    #: Only jobs of these families count.
    families: frozenset[Family] = ALL_FAMILIES


@dataclass(frozen=True, slots=True)
class DuplicateCheck:
    """What the stores said."""

    #: Jobs that are delivered, dead or waiting already: repeats.
    jobs: frozenset[str]
    #: Keys for which an earlier job waits in the backlog.
    waiting_keys: frozenset[str]
    #: Whether the lane's backlog has something to try, as far as it was asked.
    has_due: bool = False


def find_duplicates(
    connection: sa.Connection,
    shard: int,
    lane: Lane,
    ids: Sequence[str],
    keys: Sequence[str],
    due: DueFilter | None = DueFilter(),
) -> DuplicateCheck:
    """Look up ``ids`` in ledger, backlog and dead letters, and ``keys`` in the lane's backlog.

    Args:
        keys: as stored.
        due: where to look for due jobs; None: do not look.
    """
    if not ids:
        return DuplicateCheck(frozenset(), frozenset())
    rows = connection.execute(
        _KNOWN,
        {
            "ids": text_array(ids),
            "keys": text_array(keys),
            "shard": shard,
            "lane": lane,
            "due_from": due and due.start,
            "families": text_array(sorted(due.families) if due else ()),
        },
    ).all()
    return DuplicateCheck(
        jobs=frozenset(row.name for row in rows if row.what == "job"),
        waiting_keys=frozenset(row.name for row in rows if row.what == "key"),
        has_due=any(row.what == "due" for row in rows),
    )
