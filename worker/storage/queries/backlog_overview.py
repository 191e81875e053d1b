"""Summarise Postgres for ``status``: the backlog, the dead letters, the paused shards, losses."""

from __future__ import annotations

from dataclasses import dataclass, field

import sqlalchemy as sa

from trackrelay.worker.endpoint_families import SINGLES
from trackrelay.worker.storage import (
    finding_records,
    forgotten,
    incident_log,
    ledger_partitions,
    queue_record,
)
from trackrelay.worker.storage.forgotten import Summary
from trackrelay.worker.storage.incident_log import Incident
from trackrelay.worker.storage.queue_record import NO_RECORD, QueueRecord

from .plan_overview import PlanOverview, plan_overview
from .verification_overview import VerificationOverview, verification_overview

#: The longest time of a count. In an emergency, ``status`` must not wait for it.
TIMEOUT_MS = 10_000

# A job with two keys has two rows, of which the one that sends it counts.
_BACKLOG = sa.text("""
    SELECT shard, lane, reason, count(*) AS jobs,
        count(*) FILTER (WHERE due_at <= now()) AS due,
        count(*) FILTER (WHERE operation LIKE ANY(CAST(:singles AS text[]))) AS singles,
        CAST(extract(epoch FROM min(enqueued_at)) AS float8) AS oldest,
        CAST(extract(epoch FROM min(since)) AS float8) AS since
    FROM trackrelay_backlog WHERE sends GROUP BY shard, lane, reason ORDER BY shard, lane, reason
""")

_WAITING = sa.text("""
    SELECT count(*) AS jobs, CAST(extract(epoch FROM min(enqueued_at)) AS float8) AS oldest
    FROM trackrelay_backlog WHERE sends
""")

_DEAD_LETTERS = sa.text("""
    SELECT state, reason, jobs, CAST(extract(epoch FROM oldest) AS float8) AS oldest,
        CAST(extract(epoch FROM newest) AS float8) AS newest,
        (SELECT error FROM trackrelay_dead_letters n
         WHERE n.state = d.state AND n.reason = d.reason ORDER BY died_at DESC LIMIT 1) AS error
    FROM (
        SELECT state, reason, count(*) AS jobs, min(died_at) AS oldest, max(died_at) AS newest
        FROM trackrelay_dead_letters WHERE state IN ('open', 'replaying')
        GROUP BY state, reason) d
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
    #: When the first of them came into the backlog.
    since: float


@dataclass(frozen=True, slots=True)
class Dead:
    """Dead letters of one state and reason. Times are unix seconds."""

    state: str
    reason: str
    jobs: int
    oldest: float
    newest: float
    #: The error of the newest.
    error: str | None


@dataclass(frozen=True, slots=True)
class Overview:
    """All of it at one moment."""

    backlog: list[Waits] = field(default_factory=list)
    dead_letters: list[Dead] = field(default_factory=list)
    #: When each paused shard was paused, in unix seconds.
    paused: dict[int, float] = field(default_factory=dict)
    #: The number of shards.
    shards: int = 0
    #: The record of the queue in Redis.
    queue: QueueRecord = NO_RECORD
    #: Losses of jobs that nobody has acknowledged.
    incidents: list[Incident] = field(default_factory=list)
    #: People who were forgotten, and what came for them since.
    forgotten: Summary = field(default_factory=Summary)
    verification: VerificationOverview = field(default_factory=VerificationOverview)
    #: Open findings about the data, by the id of the rule; none that somebody acknowledged.
    findings: dict[str, int] = field(default_factory=dict)
    plan: PlanOverview = field(default_factory=PlanOverview)
    #: What is wrong with the ledger's partitions, or "".
    ledger_problem: str = ""

    @property
    def waiting(self) -> int:
        """The number of jobs in the backlog."""
        return sum(each.jobs for each in self.backlog)

    @property
    def oldest(self) -> float | None:
        """When the oldest job of the backlog was enqueued."""
        return min((each.oldest for each in self.backlog), default=None)

    @property
    def lost(self) -> int:
        """The number of lost jobs, as a health check counts them."""
        return sum(each.jobs for each in self.incidents)

    def dead(self, state: str) -> int:
        """Return the number of dead letters in ``state``."""
        return sum(each.jobs for each in self.dead_letters if each.state == state)


def waiting(connection: sa.Connection) -> tuple[int, float | None]:
    """Return how many jobs are in the backlog, and when the oldest was enqueued."""
    row = connection.execute(_WAITING).one()
    return row.jobs, row.oldest


def waits(connection: sa.Connection) -> list[Waits]:
    """Return how many jobs wait in each shard for each reason."""
    rows = connection.execute(_BACKLOG, {"singles": [f"{each}%" for each in SINGLES]})
    return [Waits(**row._mapping) for row in rows]


def overview(connection: sa.Connection) -> Overview:
    """Read the overview."""
    connection.execute(sa.text(f"SET LOCAL statement_timeout = {TIMEOUT_MS}"))
    rows = connection.execute(_SHARDS).all()
    return Overview(
        backlog=waits(connection),
        dead_letters=[Dead(**row._mapping) for row in connection.execute(_DEAD_LETTERS)],
        paused={row.shard: float(row.paused) for row in rows if row.paused is not None},
        shards=len(rows),
        queue=queue_record.read(connection),
        incidents=incident_log.unacknowledged(connection),
        forgotten=forgotten.summary(connection),
        verification=verification_overview(connection),
        findings=finding_records.count_open(connection),
        plan=plan_overview(connection),
        ledger_problem=ledger_partitions.problem(connection) or "",
    )
