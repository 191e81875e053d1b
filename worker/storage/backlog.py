"""The backlog: jobs that could not be delivered yet, in order for each key.

Only the first row of a key has a due time. A row gets it in the transaction that makes it the
first, under the lock of its shard's row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from trackrelay.operations.registry import ACTIONS
from trackrelay.worker.reasons import DeferReason

from .ledger_periods import IN_PERIODS, searched
from .pg_values import number_array, text_array
from .sql_files import sql
from .stored_job import Job
from .tables import BACKLOG

#: Shard, lane and key: where rows wait for one another.
Place = tuple[int, str, str]

# The holders of a two-key job's shards may insert it at the same moment. The first one decides in
# which lane it waits. If the job was settled meanwhile, because a duplicate has another second key,
# no row is inserted.
_INSERT = sa.text(
    BACKLOG.insert(
        """
    WHERE parts = 1 OR
        (SELECT true FROM trackrelay_backlog o
         WHERE o.job_id = row.job_id AND o.lane <> row.lane LIMIT 1) IS NULL
        AND (SELECT true FROM trackrelay_ledger l
             WHERE l.id = row.job_id AND $in_periods LIMIT 1) IS NULL
    ON CONFLICT (job_id, key) DO NOTHING
    """.replace("$in_periods", IN_PERIODS.format(of="l."))
    )
)

_IDENTITY = ("job_id", "key")
_UPDATE = sa.text(
    BACKLOG.update(
        *_IDENTITY,
        also="""due_at = CASE WHEN stored.due_at IS NULL THEN NULL
            ELSE greatest(stored.due_at, to_timestamp(row.not_before)) END""",
    )
)

# Statements that name many rows look each one up through an index. In the first minute of an outage
# there are no statistics, and a scan of the whole backlog in each cycle would outlast the lease.
# A body changes only if the tracking plan fixed it after it came into the backlog.
_REWRITE = sa.text("""
    UPDATE trackrelay_backlog b SET body = CAST(fixed.body AS json)
    FROM unnest(CAST(:ids AS text[]), CAST(:bodies AS text[])) AS fixed (id, body)
    CROSS JOIN LATERAL (
        SELECT job_id, key FROM trackrelay_backlog WHERE job_id = fixed.id LIMIT 4) row
    WHERE b.job_id = row.job_id AND b.key = row.key
""")
_REMOVE = sa.text("""
    DELETE FROM trackrelay_backlog b
    USING unnest(CAST(:ids AS text[])) AS removed (id) CROSS JOIN LATERAL (
        SELECT job_id, key FROM trackrelay_backlog WHERE job_id = removed.id LIMIT 4) row
    WHERE b.job_id = row.job_id AND b.key = row.key
    RETURNING b.shard, b.lane, b.key, b.position, b.due_at IS NOT NULL AS was_first
""")
_SHARDS_OF = sa.text(
    "SELECT DISTINCT shard FROM trackrelay_backlog WHERE job_id = ANY(CAST(:ids AS text[]))"
)
_AMONG = sa.text(
    "SELECT DISTINCT job_id FROM trackrelay_backlog WHERE job_id = ANY(CAST(:ids AS text[]))"
)

_PROMOTE = sql(
    "promote", delayed=", ".join(f"'{action.name}'" for action in ACTIONS if action.is_delayed)
)

_HISTORY = sa.text(
    "SELECT job_id, history FROM trackrelay_backlog WHERE job_id = ANY(CAST(:ids AS text[]))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BacklogItem:
    """A waiting job, why it waits, and its history."""

    job: Job
    reason: DeferReason
    error: str | None = None
    status: int | None = None
    #: Unix seconds before which it is not due. 0: it is due as soon as it is first.
    not_before: float = 0.0
    #: Appended to the job's history.
    history: tuple[dict[str, Any], ...] = ()
    #: The last stream entry before a replay with keys in two shards; see :mod:`.replay_positions`.
    after_entry: int | None = None


def insert(
    connection: sa.Connection, shard: int, items: Sequence[BacklogItem], positions: Iterable[int]
) -> None:
    """Insert jobs at their positions in ``shard``: a row for each of their keys in that shard.

    The caller has locked the rows of all shards in which the jobs have keys.
    """
    rows = [
        (item, position, index)
        for position, item in zip(positions, items, strict=False)
        for index, shard_of_key in enumerate(item.job.shards)
        if shard_of_key == shard
    ]
    if rows:
        values = BACKLOG.inserted(
            item=[item for item, _, _ in rows],
            job=[item.job for item, _, _ in rows],
            key=[item.job.keys[index] for item, _, index in rows],
            shard=[shard] * len(rows),
            position=[position for _, position, _ in rows],
            is_primary=[index == 0 for _, _, index in rows],
        )
        connection.execute(_INSERT, values | searched([item.job.id for item, _, _ in rows]))


def update(connection: sa.Connection, items: Sequence[BacklogItem]) -> None:
    """Record a failed attempt of jobs that keep their positions."""
    rows = [
        (item, key) for item in sorted(items, key=lambda item: item.job.id) for key in item.job.keys
    ]
    if rows:
        values = BACKLOG.updated(
            *_IDENTITY,
            item=[item for item, _ in rows],
            job=[item.job for item, _ in rows],
            key=[key for _, key in rows],
        )
        connection.execute(_UPDATE, values)


def rewrite(connection: sa.Connection, jobs: Sequence[Job]) -> None:
    """Write the bodies that the tracking plan fixed, so that a retry sends the same again."""
    if jobs:
        values = {
            "ids": text_array([job.id for job in jobs]),
            "bodies": text_array([job.body.decode() for job in jobs]),
        }
        connection.execute(_REWRITE, values)


def remove(connection: sa.Connection, ids: Sequence[str]) -> dict[Place, int]:
    """Remove jobs that were delivered or have become dead letters.

    Returns:
        where they were, and for each a position before which the key has no row.
    """
    starts: dict[Place, int] = {}
    for row in connection.execute(_REMOVE, {"ids": text_array(sorted(ids))}) if ids else ():
        place = (row.shard, row.lane, row.key)
        starts[place] = row.position if row.was_first else starts.get(place, 0)
    return starts


def shards_of(connection: sa.Connection, ids: Sequence[str]) -> list[int]:
    """Return the shards in which jobs have rows."""
    return (
        [row.shard for row in connection.execute(_SHARDS_OF, {"ids": text_array(ids)})]
        if ids
        else []
    )


def among(connection: sa.Connection, ids: Sequence[str]) -> frozenset[str]:
    """Return those of ``ids`` that wait in the backlog."""
    rows = connection.execute(_AMONG, {"ids": text_array(ids)})
    return frozenset(row.job_id for row in rows)


def histories(connection: sa.Connection, ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the histories of the jobs among ``ids`` that are in the backlog."""
    if not ids:
        return {}
    return {
        row.job_id: row.history for row in connection.execute(_HISTORY, {"ids": text_array(ids)})
    }


def promote(connection: sa.Connection, touched: Mapping[Place, int], merge_delay_s: float) -> None:
    """Give the first row of each place its due time, if it has none.

    Args:
        touched: places, and for each a position before which it has no row.
    """
    if touched:
        in_order = sorted((*place, start) for place, start in touched.items())
        shards, lanes, keys, starts = zip(*in_order, strict=True)
        connection.execute(
            _PROMOTE,
            {
                "shards": number_array(shards),
                "lanes": text_array(lanes),
                "keys": text_array(keys),
                "starts": number_array(starts),
                "merge_delay_s": merge_delay_s,
            },
        )
