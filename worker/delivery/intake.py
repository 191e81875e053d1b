"""Steps 0 to 3 of a delivery cycle: what a read holds, and which of its jobs may be sent now.

:class:`LaneReader` asks Redis and Postgres. The functions below it decide, and are pure.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
import structlog
from redis.exceptions import RedisError

from trackrelay.queue.redis_keys import Lane
from trackrelay.worker.endpoint_families import ALL_FAMILIES, Family
from trackrelay.worker.reasons import DeathReason, DeferReason
from trackrelay.worker.storage import due_jobs, duplicate_check, ledger
from trackrelay.worker.storage.backlog import BacklogItem
from trackrelay.worker.storage.blocklist import BlockGuard
from trackrelay.worker.storage.dead_letters import NewDeadLetter
from trackrelay.worker.storage.duplicate_check import DueFilter, DuplicateCheck
from trackrelay.worker.storage.scan_cursor import ScanCursor
from trackrelay.worker.storage.settlement import Settlement
from trackrelay.worker.storage.storable_jobs import is_data_error
from trackrelay.worker.storage.stored_job import Job

from .breaker import BreakerStates
from .cycle_parts import PlanEnforcement
from .entry_decoder import Decoder
from .shard_queue import ALONE_AFTER, Claimed, ShardQueue, StreamRead

log = structlog.get_logger("trackrelay.delivery")

#: Jobs in one cycle.
MAX_CYCLE_JOBS = 1000
#: A read stops soon after this many bytes, so that a cycle's memory and time are bounded.
MAX_CYCLE_BYTES = 2_000_000
#: An entry that was delivered more often, at last alone, crashes its workers.
MAX_DELIVERIES = 10


@dataclass(slots=True)
class Intake:
    """What one read gave, in order."""

    lane: Lane
    jobs: list[Job] = field(default_factory=list)
    #: Which of ``jobs`` came out of the backlog.
    claimed: Claimed = field(default_factory=Claimed)
    #: The stream entries of the others. They are acknowledged once everything is settled.
    read: StreamRead = field(default_factory=StreamRead)
    #: Outcomes that need no request. They are settled together with the last wave.
    decided: Settlement = field(default_factory=Settlement)
    #: How many jobs were dropped, because the stores know them or this read has them twice.
    dropped: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether there was nothing to read."""
        return not self.read.entries and not self.jobs

    @property
    def may_be_sent_already(self) -> bool:
        """Whether an earlier holder read some of it and did not settle it."""
        return bool(self.read.deliveries or self.claimed.max_deliveries)

    @property
    def crashing_deliveries(self) -> int:
        """How often it was delivered, if that is more often than anything but a crash explains."""
        deliveries = max(self.read.deliveries, self.claimed.deliveries)
        return deliveries if deliveries > MAX_DELIVERIES else 0

    @property
    def must_isolate(self) -> bool:
        """Whether several jobs share an entry that keeps coming back alone.

        One of them may crash the workers.
        """
        return self.read.deliveries > ALONE_AFTER and len(self.jobs) > 1


@dataclass(frozen=True, slots=True)
class Sources:
    """What the readers of a held shard share."""

    engine: sa.Engine
    #: Turns entries into jobs.
    decoder: Decoder
    #: Knows whose jobs are not sent.
    guard: BlockGuard
    #: None if no tracking plan is enforced.
    plan: PlanEnforcement | None = None


