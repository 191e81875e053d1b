"""Jobs that were lost: what the streams held, what became of it, and who acknowledged the rest.

Redis keeps no count of what it lost, so the tick notes in Postgres what the streams hold. When the queue turns out to be gone,
the last note, less what was settled since and what an outbox still had, is what was lost. The result is a pair of bounds: some
settled jobs cannot be told from others. What applications enqueued after the last note is in no count, and the texts say so.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

#: How often the note is renewed while the streams do not change, seconds.
RENEW_S = 10

_NOTE = sa.text("""
    INSERT INTO trackrelay_state (name, value, updated_at)
    VALUES ('streams', jsonb_build_object(
        'generation', CAST(:generation AS text), 'jobs', CAST(:jobs AS bigint), 'pending', CAST(:pending AS bigint),
        'backlog', EXISTS (SELECT 1 FROM trackrelay_backlog),
        'at', CAST(:at AS float8), 'asked', extract(epoch FROM now()), 'noted', extract(epoch FROM clock_timestamp())),
        clock_timestamp())
    ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at
    WHERE trackrelay_state.value - 'at' - 'asked' - 'noted' <> excluded.value - 'at' - 'asked' - 'noted'
        OR trackrelay_state.updated_at < now() - make_interval(secs => :renew_s)
""")

_OPEN = sa.text("""
    INSERT INTO trackrelay_incidents (kind, generation, since, until, count_until, streams, at_most)
    SELECT CAST(:kind AS text), CAST(:generation AS text), note.updated_at, clock_timestamp(),
        clock_timestamp() + make_interval(secs => :settling_s), note.value, CAST(note.value ->> 'jobs' AS bigint)
    FROM (SELECT 1) AS one LEFT JOIN trackrelay_state AS note
        ON note.name = 'streams' AND note.value ->> 'generation' = :generation AND :kind <> 'rolled_back'
    RETURNING id
""")

_UNCOUNTED = sa.text("""
    SELECT id, kind, streams, relayed_again, extract(epoch FROM count_until) AS count_until
    FROM trackrelay_incidents
    WHERE streams IS NOT NULL AND (counted_at IS NULL OR counted_at < count_until) FOR UPDATE
""")

# Some settled jobs were enqueued before the note and yet were not in the streams then: replays and what came out of the
# backlog. A replay is known by its dead letter; what came out of the backlog is not, and widens the bounds.
_SETTLED = sa.text("""
    WITH ledger AS (
        SELECT l.other_key, l.delivered_at FROM trackrelay_ledger l
        WHERE l.delivered_at > to_timestamp(:asked) AND l.delivered_at <= to_timestamp(:count_until)
            AND l.enqueued_at <= to_timestamp(:at)
            AND NOT EXISTS (SELECT 1 FROM trackrelay_dead_letters d
                WHERE d.job_id = l.id AND d.died_at <= to_timestamp(:asked))),
    backlog AS (
        SELECT since FROM trackrelay_backlog
        WHERE since > to_timestamp(:asked) AND since <= to_timestamp(:count_until)
            AND enqueued_at <= to_timestamp(:at) AND NOT replayed),
    dead AS (
        SELECT other_key, died_at FROM trackrelay_dead_letters
        WHERE died_at > to_timestamp(:asked) AND died_at <= to_timestamp(:count_until)
            AND enqueued_at <= to_timestamp(:at) AND state <> 'delivered')
    SELECT (SELECT count(*) FILTER (WHERE delivered_at > to_timestamp(:noted)) FROM ledger) AS delivered_low,
        (SELECT count(*) + count(other_key) FROM ledger) AS delivered_high,
        (SELECT count(*) FILTER (WHERE since > to_timestamp(:noted)) FROM backlog) AS waiting_low,
        (SELECT count(*) FROM backlog) AS waiting_high,
        (SELECT count(*) FILTER (WHERE died_at > to_timestamp(:noted)) FROM dead) AS dead_low,
        (SELECT count(*) + count(other_key) FROM dead) AS dead_high
""")

_COUNTED = sa.text("""
    UPDATE trackrelay_incidents SET settled_low = :low, settled_high = :high, at_least = :at_least, at_most = :at_most,
        counted_at = now()
    WHERE id = :id
""")

_AFFECTED = sa.text("""
    SELECT id, streams, relayed_again, settled_low, settled_high FROM trackrelay_incidents
    WHERE generation = :generation AND streams IS NOT NULL FOR UPDATE
""")
_RELAYED_AGAIN = sa.text("""
    UPDATE trackrelay_incidents SET relayed_again = :relayed_again, at_least = :at_least, at_most = :at_most WHERE id = :id
""")

_UNACKNOWLEDGED = sa.text("""
    SELECT id, kind, extract(epoch FROM since) AS since, extract(epoch FROM until) AS until, at_least, at_most
    FROM trackrelay_incidents WHERE acknowledged_at IS NULL ORDER BY id
