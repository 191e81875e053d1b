"""Give each backlog row its new shard when the number of shards changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

#: Rows that are read and written together.
CHUNK = 2_000

#: Returns the shard of each of a row's keys.
ShardsOf = Callable[["BacklogKeys"], Sequence[int]]

_LOCK_ALL = sa.text("SELECT shard FROM trackrelay_shards ORDER BY shard FOR UPDATE")

_ROWS = sa.text("""
    SELECT job_id, key, keys, CAST(body AS text) AS body FROM trackrelay_backlog
    WHERE (job_id, key) > (CAST(:after_id AS text), CAST(:after_key AS text))
    ORDER BY job_id, key LIMIT :chunk
""")

_SET_SHARD = sa.text("""
    UPDATE trackrelay_backlog b
    SET shard = row.shard, shards = CAST(row.shards AS int[]), behind = NULL
    FROM unnest(
        CAST(:job_id AS text[]), CAST(:key AS text[]), CAST(:shard AS int[]),
        CAST(:shards AS text[])
    ) AS row (job_id, key, shard, shards)
    WHERE b.job_id = row.job_id AND b.key = row.key
""")

_MAXIMA = sa.text("""
    SELECT (SELECT coalesce(max(fence), 0) FROM trackrelay_shards) AS fence,
        greatest((SELECT max(next_position) FROM trackrelay_shards),
                 (SELECT max(position) + 1 FROM trackrelay_backlog), 1) AS position,
        (SELECT coalesce(bool_and(paused_at IS NOT NULL), false) FROM trackrelay_shards) AS paused,
        (SELECT coalesce(max(block_version), 0) FROM trackrelay_shards) AS block_version,
        (SELECT coalesce(max(plan_version), 0) FROM trackrelay_shards) AS plan_version
""")
_DROP = sa.text("DELETE FROM trackrelay_shards WHERE shard >= :shards")
_ADD = sa.text("""
    INSERT INTO trackrelay_shards (shard, paused_at, block_version, plan_version)
    SELECT shard, CASE WHEN :paused THEN now() END, CAST(:block_version AS bigint),
        CAST(:plan_version AS bigint)
    FROM generate_series(0, :shards - 1) AS shard
    ON CONFLICT (shard) DO NOTHING
""")
_RAISE_FENCES = sa.text(
    "UPDATE trackrelay_shards SET fence = :fence + 1, next_position = :position"
)


@dataclass(frozen=True, slots=True)
class BacklogKeys:
    """The part of a backlog row on which its shard depends."""

    job_id: str
    #: The row's own key, one of ``keys``.
    key: str
    #: As stored.
    keys: tuple[str, ...]
    body: bytes


def redistribute_backlog(connection: sa.Connection, shards: int, shards_of: ShardsOf) -> int:
    """Give every backlog row its shard among ``shards``, and record that number.

    The caller commits. All rows of a key move together and keep their positions, so their order
    holds. Later jobs get later positions in any shard. The streams are empty, so no replay must be
    repositioned. Every fence rises, also of removed shards, so an earlier holder that wakes up
    settles nothing. A second call changes nothing.

    Returns:
        the number of rows.
    """
    connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
    connection.execute(_LOCK_ALL)
    count = 0
    after = ("", "")
    while rows := _rows(connection, after):
        _set_shard(connection, [(row, list(shards_of(row))) for row in rows])
        count += len(rows)
        after = (rows[-1].job_id, rows[-1].key)
    _set_shards(connection, shards)
    return count


def _rows(connection: sa.Connection, after: tuple[str, str]) -> list[BacklogKeys]:
    rows = connection.execute(_ROWS, {"after_id": after[0], "after_key": after[1], "chunk": CHUNK})
    return [BacklogKeys(row.job_id, row.key, tuple(row.keys), row.body.encode()) for row in rows]


def _set_shard(connection: sa.Connection, rows: Sequence[tuple[BacklogKeys, list[int]]]) -> None:
    values: dict[str, Any] = {
        "job_id": [row.job_id for row, _ in rows],
        "key": [row.key for row, _ in rows],
        "shard": [shards[row.keys.index(row.key)] for row, shards in rows],
        "shards": ["{" + ",".join(map(str, shards)) + "}" for _, shards in rows],
    }
    connection.execute(_SET_SHARD, values)


def _set_shards(connection: sa.Connection, shards: int) -> None:
    maxima = connection.execute(_MAXIMA).one()
    connection.execute(_DROP, {"shards": shards})
    added = {
        "paused": maxima.paused,
        "block_version": maxima.block_version,
        "plan_version": maxima.plan_version,
    }
    connection.execute(_ADD, {"shards": shards, **added})
    connection.execute(_RAISE_FENCES, {"fence": maxima.fence, "position": maxima.position})