class LaneReader:
    """Reads one lane of a held shard.

    Args:
        lane: the lane.
        queue: the held shard.
        sources: what it reads with.
        now: the server's time in unix seconds.
        cursor: how far scans of the lane's backlog have come.
    """

    def __init__(
        self,
        lane: Lane,
        queue: ShardQueue,
        sources: Sources,
        now: Callable[[], float],
        cursor: ScanCursor,
    ) -> None:
        self._lane = lane
        self._queue = queue
        self._engine = sources.engine
        self._decoder = sources.decoder
        self._guard = sources.guard
        self._plan = sources.plan
        self._now = now
        self._cursor = cursor
        #: Families of which the last read could send something.
        self._families: frozenset[Family] = ALL_FAMILIES
        self._has_pending = True
        self._has_due = True
        self._stream_has_work = True
        self._unacknowledged: Intake | None = None

    def read(self, breakers: BreakerStates) -> Intake:
        """Read what an earlier holder left pending; without that, due backlog jobs and new entries.

        Raises:
            LeaseLostError: the lease is not ours any more.
            NewerFormatError: an entry is of a newer format.
        """
        intake = Intake(self._lane)
        if self._has_pending:
            read = self._queue.read(self._lane, MAX_CYCLE_JOBS, MAX_CYCLE_BYTES, pending=True)
            if read.entries:
                self._decode(read, intake)
                return intake
            self._has_pending = False
        may_send = breakers.may_send
        if breakers.probing or not may_send <= self._families:
            # A family may be tried again. Its jobs may stand below the position of the last scan.
            self._has_due = True
            self._cursor.rewind()
        self._families = may_send
        if self._has_due and may_send:
            # Half of the cycle is for the stream while it has work: neither starves the other.
            self._claim_due(
                intake, MAX_CYCLE_JOBS // 2 if self._stream_has_work else MAX_CYCLE_JOBS
            )
            if intake.claimed.deliveries:
                # Process redelivered jobs alone, in case one of them crashes the worker.
                return intake
        jobs_wanted = max(1, MAX_CYCLE_JOBS - len(intake.jobs))
        read = self._queue.read(self._lane, jobs_wanted, MAX_CYCLE_BYTES, pending=False)
        self._stream_has_work = bool(read.entries)
        self._decode(read, intake)
        if self._has_due and may_send and intake.is_empty:
            # Scan once from the beginning before the shard is released: a job below the position of
            # the last scan may have become due.
            self._cursor.rewind()
            self._claim_due(intake, MAX_CYCLE_JOBS)
        return intake

    def drop_duplicates(self, intake: Intake, breakers: BreakerStates) -> frozenset[str]:
        """Drop the jobs that the stores know, and those of forgotten people.

        Return the keys that wait in the lane's backlog.
        """
        self._drop_delivered_replays(intake)
        waiting_keys = self._drop_known(intake, breakers)
        intake.jobs, blocked = self._guard.split(intake.jobs)
        intake.decided.blocked += blocked
        return waiting_keys

    def _drop_known(self, intake: Intake, breakers: BreakerStates) -> frozenset[str]:
        fresh = [job for job in intake.jobs if not job.from_backlog]
        if not fresh:
            return frozenset()
        began = time.monotonic()
        # The same query finds out whether anything is due, unless that is known.
        due = None if self._has_due else DueFilter(self._cursor.start(began), breakers.may_send)
        ids, keys = [job.id for job in fresh], list({key for job in fresh for key in job.keys})
        try:
            with self._engine.connect() as connection:
                known = duplicate_check.find_duplicates(
                    connection, self._queue.shard, self._lane, ids, keys, due
                )
                self._learn(connection, known)
        except Exception as error:
            if not (intake.crashing_deliveries and is_data_error(error)):
                raise
            # Postgres refuses these values, and refused them before: the jobs become dead letters.
            known = DuplicateCheck(frozenset(), frozenset(), has_due=True)
        if due is not None and not known.has_due:
            self._cursor.rest(due.start, began, time.monotonic())
        self._has_due = self._has_due or known.has_due
        fresh_jobs = drop_duplicates(intake.jobs, known)
        intake.dropped += len(intake.jobs) - len(fresh_jobs)
        intake.jobs = fresh_jobs
        return known.waiting_keys

    def note_due(self) -> None:
        """Note that a settlement changed the lane's backlog: something may be due."""
        self._has_due = True

    def acknowledge(self, intake: Intake, stored: Sequence[str] = ()) -> None:
        """Acknowledge what is settled.

        Args:
            stored: the jobs that are in the backlog or the dead letters now.
        """
        read, claimed = intake.read.entries, intake.claimed.jobs
        self._queue.acknowledge(self._lane, read, claimed, stored)
        self._unacknowledged = None

    def release_uncounted(self) -> None:
        """Leave what was read to a successor. Its delivery does not count: this process lives."""
        if self._unacknowledged:
            try:
                self._queue.release_uncounted(
                    self._lane, self._unacknowledged.read, self._unacknowledged.claimed
                )
            except RedisError:
                # The delivery counts then, which costs a job one of its ten deliveries.
                return

    def _claim_due(self, intake: Intake, max_jobs: int) -> None:
        began = time.monotonic()
        start = self._cursor.start(began)
        with self._engine.connect() as connection:
            found = due_jobs.select_due(
                connection, self._queue.shard, self._lane, max_jobs, start, self._families
            )
            self._learn(connection, found)
        # Only a scan from the beginning proves that nothing is due.
        self._has_due = bool(found.jobs) or start > 0
        if found.jobs:
            ids = [job.id for job in found.jobs]
            intake.claimed = self._queue.claim_backlog(self._lane, ids)
            intake.jobs = found.jobs[: len(intake.claimed.jobs)]
            self._unacknowledged = intake
        if len(intake.jobs) == len(found.jobs):
            self._cursor.advance(start, found.scanned, began, time.monotonic())

    def _learn(self, connection: sa.Connection, found: DuplicateCheck | due_jobs.DueJobs) -> None:
        self._guard.learn(connection, found.block_version)
        if self._plan is not None:
            self._plan.learn(connection, found.plan_version)

    def _decode(self, read: StreamRead, intake: Intake) -> None:
        intake.read = read
        self._unacknowledged = intake
        decoded = self._decoder.decode(self._queue.shard, self._lane, read.entries, self._now())
        intake.decided.dead += decoded.undecodable
        for entry in decoded.deleted:
            log.warning("stream_entry_deleted", shard=self._queue.shard, entry=entry)
        intake.jobs += decoded.jobs

    def _drop_delivered_replays(self, intake: Intake) -> None:
        # The job of a discarded dead letter may have been enqueued again. It can be delivered while
        # somebody replays the dead letter.
        replays = [job for job in intake.jobs if job.from_backlog and job.replayed]
        if replays:
            with self._engine.connect() as connection:
                delivered = ledger.among(connection, [job.id for job in replays])
            intake.decided.delivered += [job for job in replays if job.id in delivered]
            intake.jobs = [job for job in intake.jobs if job.id not in delivered]


