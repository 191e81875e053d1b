"""Rows of the backlog that nobody will ever send: parts of two-key jobs that are settled, or whose other part will not come.

The holders of two shards agree on a job of two keys by its rows alone. Two of their moments can fall so that one row is left: a repeat
under the same id named another second key and was read while the job was being settled; or one shard dropped a repeat of an open dead
letter, which was discarded before the other shard read it. Left alone, such a row would hold up its key for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from trackrelay.queue.redis_keys import Lane

from . import backlog, shards
from .pg_values import text_array

#: A row that has been first for so long, and was not sent, is looked at.
STUCK_S = 30
#: A part is not sent alone, or given up, for so long: its other part may be on its way out of an outbox once more, after Redis was lost.
HALF_S = 900
#: Rows looked at in one go.
MOST = 500

_STUCK = sa.text("""
    SELECT b.job_id, b.lane, b.parts, b.shards, extract(epoch FROM b.age_from) AS age_from, d.state,
        b.due_at < now() - make_interval(secs => :half_s) AS long,
        EXISTS (SELECT 1 FROM trackrelay_ledger l WHERE l.id = b.job_id) AS delivered,
        (SELECT array_agg(o.shard) FROM trackrelay_backlog o WHERE o.job_id = b.job_id) AS present
    FROM trackrelay_backlog b LEFT JOIN trackrelay_dead_letters d ON d.job_id = b.job_id
    WHERE b.parts > 1 AND b.due_at < now() - make_interval(secs => :stuck_s) ORDER BY b.due_at LIMIT :most
""")

# Both look again: under the lock of all its shards nothing changes any more.
_LEFT_OVER = sa.text("""
    SELECT id FROM unnest(CAST(:ids AS text[])) AS stuck (id)
    WHERE EXISTS (SELECT 1 FROM trackrelay_ledger l WHERE l.id = stuck.id)
        OR EXISTS (SELECT 1 FROM trackrelay_dead_letters d WHERE d.job_id = stuck.id AND (d.state = 'open'
            OR d.state = 'discarded' AND (SELECT count(*) < max(parts) FROM trackrelay_backlog o WHERE o.job_id = stuck.id)))
""")

_SEND_ALONE = sa.text("""
    UPDATE trackrelay_backlog b SET parts = 1, sends = true WHERE job_id = ANY(CAST(:ids AS text[]))
        AND parts > (SELECT count(*) FROM trackrelay_backlog o WHERE o.job_id = b.job_id)
    RETURNING job_id
""")


@dataclass(frozen=True, slots=True)
class Stuck:
    """A job of two keys that has been first in some shard for a while."""

    job_id: str
    lane: Lane
    #: Unix seconds, by Redis' clock.
    entered_at: float
    delivered: bool
    #: Of the dead letter with its id, if there is one.
    state: str | None
    #: All shards of its keys, and those that have a row.
    shards: tuple[int, ...]
    present: tuple[int, ...]
    parts: int
    #: Whether it has been for so long that its other part can be nowhere but in a stream.
    long: bool

    @property
    def settled(self) -> bool:
        """Whether the stores say what became of it: its rows are left over."""
        return self.delivered or self.state == "open"

    @property
    def missing(self) -> tuple[int, ...]:
        """The shards that have not read their part, or have dropped it, if that is so for long."""
        return (
            ()
            if not self.long or len(self.present) >= self.parts
            else tuple(set(self.shards) - set(self.present))
        )


def stuck(connection: sa.Connection) -> list[Stuck]:
    """Jobs of two keys that could have been sent for a while, as far as some shard knows, and were not."""
    rows = connection.execute(_STUCK, {"stuck_s": STUCK_S, "half_s": HALF_S, "most": MOST})
    found = {
        row.job_id: Stuck(
            row.job_id, row.lane, float(row.age_from), row.delivered, row.state, tuple(row.shards), tuple(row.present),
            row.parts, row.long,
        )
        for row in rows
    }  # fmt: skip
    return list(found.values())


def take_out(connection: sa.Connection, jobs: Sequence[Stuck], merge_delay_s: float) -> list[str]:
    """Remove every row of jobs that are settled elsewhere, and promote the jobs behind them.

    The caller commits.

    Returns:
        the ids of those that still were.
    """
    if not jobs:
        return []
    _lock(connection, jobs)
    ids = text_array([job.job_id for job in jobs])
    settled = [row.id for row in connection.execute(_LEFT_OVER, {"ids": ids})]
    backlog.promote(connection, backlog.remove(connection, settled), merge_delay_s)
    return settled


def send_alone(connection: sa.Connection, jobs: Sequence[Stuck]) -> list[str]:
    """Let jobs be sent by the shard that has them, without the part that will not come. The caller commits.

    Returns:
        the ids of those whose other part did not come meanwhile.
    """
    if not jobs:
        return []
    _lock(connection, jobs)
    rows = connection.execute(_SEND_ALONE, {"ids": text_array([job.job_id for job in jobs])})
    return [row.job_id for row in rows]


def _lock(connection: sa.Connection, jobs: Sequence[Stuck]) -> None:
    shards.lock(
        connection, sorted({shard for job in jobs for shard in (*job.shards, *job.present)})
    )
