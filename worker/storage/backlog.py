"""The backlog: jobs that could not be delivered yet, in order for each key.

Only the first row of a key has a due time. Rows get one when they become first, in the same transaction that made them so, under the lock
of their shard's row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from trackrelay.operations.registry import ACTIONS
from trackrelay.worker.reasons import DeferReason

from .pg_values import number_array, text_array
from .stored_job import Job
from .tables import BACKLOG

#: Shard, lane and key: where rows wait for one another.
Place = tuple[int, str, str]

# The holders of a two-key job's shards may look it up at the same moment. The first to insert decides
# in which lane it waits. If the job was settled meanwhile (a repeat with another second key), no row
# of it is left behind.
_INSERT = sa.text(
    BACKLOG.insert("""
    WHERE parts = 1 OR
        (SELECT true FROM trackrelay_backlog o
         WHERE o.job_id = row.job_id AND o.lane <> row.lane LIMIT 1) IS NULL
        AND (SELECT true FROM trackrelay_ledger l WHERE l.id = row.job_id) IS NULL
    ON CONFLICT (job_id, key) DO NOTHING
    """)
)

_IDENTITY = ("job_id", "key")
_UPDATE = sa.text(
    BACKLOG.update(
        *_IDENTITY,
        also="""due_at = CASE WHEN stored.due_at IS NULL THEN NULL
            ELSE greatest(stored.due_at, to_timestamp(row.not_before)) END""",
    )
)

# Statements that name many rows reach them through an index whatever the statistics say: in the first minute of an outage there
# are none yet, and reading the whole backlog in every round would outlast the lease.
_REMOVE = sa.text("""
    DELETE FROM trackrelay_backlog b
    USING unnest(CAST(:ids AS text[])) AS gone (id) CROSS JOIN LATERAL (
        SELECT job_id, key FROM trackrelay_backlog WHERE job_id = gone.id LIMIT 4) row
    WHERE b.job_id = row.job_id AND b.key = row.key
    RETURNING b.shard, b.lane, b.key, b.position, b.due_at IS NOT NULL AS was_first
""")
_SHARDS_OF = sa.text(
    "SELECT DISTINCT shard FROM trackrelay_backlog WHERE job_id = ANY(CAST(:ids AS text[]))"
)

_DELAYED = ", ".join(f"'{action.name}'" for action in ACTIONS if action.is_delayed)
# A merge waits a little longer once it is first: Customer.io may still be busy with what was delivered before it.
_PROMOTE = sa.text(f"""
    UPDATE trackrelay_backlog b SET due_at = greatest(
        now() + CASE WHEN b.operation IN ({_DELAYED}) THEN make_interval(secs => :merge_delay_s) ELSE interval '0' END,
        b.not_before)
    FROM unnest(CAST(:shards AS int[]), CAST(:lanes AS text[]), CAST(:keys AS text[]), CAST(:starts AS bigint[]))
        AS touched (shard, lane, key, start)
    CROSS JOIN LATERAL (
        SELECT job_id FROM trackrelay_backlog f
        WHERE f.shard = touched.shard AND f.lane = touched.lane AND f.key = touched.key AND f.position >= touched.start
        ORDER BY position LIMIT 1) first
    WHERE b.job_id = first.job_id AND b.key = touched.key AND b.due_at IS NULL
""")

_HISTORY = sa.text(
    "SELECT job_id, history FROM trackrelay_backlog WHERE job_id = ANY(CAST(:ids AS text[]))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BacklogItem:
    """Why a job waits, and what has happened to it."""

    job: Job
    reason: DeferReason
    error: str | None = None
    status: int | None = None
    #: Unix seconds; 0: as soon as it is first.
    not_before: float = 0.0
    #: What this attempt adds to the job's history.
    history: tuple[dict[str, Any], ...] = ()
    #: The last stream entry before a replay with keys in two shards; see `replay_order`.
    after_entry: int | None = None


def insert(
    connection: sa.Connection, shard: int, items: Sequence[BacklogItem], positions: Iterable[int]
) -> None:
    """Insert jobs at their positions in ``shard``: a row for each of their keys that belongs there.

    The caller holds the rows of all shards in which the jobs have keys.
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
        connection.execute(_INSERT, values)


def update(connection: sa.Connection, items: Sequence[BacklogItem]) -> None:
    """Note a failed attempt of jobs that stay in their places."""
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


def remove(connection: sa.Connection, ids: Sequence[str]) -> dict[Place, int]:
    """Take jobs out: they were delivered, or are dead letters now.

    Returns:
        where they were, and from which position on what is left for the key is: nothing is before a first row.
    """
    left: dict[Place, int] = {}
    for row in connection.execute(_REMOVE, {"ids": text_array(sorted(ids))}) if ids else ():
        place = (row.shard, row.lane, row.key)
        left[place] = row.position if row.was_first else left.get(place, 0)
    return left


def shards_of(connection: sa.Connection, ids: Sequence[str]) -> list[int]:
    """The shards in which jobs have rows."""
    return (
        [row.shard for row in connection.execute(_SHARDS_OF, {"ids": text_array(ids)})]
        if ids
        else []
    )


def histories(connection: sa.Connection, ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """What happened so far to the jobs among ``ids`` that are in the backlog."""
    if not ids:
        return {}
    return {
        row.job_id: row.history for row in connection.execute(_HISTORY, {"ids": text_array(ids)})
    }


def promote(connection: sa.Connection, touched: Mapping[Place, int], merge_delay_s: float) -> None:
    """Give the first row of each place its due time, if it has none.

    Args:
        touched: places, and a position before which none of their rows is.
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
