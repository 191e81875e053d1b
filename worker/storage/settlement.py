"""Settle a read: record the outcome of all its jobs in one commit, by the shard's holder only."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import sqlalchemy as sa

from trackrelay.worker.reasons import LedgerOutcome

from . import backlog, counters, dead_letters, erasure, forgotten, ledger, replay_positions, shards
from .backlog import BacklogItem
from .blocklist import BlockGuard
from .counts import Counts, Dropped, Name
from .dead_letters import NewDeadLetter
from .stored_job import Job

#: Records in the settlement's transaction what the delivered jobs sent.
Remember = Callable[[sa.Connection, Sequence[Job]], None]


@dataclass(slots=True)
class Settlement:
    """The outcomes of the jobs of a read. Each job is in exactly one list."""

    delivered: list[Job] = field(default_factory=list)
    #: New in the backlog, or changed there.
    waiting: list[BacklogItem] = field(default_factory=list)
    dead: list[NewDeadLetter] = field(default_factory=list)
    #: Not sent, because their person was forgotten.
    blocked: list[Job] = field(default_factory=list)
    #: What else is to be counted: requests, and jobs that were dropped.
    counts: Counts = field(default_factory=Counts, compare=False)

    def __bool__(self) -> bool:
        return bool(self.delivered or self.waiting or self.dead or self.blocked or self.counts)


@dataclass(frozen=True, slots=True)
class Holder:
    """The shard that is settled, and the fence and lease token of its holder."""

    shard: int
    fence: int
    token: str | None = None
    #: What the jobs were compared with when they were read; None: nobody was ever forgotten.
    guard: BlockGuard | None = None
    #: The clock by which latencies are counted, in unix seconds.
    now: Callable[[], float] = time.time

    def must_hold(self, locked: Mapping[int, shards.LockedShard]) -> shards.LockedShard:
        """Return the shard's locked row.

        Raises:
            FenceLostError: another worker has taken the shard over.
        """
        own = locked.get(self.shard)
        if own is None or (own.fence, own.holder) != (self.fence, self.token):
            raise shards.FenceLostError(f"shard {self.shard} was taken over")
        return own


def settle(
    connection: sa.Connection,
    holder: Holder,
    settlement: Settlement,
    merge_delay_s: float,
    remember: Remember | None = None,
) -> bool:
    """Write ``settlement``. The caller commits.

    Args:
        merge_delay_s: how long a merge waits once it is first for its keys.
        remember: called with the delivered jobs. None: what was sent is not remembered.

    Returns:
        whether the shard is paused.

    Raises:
        FenceLostError: another worker has taken the shard over. Nothing was written.
    """
    settled = (
        *settlement.delivered,
        *(letter.job for letter in settlement.dead),
        *settlement.blocked,
    )
    arriving = [item for item in settlement.waiting if not item.job.from_backlog]
    # Another holder may have a backlog row of a two-key job, or of a duplicate with another second
    # key.
    removed = [job for job in settled if job.from_backlog or len(job.keys) > 1]
    elsewhere = backlog.shards_of(connection, [job.id for job in removed if len(job.keys) > 1])
    affected = (*removed, *(item.job for item in arriving))
    locked = shards.lock(
        connection,
        [holder.shard, *elsewhere, *(shard for job in affected for shard in job.shards)],
    )
    own = holder.must_hold(locked)
    guard = holder.guard
    if guard is not None and own.block_version != guard.known.version:
        # Somebody was forgotten since these jobs were read. Under the lock nobody else is.
        settlement = _without_forgotten(connection, guard, own.block_version, settlement)
        removed = [*removed, *(job for job in settlement.blocked if job.from_backlog)]
        arriving = [item for item in settlement.waiting if not item.job.from_backlog]
    # A copy: a settlement that Postgres refuses is written again, in parts.
    counts = settlement.counts.copy()
    if settlement.blocked:
        dropped = _drop_blocked(connection, settlement.blocked)
        counts.add(Name.DROPPED, Dropped.BLOCKED, number=dropped)
    _count_delivered(counts, ledger.record(connection, settlement.delivered), holder.now())
    if remember is not None and settlement.delivered:
        remember(connection, _without_exempt(connection, guard, own, settlement.delivered))
    for letter in _insert_dead_letters(connection, settlement.dead):
        counts.add(Name.DIED, letter.reason)
    dead_letters.mark_delivered(
        connection, [job.id for job in settlement.delivered if job.replayed]
    )
    starts = backlog.remove(connection, [job.id for job in removed])
    failed = [item for item in settlement.waiting if item.job.from_backlog]
    backlog.update(connection, failed)
    backlog.rewrite(connection, [item.job for item in failed if item.job.plan_note])
    jobs = [item.job for item in arriving]
    if arriving:
        *positions, following = replay_positions.reposition_replays(
            connection, holder.shard, jobs, own.next_position
        )
        backlog.insert(connection, holder.shard, arriving, positions)
        shards.set_next_position(connection, holder.shard, following)
    backlog.promote(connection, _places(holder.shard, jobs) | starts, merge_delay_s)
    for item in settlement.waiting:
        # The holder of a job's first key sends it, and counts it.
        counts.add(Name.DEFERRED, item.reason, number=item.job.shards[0] == holder.shard)
    counters.add(connection, holder.shard, counts)
    return own.paused


def prove_writable(connection: sa.Connection, holder: Holder, ids: Sequence[str]) -> None:
    """Insert ledger rows and delete them, to prove that a settlement of ``ids`` can be written.

    The caller commits. Customer.io cannot recognise repeats of operations without an id, so they
    must not be sent while no
    settlement can be written.

    Raises:
        FenceLostError: another worker has taken the shard over.
        SQLAlchemyError: no settlement can be written now.
    """
    holder.must_hold(shards.lock(connection, [holder.shard]))
    ledger.prove_writable(connection, holder.shard, ids)


def _without_forgotten(
    connection: sa.Connection, guard: BlockGuard, version: int, settlement: Settlement
) -> Settlement:
    blocklist, blocked = guard.blocklist, guard.blocklist.at(connection, version)
    sent, late = blocklist.split(blocked, settlement.delivered)
    ledger.mark_delivered_after_all(connection, late)
    passed, dropped = blocklist.split(
        blocked,
        [each.job for each in settlement.waiting] + [each.job for each in settlement.dead],
    )
    kept = {job.id: job for job in passed}
    return Settlement(
        delivered=[*sent, *late],
        waiting=[
            replace(each, job=kept[each.job.id])
            for each in settlement.waiting
            if each.job.id in kept
        ],
        dead=[
            replace(each, job=kept[each.job.id]) for each in settlement.dead if each.job.id in kept
        ],
        blocked=[*settlement.blocked, *dropped],
        counts=settlement.counts,
    )


def _without_exempt(
    connection: sa.Connection,
    guard: BlockGuard | None,
    own: shards.LockedShard,
    delivered: list[Job],
) -> list[Job]:
    # Verification keeps the names of those whom it asks about.
    blocked = guard and guard.blocklist.at(connection, own.block_version)
    if not blocked or not blocked.keys:
        return delivered
    return [job for job in delivered if blocked.keys.isdisjoint(job.keys)]


def _count_delivered(counts: Counts, jobs: Sequence[Job], now: float) -> None:
    by_family: defaultdict[str, list[float]] = defaultdict(list)
    for job in jobs:
        by_family[job.family].append(now - job.enqueued_at)
    for family, seconds in by_family.items():
        counts.observe(Name.DELIVERED, family, seconds=seconds)


def _drop_blocked(connection: sa.Connection, jobs: Sequence[Job]) -> int:
    new = ledger.record_dropped(connection, jobs, LedgerOutcome.BLOCKED)
    by_key = Counter(key for job in jobs if job.id in new for key in job.keys)
    forgotten.count_blocked(connection, by_key)
    # A replay: its dead letter is of no use any more.
    erasure.erase_letters_of_jobs(connection, [job.id for job in jobs if job.replayed])
    return len(new)


def _insert_dead_letters(
    connection: sa.Connection, letters: Sequence[NewDeadLetter]
) -> Sequence[NewDeadLetter]:
    # A job that was never tried before has no history.
    tried = [letter.job.id for letter in letters if letter.job.attempts > 1]
    before = backlog.histories(connection, tried)
    return dead_letters.insert(
        connection,
        [
            replace(letter, history=(*before.get(letter.job.id, ()), *letter.history))
            for letter in letters
        ],
    )


def _places(shard: int, jobs: Sequence[Job]) -> dict[backlog.Place, int]:
    return {
        (of_key, job.lane, key): 0
        for job in jobs
        for key, of_key in zip(job.keys, job.shards, strict=True)
        if of_key == shard
    }
