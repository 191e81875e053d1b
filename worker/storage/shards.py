"""The shards in Postgres: fences, pauses, and when delivery became possible again."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from trackrelay.worker.endpoint_families import Family

from . import state

#: The row of the state table with the time at which delivery became possible again. The row of a
#: family has the family's name after a colon.
_RESUMED_AT = "possible_since"
#: After this many seconds without a running worker, delivery counts as having been impossible.
FLEET_GONE_S = 300
#: Seconds after which the heartbeat of the fleet is written again.
HEARTBEAT_S = 30

_TAKE_OVER = sa.text("""
    UPDATE trackrelay_shards SET fence = fence + 1, holder = :holder WHERE shard = :shard
    RETURNING fence, paused_at IS NOT NULL AS paused,
        CAST(extract(epoch FROM now()) AS float8) AS now,
        (SELECT count(*) FROM trackrelay_shards) AS shards,
        (SELECT value #>> '{}' FROM trackrelay_state WHERE name = 'key_hash_fingerprint')
            AS fingerprint,
        (SELECT json_object_agg(name, extract(epoch FROM updated_at)) FROM trackrelay_state
         WHERE name LIKE 'possible_since%') AS resumed_at,
        (SELECT extract(epoch FROM now() - updated_at) FROM trackrelay_state
         WHERE name = 'workers_seen') AS unseen_s
""")

_LOCK = sa.text("""
    SELECT shard, fence, holder, next_position, block_version, paused_at IS NOT NULL AS paused
    FROM trackrelay_shards WHERE shard = ANY(CAST(:shards AS int[])) ORDER BY shard FOR UPDATE
""")

_LOCK_ALL = sa.text("SELECT shard FROM trackrelay_shards ORDER BY shard FOR UPDATE")

_RECORD_HEARTBEAT = sa.text("""
    WITH before AS (
        SELECT updated_at FROM trackrelay_state
        WHERE name = 'workers_seen' AND updated_at < now() - make_interval(secs => :heartbeat_s)
        FOR UPDATE),
    seen AS (
        UPDATE trackrelay_state SET updated_at = now()
        WHERE name = 'workers_seen' AND EXISTS (SELECT 1 FROM before))
    UPDATE trackrelay_state SET updated_at = now()
    WHERE name = 'possible_since'
        AND (SELECT updated_at FROM before) < now() - make_interval(secs => :gone_s)
""")

_MARK_RESUMED = sa.text("""
    INSERT INTO trackrelay_state (name, value, updated_at)
    VALUES (:name, to_jsonb(CAST('' AS text)), now())
    ON CONFLICT (name) DO UPDATE SET updated_at = now()
""")
_GET_RESUMED_AT = sa.text(
    "SELECT extract(epoch FROM updated_at) FROM trackrelay_state WHERE name = 'possible_since'"
)

_SET_NEXT_POSITION = sa.text(
    "UPDATE trackrelay_shards SET next_position = :position WHERE shard = :shard"
)

_EXTENT = sa.text(
    "SELECT count(*) AS shards, coalesce(max(fence), 0) > 0 AS held FROM trackrelay_shards"
)

_PAUSED = sa.text("SELECT shard FROM trackrelay_shards WHERE paused_at IS NOT NULL")
_SET_PAUSED = sa.text("""
    UPDATE trackrelay_shards SET paused_at = CASE WHEN :paused THEN now() END
    WHERE CAST(:shards AS int[]) IS NULL OR shard = ANY(CAST(:shards AS int[])) RETURNING shard
""")

_SET_UP_SHARDS = sa.text("""
    INSERT INTO trackrelay_shards (shard) SELECT generate_series(0, :shards - 1)
    ON CONFLICT (shard) DO NOTHING
""")


class ShardLostError(Exception):
    """Another worker holds the shard now, or will. It settles the jobs that this one has read."""


class FenceLostError(ShardLostError):
    """Another worker has taken the shard over."""


class ShardMissingError(Exception):
    """The shard has no row: the database was set up for fewer shards."""


@dataclass(frozen=True, slots=True)
class Takeover:
    """What a new holder needs to know."""

    fence: int
    paused: bool
    #: The number of shards in the database.
    shards: int
    #: The fingerprint of the secret of stored keys. None before the first worker.
    fingerprint: str | None
    #: When delivery last became possible again, for all families and for single ones. Unix seconds.
    delivery_resumed_at: Mapping[str, float]
    #: When the shard was taken over: unix seconds by Postgres' clock.
    now: float

    def family_resumed_at(self, family: Family) -> float:
        """Return when delivery of ``family`` last became possible again, in unix seconds."""
        names = (_RESUMED_AT, f"{_RESUMED_AT}:{family}")
        return max(self.delivery_resumed_at.get(name, 0.0) for name in names)


@dataclass(frozen=True, slots=True)
class LockedShard:
    """A shard's row, locked until the end of the transaction."""

    fence: int
    #: The lease token of the holder with this fence. After a failover that lost commits, Postgres
    #: can give the same fence to two holders.
    holder: str | None
    next_position: int
    paused: bool
    #: Which keys of forgotten people are blocked. The latest value, because the row is locked.
    block_version: int = 0


def take_over(connection: sa.Connection, shard: int, holder: str | None = None) -> Takeover:
    """Become the shard's holder. Earlier holders settle nothing from now on.

    Args:
        holder: the lease token, which no other takeover has used.
    """
    row = connection.execute(_TAKE_OVER, {"shard": shard, "holder": holder}).one_or_none()
    if row is None:
        raise ShardMissingError(f"the database knows no shard {shard}: run `trackrelay migrate`")
    resumed_at = {name: float(at) for name, at in (row.resumed_at or {}).items()}
    if row.unseen_s is None or row.unseen_s > HEARTBEAT_S:
        record_heartbeat(connection)
        resumed_at[_RESUMED_AT] = float(connection.execute(_GET_RESUMED_AT).scalar() or 0)
    return Takeover(row.fence, row.paused, row.shards, row.fingerprint, resumed_at, row.now)


def record_heartbeat(connection: sa.Connection) -> None:
    """Record that workers run. If none did for long, delivery has just become possible again."""
    connection.execute(_RECORD_HEARTBEAT, {"gone_s": FLEET_GONE_S, "heartbeat_s": HEARTBEAT_S})


def mark_delivery_resumed(connection: sa.Connection, family: Family | None = None) -> None:
    """Record that delivery has just become possible again: the age of jobs counts from now.

    Args:
        family: the family whose delivery it is. None: all families.
    """
    name = f"{_RESUMED_AT}:{family}" if family else _RESUMED_AT
    connection.execute(_MARK_RESUMED, {"name": name})


def lock(connection: sa.Connection, shards: Sequence[int]) -> dict[int, LockedShard]:
    """Lock the shards' rows, always in the same order, to avoid deadlocks."""
    rows = connection.execute(_LOCK, {"shards": sorted(set(shards))})
    return {
        row.shard: LockedShard(
            row.fence, row.holder, row.next_position, row.paused, row.block_version
        )
        for row in rows
    }


def announce(connection: sa.Connection, column: Literal["block_version", "plan_version"]) -> None:
    """Give every shard's row a new number, by which holders learn of a change. The caller commits.

    This waits for the settlements that are under way. Each later one sees the new number.
    """
    # In the order in which settlements lock the rows.
    connection.execute(_LOCK_ALL)
    latest = connection.execute(
        sa.text(f"SELECT coalesce(max({column}), 0) FROM trackrelay_shards")
    ).scalar_one()
    # A part of chance: after a failover that lost the latest commits, no number is used again.
    number = int(latest) + 1 + secrets.randbelow(1_000_000)
    connection.execute(
        sa.text(f"UPDATE trackrelay_shards SET {column} = :number"), {"number": number}
    )


def set_next_position(connection: sa.Connection, shard: int, position: int) -> None:
    """Set the position of the shard's next backlog row. The caller has locked the shard's row."""
    connection.execute(_SET_NEXT_POSITION, {"shard": shard, "position": position})


def set_paused(connection: sa.Connection, shards: Sequence[int] | None, paused: bool) -> list[int]:
    """Pause or resume the given shards (None: all), and return those that exist."""
    parameters = {"paused": paused, "shards": None if shards is None else list(shards)}
    rows = connection.execute(_SET_PAUSED, parameters)
    changed = sorted(row.shard for row in rows)
    if not paused:
        mark_delivery_resumed(connection)
    return changed


def extent(connection: sa.Connection) -> tuple[int, bool]:
    """Return the number of shards, and whether a worker has ever held one."""
    row = connection.execute(_EXTENT).one()
    return row.shards, row.held


def paused(connection: sa.Connection) -> set[int]:
    """Return the shards that are paused."""
    return {row.shard for row in connection.execute(_PAUSED)}


def set_up(connection: sa.Connection, shards: int) -> None:
    """Insert the shards and the state that every worker expects. Existing rows stay."""
    state.put_if_missing(connection, "key_hash_secret", secrets.token_hex(32))
    state.put_if_missing(connection, _RESUMED_AT, "")
    state.put_if_missing(connection, "workers_seen", "")
    connection.execute(_SET_UP_SHARDS, {"shards": shards})
