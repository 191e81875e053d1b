"""Record losses of jobs: what the streams held, what was settled later, who acknowledged the loss.

Redis keeps no count of what it lost. So each tick records in Postgres what the streams hold. When
the queue is lost, that record, less what was settled since and what an outbox still has, is the
loss. It is a pair of bounds, because some settled jobs cannot be told from others. Jobs that were
enqueued after the last record are in no count, and the texts say so.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from .sql_files import sql

#: Seconds after which the record is renewed if the streams do not change.
RENEW_S = 10

_NOTE = sql("note_streams")
_OPEN = sql("open_incident")
_SETTLED = sql("count_settled")
_UNCOUNTED = sa.text("""
    SELECT id, kind, streams, relayed_again, extract(epoch FROM count_until) AS count_until
    FROM trackrelay_incidents
    WHERE streams IS NOT NULL AND (counted_at IS NULL OR counted_at < count_until) FOR UPDATE
""")

_COUNTED = sa.text("""
    UPDATE trackrelay_incidents SET settled_low = :low, settled_high = :high,
        at_least = :at_least, at_most = :at_most, counted_at = now()
    WHERE id = :id
""")

_AFFECTED = sa.text("""
    SELECT id, streams, relayed_again, settled_low, settled_high FROM trackrelay_incidents
    WHERE generation = :generation AND streams IS NOT NULL FOR UPDATE
""")
_RELAYED_AGAIN = sa.text("""
    UPDATE trackrelay_incidents
    SET relayed_again = :relayed_again, at_least = :at_least, at_most = :at_most WHERE id = :id
""")

# Each process reports what it knows in its own time. A relay may have noticed the same failover.
_ADD_FORGOTTEN = sa.text("""
    UPDATE trackrelay_incidents
    SET at_least = at_least + :at_least, at_most = coalesce(at_most, 0) + :at_most
    WHERE id = (
        SELECT max(id) FROM trackrelay_incidents
        WHERE kind = :kind AND acknowledged_at IS NULL AND until > now() - interval '1 hour')
    RETURNING id
""")
_OPEN_FORGOTTEN = sa.text("""
    INSERT INTO trackrelay_incidents (kind, generation, until, count_until, at_least, at_most)
    VALUES (:kind, :generation, clock_timestamp(), clock_timestamp(), :at_least, :at_most)
""")

_UNACKNOWLEDGED = sa.text("""
    SELECT id, kind, CAST(extract(epoch FROM since) AS float8) AS since,
        CAST(extract(epoch FROM until) AS float8) AS until, at_least, at_most
    FROM trackrelay_incidents WHERE acknowledged_at IS NULL ORDER BY id
""")

_ACKNOWLEDGE = sa.text("""
    UPDATE trackrelay_incidents SET acknowledged_at = now(), acknowledged_by = :who
    WHERE acknowledged_at IS NULL
        AND (CAST(:ids AS bigint[]) IS NULL OR id = ANY(CAST(:ids AS bigint[])))
    RETURNING id
""")

#: Days for which acknowledged losses are kept. Others stay until somebody acknowledges them.
KEPT_DAYS = 365
_PRUNE = sa.text("""
    DELETE FROM trackrelay_incidents WHERE acknowledged_at < now() - make_interval(days => :days)