""")

_ACKNOWLEDGE = sa.text("""
    UPDATE trackrelay_incidents SET acknowledged_at = now(), acknowledged_by = :who
    WHERE acknowledged_at IS NULL AND (CAST(:ids AS bigint[]) IS NULL OR id = ANY(CAST(:ids AS bigint[]))) RETURNING id
""")


class Kind(StrEnum):
    """How jobs were lost."""

    #: Redis had no queue any more.
    WIPED = "wiped"
    #: Redis had another queue than the one that Postgres knew.
    REPLACED = "replaced"
    #: Redis had lost the latest entries of its streams, as after a failover. What the last note says is still there, or not.
    ROLLED_BACK = "rolled_back"


@dataclass(frozen=True, slots=True)
class Streams:
    """What the streams of all shards hold at one moment."""

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
    #: Of what was known to be in the queue; None: nothing was known.
    at_most: int | None

    @property
    def jobs(self) -> int:
        """How many jobs a health check counts: one if no lost job is known, as some may have come after the last note."""
        return max(self.at_most or 0, 1)


def note_streams(connection: sa.Connection, generation: str, streams: Streams) -> None:
    """Note what the streams hold, if that differs from the last note or the last note is old."""
    values = {"jobs": streams.jobs, "pending": streams.pending, "at": streams.at}
    connection.execute(_NOTE, {"generation": generation, "renew_s": RENEW_S, **values})


def open_incident(connection: sa.Connection, kind: Kind, generation: str, settling_s: float) -> int:
    """Record that the queue of ``generation`` lost jobs; return the incident's number.

    Args:
        settling_s: for how long a holder may still settle what it had in hand.
    """
    values = {"kind": str(kind), "generation": generation, "settling_s": settling_s}
    return int(connection.execute(_OPEN, values).scalar_one())


def count_lost(connection: sa.Connection) -> None:
    """Count, for each incident whose count is not final yet, how many jobs were lost."""
    for row in connection.execute(_UNCOUNTED).all():
        note: dict[str, Any] = row.streams
        # Ids of stream entries are in whole milliseconds.
        moments = {"asked": note["asked"], "noted": note["noted"], "at": note["at"] + 0.001}
        settled = connection.execute(_SETTLED, {**moments, "count_until": row.count_until}).one()
        high = settled.delivered_high + settled.waiting_high + settled.dead_high
        # With a backlog, what was delivered may have come from there.
        low = settled.waiting_low + (
            0 if note["backlog"] else settled.delivered_low + settled.dead_low
        )
        at_least, at_most = bounds(note["jobs"], note["pending"], (low, high), row.relayed_again)
        if row.kind == Kind.REPLACED:
            # The other queue may be the one of before after all, as Postgres was restored from a backup.
            at_least = 0
        values = {"low": low, "high": high, "at_least": at_least, "at_most": at_most}
        connection.execute(_COUNTED, {"id": row.id, **values})


def bounds(
    jobs: int, pending: int, settled: tuple[int, int], relayed_again: int
) -> tuple[int, int]:
    """Return how many of ``jobs`` were lost, at least and at most.

    Args:
        pending: how many of them a holder had in hand.
        settled: how many were settled after the note, at least and at most.
        relayed_again: how many an outbox still had.
    """
    low, high = settled
    # What was in hand may have been settled and relayed again; it counts once.
    twice = min(pending, low, relayed_again)
    at_most = min(jobs, max(0, jobs - low - relayed_again + twice))
    # What was in hand may have been settled before the note.
    at_least = max(0, jobs - pending - high - relayed_again)
    return min(at_least, at_most), at_most


def note_relayed_again(connection: sa.Connection, generation: str, jobs: int) -> None:
    """Note that an outbox still had ``jobs`` jobs of the lost queue ``generation``."""
    for row in connection.execute(_AFFECTED, {"generation": generation}).all():
        again = row.relayed_again + jobs
        settled = (row.settled_low, row.settled_high)
        at_least, at_most = bounds(row.streams["jobs"], row.streams["pending"], settled, again)
        values = {"relayed_again": again, "at_least": at_least, "at_most": at_most}
        connection.execute(_RELAYED_AGAIN, {"id": row.id, **values})


def unacknowledged(connection: sa.Connection) -> list[Incident]:
    """Return the incidents that nobody has acknowledged, oldest first."""
    return [
        Incident(
            id=row.id,
            kind=Kind(row.kind),
            since=None if row.since is None else float(row.since),
            until=float(row.until),
            at_least=row.at_least,
            at_most=row.at_most,
        )
        for row in connection.execute(_UNACKNOWLEDGED)
    ]


def acknowledge(connection: sa.Connection, ids: list[int] | None, who: str) -> list[int]:
    """Acknowledge the incidents ``ids`` (None: all); return those that were not acknowledged before."""
    return sorted(row.id for row in connection.execute(_ACKNOWLEDGE, {"ids": ids, "who": who}))
