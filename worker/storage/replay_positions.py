"""A replay comes after all that was enqueued before it, also after what is still unread in a stream.

With its keys in two shards it has a row in both, and a job of two keys that only one of the shards had read when it was replayed would
be ahead of it in one and behind it in the other: neither would ever be first for both of its keys. So a replay's rows note how far
each shard's stream had come, and step back behind what arrives from before that. Thereby every shard has them in one order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from .stored_job import Job

_MAY_STEP_BACK = sa.text("""
    SELECT job_id, key, behind FROM trackrelay_backlog
    WHERE shard = :shard AND lane = 'bulk' AND key = ANY(CAST(:keys AS text[])) AND behind IS NOT NULL ORDER BY position
""")

# One that is first for each of its keys may be on its way now, from another shard's holder. It waits for nobody, so it stays.
_WAITS = sa.text("""
    SELECT job_id, due_at IS NULL AS waits FROM trackrelay_backlog
    WHERE job_id = ANY(CAST(:ids AS text[])) ORDER BY job_id, key FOR UPDATE
""")

_STEP_BACK = sa.text("""
    UPDATE trackrelay_backlog b SET position = row.position, due_at = NULL
    FROM unnest(CAST(:job_id AS text[]), CAST(:key AS text[]), CAST(:position AS bigint[])) AS row (job_id, key, position)
    WHERE b.job_id = row.job_id AND b.key = row.key
""")


@dataclass(frozen=True, slots=True)
class ReplayedRow:
    """A replay's row that something from before it may arrive for."""

    job_id: str
    key: str
    #: The number of the last stream entry that comes before it.
    behind: int


def entry_number(entry: str) -> int:
    """Return a stream entry's id (``milliseconds-sequence``) as one number, in stream order."""
    milliseconds, _, sequence = entry.partition("-")
    # Keep it within a bigint: an entry can have any id.
    return (min(int(milliseconds), (1 << 43) - 1) << 20) + min(int(sequence or 0), (1 << 20) - 1)


def reposition_replays(
    connection: sa.Connection, shard: int, arriving: Sequence[Job], first_position: int
) -> list[int]:
    """Give positions to jobs that arrive from the stream; replays step back behind those that were enqueued before them.

    The caller holds the shard's row.

    Returns:
        a position for each of ``arriving``, and the first that is free after them.
    """
    following = _following(_waiting(connection, shard, arriving), shard, arriving)
    position, positions, moved = first_position, [], []
    for index in range(len(arriving)):
        positions.append(position)
        for row in following.get(index, ()):
            position += 1
            moved.append((row, position))
        position += 1
    if moved:
        connection.execute(
            _STEP_BACK,
            {
                "job_id": [row.job_id for row, _ in moved],
                "key": [row.key for row, _ in moved],
                "position": [place for _, place in moved],
            },
        )
    return [*positions, position]


def _waiting(connection: sa.Connection, shard: int, arriving: Sequence[Job]) -> list[ReplayedRow]:
    keys = sorted({key for job in arriving if job.lane == "bulk" for key in job.keys})
    if not keys:
        return []
    found = connection.execute(_MAY_STEP_BACK, {"shard": shard, "keys": keys}).all()
    if not found:
        return []
    rows = connection.execute(_WAITS, {"ids": sorted({row.job_id for row in found})})
    waits = {row.job_id for row in rows if row.waits}
    return [ReplayedRow(row.job_id, row.key, row.behind) for row in found if row.job_id in waits]


def _following(
    waiting: Sequence[ReplayedRow], shard: int, arriving: Sequence[Job]
) -> dict[int, list[ReplayedRow]]:
    # By the index of the last arriving job that each comes after.
    following: dict[int, list[ReplayedRow]] = {}
    for row in waiting:
        earlier = [index for index, job in enumerate(arriving) if _is_before(job, row, shard)]
        if earlier:
            following.setdefault(earlier[-1], []).append(row)
    return following


def _is_before(job: Job, row: ReplayedRow, shard: int) -> bool:
    return (
        (row.key, shard) in zip(job.keys, job.shards, strict=True)
        and job.entry is not None
        and entry_number(job.entry) <= row.behind
    )
