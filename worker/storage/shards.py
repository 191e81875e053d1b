"""Fences, pauses, and since when delivery has been possible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from trackrelay.worker.endpoint_families import Family

#: The row of the state table that says since when delivery has been possible; a family's own has its name behind a colon.
_STATE = "possible_since"
#: Without a sign of any worker for this long, delivery counts as having been impossible.
FLEET_GONE_S = 300
#: How often a sign of life is worth a write.
HEARTBEAT_S = 30

_TAKE_OVER = sa.text("""
    UPDATE trackrelay_shards SET fence = fence + 1, holder = :holder WHERE shard = :shard
    RETURNING fence, paused_at IS NOT NULL AS paused, extract(epoch FROM now()) AS now,
        (SELECT count(*) FROM trackrelay_shards) AS shards,
        (SELECT value #>> '{}' FROM trackrelay_state WHERE name = 'key_hash_fingerprint') AS fingerprint,
        (SELECT json_object_agg(name, extract(epoch FROM updated_at)) FROM trackrelay_state
            WHERE name LIKE 'possible_since%') AS possible_since,
        (SELECT extract(epoch FROM now() - updated_at) FROM trackrelay_state WHERE name = 'workers_seen') AS unseen_s
""")

_LOCK = sa.text("""
    SELECT shard, fence, holder, next_position, paused_at IS NOT NULL AS paused FROM trackrelay_shards
    WHERE shard = ANY(CAST(:shards AS int[])) ORDER BY shard FOR UPDATE
""")

_SIGN_OF_LIFE = sa.text("""
    WITH before AS (
        SELECT updated_at FROM trackrelay_state
        WHERE name = 'workers_seen' AND updated_at < now() - make_interval(secs => :often_s) FOR UPDATE),
    seen AS (
        UPDATE trackrelay_state SET updated_at = now() WHERE name = 'workers_seen' AND EXISTS (SELECT 1 FROM before))
    UPDATE trackrelay_state SET updated_at = now()
    WHERE name = 'possible_since'
        AND (SELECT updated_at FROM before) < now() - make_interval(secs => :gone_s)
""")

_POSSIBLE_AGAIN = sa.text("""
    INSERT INTO trackrelay_state (name, value, updated_at) VALUES (:name, to_jsonb(CAST('' AS text)), now())
    ON CONFLICT (name) DO UPDATE SET updated_at = now()
""")
_POSSIBLE_SINCE = sa.text(
    "SELECT extract(epoch FROM updated_at) FROM trackrelay_state WHERE name = 'possible_since'"
)


_SET_NEXT_POSITION = sa.text(
    "UPDATE trackrelay_shards SET next_position = :position WHERE shard = :shard"
)

_EXTENT = sa.text(
    "SELECT count(*) AS shards, coalesce(max(fence), 0) > 0 AS held FROM trackrelay_shards"
)

_PAUSED = sa.text("SELECT shard FROM trackrelay_shards WHERE paused_at IS NOT NULL")


class ShardLostError(Exception):
    """The shard is not this holder's any more: its successor settles what this holder has read."""


class FenceLostError(ShardLostError):
    """Another worker holds the shard now, and settles the jobs that this one has read."""


class ShardMissingError(Exception):
    """The shard has no row: the database was set up for fewer shards."""


@dataclass(frozen=True, slots=True)
class Takeover:
    """What a new holder is told."""

    fence: int
    paused: bool
    #: How many shards the database has.
    shards: int
    #: Of the secret that stored keys are hashed with; None: no worker has run yet.
    fingerprint: str | None
    #: Unix seconds: the last moment at which delivery became possible again, for all families and for single ones.
    delivery_resumed_at: Mapping[str, float]
    #: Unix seconds by Postgres' clock when the shard was taken over.
    now: float

    def family_resumed_at(self, family: Family) -> float:
        """Return the last moment at which delivery of ``family`` became possible again, in unix seconds."""
        return max(
            self.delivery_resumed_at.get(name, 0.0) for name in (_STATE, f"{_STATE}:{family}")
        )


@dataclass(frozen=True, slots=True)
class LockedShard:
    """A shard's row, held until the end of the transaction."""

    fence: int
    #: Which holder the fence was given to: a Postgres that lost its latest commits in a failover can give it out again.
    holder: str | None
    next_position: int
    paused: bool


def take_over(connection: sa.Connection, shard: int, holder: str | None = None) -> Takeover:
    """Become the shard's holder: every earlier one settles nothing from now on.

    Args:
        holder: what no other takeover ever used.
    """
    row = connection.execute(_TAKE_OVER, {"shard": shard, "holder": holder}).one_or_none()
    if row is None:
        raise ShardMissingError(f"the database knows no shard {shard}: run `trackrelay migrate`")
    resumed_at = {name: float(at) for name, at in (row.possible_since or {}).items()}
    if row.unseen_s is None or row.unseen_s > HEARTBEAT_S:
        record_heartbeat(connection)
        resumed_at[_STATE] = float(connection.execute(_POSSIBLE_SINCE).scalar() or 0)
    return Takeover(row.fence, row.paused, row.shards, row.fingerprint, resumed_at, float(row.now))


def record_heartbeat(connection: sa.Connection) -> None:
    """Note that workers are running; after a long silence, that delivery is possible again."""
    connection.execute(_SIGN_OF_LIFE, {"gone_s": FLEET_GONE_S, "often_s": HEARTBEAT_S})


def mark_delivery_resumed(connection: sa.Connection, family: Family | None = None) -> None:
    """Note that delivery of ``family`` has just become possible again: the age of its jobs counts from now.

    Args:
        family: None: all families.
    """
    connection.execute(_POSSIBLE_AGAIN, {"name": f"{_STATE}:{family}" if family else _STATE})


def lock(connection: sa.Connection, shards: Sequence[int]) -> dict[int, LockedShard]:
    """Lock the shards' rows, always in the same order."""
    rows = connection.execute(_LOCK, {"shards": sorted(set(shards))})
    return {
        row.shard: LockedShard(row.fence, row.holder, row.next_position, row.paused) for row in rows
    }


def set_next_position(connection: sa.Connection, shard: int, position: int) -> None:
    """Say where the next row of the shard's backlog goes. The caller holds the shard's row."""
    connection.execute(_SET_NEXT_POSITION, {"shard": shard, "position": position})


def set_paused(connection: sa.Connection, shards: Sequence[int] | None, paused: bool) -> list[int]:
    """Pause or resume the given shards (None: all); returns those that exist."""
    moment = "now()" if paused else "NULL"
    rows = connection.execute(
        sa.text(f"""
            UPDATE trackrelay_shards SET paused_at = {moment}
            WHERE CAST(:shards AS int[]) IS NULL OR shard = ANY(CAST(:shards AS int[])) RETURNING shard
        """),
        {"shards": None if shards is None else list(shards)},
    )
    changed = sorted(row.shard for row in rows)
    if not paused:
        mark_delivery_resumed(connection)
    return changed


def extent(connection: sa.Connection) -> tuple[int, bool]:
    """How many shards there are, and whether any was ever held."""
    row = connection.execute(_EXTENT).one()
    return row.shards, row.held


def paused(connection: sa.Connection) -> set[int]:
    """The shards that are paused."""
    return {row.shard for row in connection.execute(_PAUSED)}
