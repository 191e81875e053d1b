"""Keep replays behind the jobs that were enqueued before them, even behind unread stream entries.

A replay with keys in two shards has a row in both. If only one of the shards has read an earlier
two-key job, the replay would be behind it there, and before it in the other shard. Then neither
would ever be first for both keys. So the rows of a replay record the last entry of each shard's
stream, and move behind jobs that arrive from before it. Then the order is the same in every shard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from .stored_job import Job

_REPLAYS = sa.text("""
    SELECT job_id, key, behind FROM trackrelay_backlog
    WHERE shard = :shard AND lane = 'bulk' AND key = ANY(CAST(:keys AS text[]))
        AND behind IS NOT NULL
    ORDER BY position
""")

# A replay that is first for both keys stays: the holder of the other shard may be sending it.
_WAITS = sa.text("""
    SELECT job_id, due_at IS NULL AS waits FROM trackrelay_backlog
    WHERE job_id = ANY(CAST(:ids AS text[])) ORDER BY job_id, key FOR UPDATE
""")

_MOVE = sa.text("""
    UPDATE trackrelay_backlog b SET position = row.position, due_at = NULL
    FROM unnest(CAST(:job_id AS text[]), CAST(:key AS text[]), CAST(:position AS bigint[]))
        AS row (job_id, key, position)
    WHERE b.job_id = row.job_id AND b.key = row.key
""")


@dataclass(frozen=True, slots=True)
class ReplayedRow:
    """A row of a replay, before which jobs may still arrive."""

    job_id: str
    key: str
    #: The number of the last stream entry before it.
    after_entry: int


def entry_number(entry: str) -> int:
    """Return a stream entry's id (``milliseconds-sequence``) as one number, in stream order."""
    milliseconds, _, sequence = entry.partition("-")
    # Keep it within a bigint: an entry can have any id.
    return (min(int(milliseconds), (1 << 43) - 1) << 20) + min(int(sequence or 0), (1 << 20) - 1)


def reposition_replays(
    connection: sa.Connection, shard: int, arriving: Sequence[Job], first_position: int
) -> list[int]:
    """Give positions to jobs from the stream, and move replays behind earlier jobs.

    The caller has locked the shard's row.

    Returns:
        a position for each of ``arriving``, and the first free one after them.
    """
    following = _following(_movable_replays(connection, shard, arriving), shard, arriving)
    position, positions, moved = first_position, [], []
    for index in range(len(arriving)):
        positions.append(position)
        for row in following.get(index, ()):
            position += 1
            moved.append((row, position))
        position += 1
    if moved:
        connection.execute(
            _MOVE,
            {
                "job_id": [row.job_id for row, _ in moved],
                "key": [row.key for row, _ in moved],
                "position": [place for _, place in moved],
            },
        )
    return [*positions, position]


def _movable_replays(
    connection: sa.Connection, shard: int, arriving: Sequence[Job]
) -> list[ReplayedRow]:
    keys = sorted({key for job in arriving if job.lane == "bulk" for key in job.keys})
    if not keys:
        return []
    replays = connection.execute(_REPLAYS, {"shard": shard, "keys": keys}).all()
    if not replays:
        return []
    rows = connection.execute(_WAITS, {"ids": sorted({row.job_id for row in replays})})
    waits = {row.job_id for row in rows if row.waits}
    return [ReplayedRow(row.job_id, row.key, row.behind) for row in replays if row.job_id in waits]


def _following(
    replays: Sequence[ReplayedRow], shard: int, arriving: Sequence[Job]
) -> dict[int, list[ReplayedRow]]:
    # Group the replays by the index of the last arriving job before each.
    following: dict[int, list[ReplayedRow]] = {}
    for row in replays:
        earlier = [index for index, job in enumerate(arriving) if _is_before(job, row, shard)]
        if earlier:
            following.setdefault(earlier[-1], []).append(row)
    return following


def _is_before(job: Job, row: ReplayedRow, shard: int) -> bool:
    return (
        (row.key, shard) in zip(job.keys, job.shards, strict=True)
        and job.entry is not None
        and entry_number(job.entry) <= row.after_entry
    )
