"""Find and repair backlog rows of two-key jobs that nobody would ever send.

The holders of a two-key job's shards agree on it by its rows alone. Two events leave a single row.
A duplicate under the same id named another second key, and was read while the job was settled. Or
one shard dropped a duplicate of an open dead letter, which was discarded before the other shard
read it. Such a row would block its key for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from trackrelay.queue.redis_keys import Lane

from . import backlog, ledger, shards
from .pg_values import text_array

#: Seconds for which a row must have been first without being sent.
FIRST_FOR_S = 30
#: Seconds for which a missing row is waited for: after Redis was lost, an outbox may send it again.
MISSING_FOR_S = 900
#: Most rows in one search.
MAX_ROWS = 500

_CANDIDATES = sa.text("""
    SELECT b.job_id, b.lane, b.parts, b.shards, extract(epoch FROM b.age_from) AS age_from, d.state,
        b.due_at < now() - make_interval(secs => :missing_for_s) AS is_long_first,
        (SELECT array_agg(o.shard) FROM trackrelay_backlog o WHERE o.job_id = b.job_id) AS present
    FROM trackrelay_backlog b LEFT JOIN trackrelay_dead_letters d ON d.job_id = b.job_id
    WHERE b.parts > 1 AND b.due_at < now() - make_interval(secs => :first_for_s)
    ORDER BY b.due_at LIMIT :limit
""")

# Both statements check again, because nothing changes any more under the lock of all its shards.
_DEAD = sa.text("""
    SELECT id FROM unnest(CAST(:ids AS text[])) AS candidate (id)
    WHERE EXISTS (
        SELECT 1 FROM trackrelay_dead_letters d
        WHERE d.job_id = candidate.id AND (d.state = 'open' OR d.state = 'discarded' AND (
            SELECT count(*) < max(parts) FROM trackrelay_backlog o
            WHERE o.job_id = candidate.id)))
""")

_SEND_WITHOUT_MISSING = sa.text("""
    UPDATE trackrelay_backlog b SET parts = 1, sends = true
    WHERE job_id = ANY(CAST(:ids AS text[]))
        AND parts > (SELECT count(*) FROM trackrelay_backlog o WHERE o.job_id = b.job_id)
    RETURNING job_id
""")


@dataclass(frozen=True, slots=True)
class OrphanCandidate:
    """A two-key job that has been first in some shard for a while and was not sent."""

    job_id: str
    lane: Lane
    #: Unix seconds, by Redis' clock.
    entered_at: float
    is_delivered: bool
    #: The state of the dead letter with its id, if there is one.
    state: str | None
    #: The shards of all its keys, and those with a row.
    shards: tuple[int, ...]
    present: tuple[int, ...]
    parts: int
    #: Whether it was first for so long that a missing row can only be in a stream.
    is_long_first: bool

    @property
    def is_settled(self) -> bool:
        """Whether the stores know its outcome, so that its rows are of no use."""
        return self.is_delivered or self.state == "open"

    @property
    def missing_shards(self) -> tuple[int, ...]:
        """The shards that should have a row and have none, once that has been so for long."""
        if not self.is_long_first or len(self.present) >= self.parts:
            return ()
        return tuple(set(self.shards) - set(self.present))


def find_candidates(connection: sa.Connection) -> list[OrphanCandidate]:
    """Return the two-key jobs that some shard could have sent for a while."""
    rows = connection.execute(
        _CANDIDATES,
        {"first_for_s": FIRST_FOR_S, "missing_for_s": MISSING_FOR_S, "limit": MAX_ROWS},
    ).all()
    delivered = ledger.among(connection, [row.job_id for row in rows])
    candidates = {
        row.job_id: OrphanCandidate(
            job_id=row.job_id,
            lane=row.lane,
            entered_at=float(row.age_from),
            is_delivered=row.job_id in delivered,
            state=row.state,
            shards=tuple(row.shards),
            present=tuple(row.present),
            parts=row.parts,
            is_long_first=row.is_long_first,
        )
        for row in rows
    }
    return list(candidates.values())


def remove_settled(
    connection: sa.Connection, jobs: Sequence[OrphanCandidate], merge_delay_s: float
) -> list[str]:
    """Remove all rows of the jobs that are still settled, and promote the jobs behind them.

    The caller commits.

    Returns:
        the ids of those jobs.
    """
    if not jobs:
        return []
    _lock(connection, jobs)
    ids = [job.job_id for job in jobs]
    dead = connection.execute(_DEAD, {"ids": text_array(ids)}).scalars()
    settled = sorted(ledger.among(connection, ids).union(dead))
    backlog.promote(connection, backlog.remove(connection, settled), merge_delay_s)
    return settled


def send_without_missing(connection: sa.Connection, jobs: Sequence[OrphanCandidate]) -> list[str]:
    """Let the shard with a row send the jobs, if their other row is still missing.

    The caller commits.

    Returns:
        the ids of those jobs.
    """
    if not jobs:
        return []
    _lock(connection, jobs)
    ids = text_array([job.job_id for job in jobs])
    return [row.job_id for row in connection.execute(_SEND_WITHOUT_MISSING, {"ids": ids})]


def _lock(connection: sa.Connection, jobs: Sequence[OrphanCandidate]) -> None:
    shards.lock(
        connection, sorted({shard for job in jobs for shard in (*job.shards, *job.present)})
    )
