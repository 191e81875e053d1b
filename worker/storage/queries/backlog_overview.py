"""How things stand in Postgres: what waits and why, what died, what is paused."""

from __future__ import annotations

from dataclasses import dataclass, field

import sqlalchemy as sa

from trackrelay.worker.endpoint_families import SINGLES
from trackrelay.worker.storage import incident_log, queue_record
from trackrelay.worker.storage.incident_log import Incident
from trackrelay.worker.storage.queue_record import NO_RECORD, QueueRecord

#: A count that takes longer is not worth waiting for when something is wrong.
TIMEOUT_MS = 10_000

# A job with two keys has two rows; the one that sends counts.
_BACKLOG = sa.text("""
    SELECT shard, lane, reason, count(*) AS jobs,
        count(*) FILTER (WHERE due_at <= now()) AS due,
        count(*) FILTER (WHERE operation LIKE ANY(CAST(:singles AS text[]))) AS singles,
        extract(epoch FROM min(enqueued_at)) AS oldest, extract(epoch FROM min(since)) AS since
    FROM trackrelay_backlog WHERE sends GROUP BY shard, lane, reason ORDER BY shard, lane, reason
""")

_DEAD_LETTERS = sa.text("""
    SELECT state, reason, jobs, extract(epoch FROM oldest) AS oldest, extract(epoch FROM newest) AS newest,
        (SELECT error FROM trackrelay_dead_letters n WHERE n.state = d.state AND n.reason = d.reason
         ORDER BY died_at DESC LIMIT 1) AS error
    FROM (
        SELECT state, reason, count(*) AS jobs, min(died_at) AS oldest, max(died_at) AS newest
        FROM trackrelay_dead_letters WHERE state IN ('open', 'replaying') GROUP BY state, reason) d
    ORDER BY jobs DESC, reason
""")

_SHARDS = sa.text(
    "SELECT shard, extract(epoch FROM paused_at) AS paused FROM trackrelay_shards ORDER BY shard"
)


@dataclass(frozen=True, slots=True)
class Waits:
    """Jobs in the backlog that wait in one shard's lane for one reason. Times are unix seconds."""

    shard: int
    lane: str
    reason: str
    jobs: int
    #: How many of them could be tried now.
    due: int
    #: How many of them need a request of their own.
    singles: int
    #: When the oldest was enqueued.
    oldest: float
    #: Since when the first has been in the backlog.
    since: float


@dataclass(frozen=True, slots=True)
class Dead:
    """Dead letters of one state and reason. Times are unix seconds."""

    state: str
    reason: str
    jobs: int
    oldest: float
    newest: float
    #: What was said of the newest.
    error: str | None


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything, at one moment."""

    backlog: list[Waits] = field(default_factory=list)
    dead_letters: list[Dead] = field(default_factory=list)
    #: Since when each paused shard is paused, unix seconds.
    paused: dict[int, float] = field(default_factory=dict)
    #: How many shards have a row.
    shards: int = 0
    #: What is recorded of the queue in Redis.
    queue: QueueRecord = NO_RECORD
    #: Losses of jobs that nobody has acknowledged.
    incidents: list[Incident] = field(default_factory=list)

    @property
    def waiting(self) -> int:
        """Jobs in the backlog."""
        return sum(each.jobs for each in self.backlog)

    @property
    def oldest(self) -> float | None:
        """When the oldest job of the backlog was enqueued."""
        return min((each.oldest for each in self.backlog), default=None)

    @property
    def lost(self) -> int:
        """Jobs that were lost, as a health check counts them."""
        return sum(each.jobs for each in self.incidents)

    def dead(self, state: str) -> int:
        """Dead letters in ``state``."""
        return sum(each.jobs for each in self.dead_letters if each.state == state)


def overview(connection: sa.Connection) -> Overview:
    """How things stand in Postgres."""
    connection.execute(sa.text(f"SET LOCAL statement_timeout = {TIMEOUT_MS}"))
    rows = connection.execute(_SHARDS).all()
    return Overview(
        backlog=[
            Waits(
                row.shard,
                row.lane,
                row.reason,
                row.jobs,
                row.due,
                row.singles,
                float(row.oldest),
                float(row.since),
            )
            for row in connection.execute(
                _BACKLOG, {"singles": [f"{beginning}%" for beginning in SINGLES]}
            )
        ],
        dead_letters=[
            Dead(row.state, row.reason, row.jobs, float(row.oldest), float(row.newest), row.error)
            for row in connection.execute(_DEAD_LETTERS)
        ],
        paused={row.shard: float(row.paused) for row in rows if row.paused is not None},
        shards=len(rows),
        queue=queue_record.read(connection),
        incidents=incident_log.unacknowledged(connection),
    )