def drop_duplicates(jobs: Sequence[Job], known: DuplicateCheck) -> list[Job]:
    """Return the jobs that no store knows, each once: the first one wins.

    Backlog jobs stay, although the backlog knows them.
    """
    seen: set[str] = set()
    fresh = []
    for job in jobs:
        if job.id in seen or (not job.from_backlog and job.id in known.jobs):
            continue
        seen.add(job.id)
        fresh.append(job)
    return fresh


@dataclass(slots=True)
class Partition:
    """Which jobs may be sent now, and which must wait."""

    ready: list[Job] = field(default_factory=list)
    waiting: list[BacklogItem] = field(default_factory=list)


def partition_blocked(jobs: Sequence[Job], waiting_keys: Iterable[str]) -> Partition:
    """Split ``jobs`` into those that may be sent and those whose key waits.

    A key waits behind an earlier job in the backlog, or behind one that this call puts there.
    A merge, and a job whose keys are in two shards, always goes through the backlog: there it
    becomes due when it is first for both of its keys.

    Args:
        jobs: in order, backlog jobs first.
        waiting_keys: the keys for which a job waits in the backlog.
    """
    result = Partition()
    blocked = set(waiting_keys)
    for job in jobs:
        if job.from_backlog:
            # It is due, so it is first for its keys. Stream jobs of those keys come after the whole
            # backlog of the key, so they stay blocked.
            result.ready.append(job)
        elif not blocked.isdisjoint(job.keys):
            result.waiting.append(BacklogItem(job=job, reason=DeferReason.KEY_WAITS))
            blocked.update(job.keys)
        elif job.crosses_shards or job.operation == "person.merge":
            result.waiting.append(BacklogItem(job=job, reason=DeferReason.TWO_KEYS))
            blocked.update(job.keys)
        else:
            result.ready.append(job)
    return result


def crashed_letter(job: Job, deliveries: int) -> NewDeadLetter:
    """Return the dead letter of a job that crashes its workers."""
    error = (
        f"its stream entry was delivered {deliveries} times, at last alone, and never settled: "
        "it may crash its workers"
    )
    return NewDeadLetter(job=job, reason=DeathReason.CRASHED, error=error)


def split_expired(
    jobs: Sequence[Job],
    now: float,
    max_age_s: float,
    delivery_resumed_at: Callable[[Job], float | None],
) -> tuple[list[Job], list[NewDeadLetter]]:
    """Split ``jobs`` into those that may still be delivered and those that are too old.

    Age counts from the latest of enqueueing, the last replay, and the moment at which delivery
    became possible again.

    Args:
        jobs: in order.
        now: unix seconds by a server's clock, never by a worker's own.
        max_age_s: the limit.
        delivery_resumed_at: since when delivery of a job has been possible, in unix seconds. A job
            for which that is unknown (None) does not expire.
    """
    young: list[Job] = []
    dead: list[NewDeadLetter] = []
    for job in jobs:
        since = delivery_resumed_at(job)
        age = now - max(job.age_from, since) if since is not None else 0.0
        if age <= max_age_s:
            young.append(job)
            continue
        hours, limit = age / 3600, max_age_s / 3600
        error = f"it is {hours:,.1f} hours old; TRACKRELAY_MAX_AGE is {limit:,.1f} hours"
        history = ({"at": now, "what": "expired"},)
        dead.append(
            NewDeadLetter(job=job, reason=DeathReason.EXPIRED, error=error, history=history)
        )
    return young, dead