""")


class Kind(StrEnum):
    """How jobs were lost."""

    #: Redis had lost the queue.
    WIPED = "wiped"
    #: Redis had another queue than the one that Postgres knows.
    REPLACED = "replaced"
    #: Redis had lost the latest entries, as after a failover. It may still have the recorded ones.
    ROLLED_BACK = "rolled_back"
    #: Postgres had lost its latest commits, after a failover to a standby that was behind.
    COMMITS_LOST = "commits_lost"


@dataclass(frozen=True, slots=True)
class Streams:
    """What the streams of all shards held at one moment."""

    jobs: int
    #: How many of them a holder has read and not acknowledged.
    pending: int
    #: Unix seconds by Redis' clock.
    at: float


@dataclass(frozen=True, slots=True)
class Incident:
    """A loss that nobody has acknowledged. Times are unix seconds."""

    id: int
    kind: Kind
    #: When the content of the queue was last known, and when the loss was noticed.
    since: float | None
    until: float
    at_least: int
    #: Of the recorded jobs. None: nothing was recorded.
    at_most: int | None

    @property
    def jobs(self) -> int:
        """How many jobs a health check counts: at least one, enqueued after the record."""
        return max(self.at_most or 0, 1)


def note_streams(connection: sa.Connection, generation: str, streams: Streams) -> None:
    """Record what the streams hold, if that has changed or the record is old."""
    values = {"jobs": streams.jobs, "pending": streams.pending, "at": streams.at}
    connection.execute(_NOTE, {"generation": generation, "renew_s": RENEW_S, **values})


def open_incident(connection: sa.Connection, kind: Kind, generation: str, settling_s: float) -> int:
    """Record that the queue of ``generation`` lost jobs; return the incident's number.

    Args:
        settling_s: how long a holder may still settle what it had read.
    """
    values = {"kind": str(kind), "generation": generation, "settling_s": settling_s}
    return int(connection.execute(_OPEN, values).scalar_one())


def record_forgotten(
    connection: sa.Connection, kind: Kind, generation: str, at_least: int, at_most: int
) -> None:
    """Record how many jobs that were accepted are in no store any more."""
    values = {"kind": str(kind), "at_least": at_least, "at_most": at_most}
    if connection.execute(_ADD_FORGOTTEN, values).first() is None:
        connection.execute(_OPEN_FORGOTTEN, {**values, "generation": generation})


def count_lost(connection: sa.Connection) -> None:
    """Count, for each incident whose count is not final yet, how many jobs were lost."""
    for row in connection.execute(_UNCOUNTED).all():
        note: dict[str, Any] = row.streams
        # Ids of stream entries are in whole milliseconds.
        moments = {"asked": note["asked"], "noted": note["noted"], "at": note["at"] + 0.001}
        settled = connection.execute(_SETTLED, {**moments, "count_until": row.count_until}).one()
        high = settled.delivered_high + settled.waiting_high + settled.dead_high
        # With a backlog, a delivered job may have come from there.
        low = settled.waiting_low + (
            0 if note["backlog"] else settled.delivered_low + settled.dead_low
        )
        at_least, at_most = bounds(note["jobs"], note["pending"], (low, high), row.relayed_again)
        if row.kind == Kind.REPLACED:
            # It may be the same queue after all, if Postgres was restored from a backup.
            at_least = 0
        values = {"low": low, "high": high, "at_least": at_least, "at_most": at_most}
        connection.execute(_COUNTED, {"id": row.id, **values})


def bounds(
    jobs: int, pending: int, settled: tuple[int, int], relayed_again: int
) -> tuple[int, int]:
    """Return how many of ``jobs`` were lost, at least and at most.

    Args:
        pending: how many of them a holder had read and not acknowledged.
        settled: how many were settled after the record, at least and at most.
        relayed_again: how many an outbox still had.
    """
    low, high = settled
    # A pending job may have been settled and relayed again. It counts once.
    twice = min(pending, low, relayed_again)
    at_most = min(jobs, max(0, jobs - low - relayed_again + twice))
    # A pending job may have been settled before the record.
    at_least = max(0, jobs - pending - high - relayed_again)
    return min(at_least, at_most), at_most


def note_relayed_again(connection: sa.Connection, generation: str, jobs: int) -> None:
    """Record that an outbox still had ``jobs`` jobs of the lost queue ``generation``."""
    for row in connection.execute(_AFFECTED, {"generation": generation}).all():
        again = row.relayed_again + jobs
        settled = (row.settled_low, row.settled_high)
        at_least, at_most = bounds(row.streams["jobs"], row.streams["pending"], settled, again)
        values = {"relayed_again": again, "at_least": at_least, "at_most": at_most}
        connection.execute(_RELAYED_AGAIN, {"id": row.id, **values})


def unacknowledged(connection: sa.Connection) -> list[Incident]:
    """Return the incidents that nobody has acknowledged, oldest first."""
    return [
        Incident(row.id, Kind(row.kind), row.since, row.until, row.at_least, row.at_most)
        for row in connection.execute(_UNACKNOWLEDGED)
    ]


def acknowledge(connection: sa.Connection, ids: list[int] | None, who: str) -> list[int]:
    """Acknowledge the incidents ``ids`` (None: all), and return those that were not before."""
    return sorted(row.id for row in connection.execute(_ACKNOWLEDGE, {"ids": ids, "who": who}))


def prune(connection: sa.Connection) -> int:
    """Delete losses that were acknowledged long ago, and return how many."""
    return connection.execute(_PRUNE, {"days": KEPT_DAYS}).rowcount
