"""Settle a read: record the outcome of all its jobs in one commit, by the shard's holder only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from . import backlog, dead_letters, ledger, replay_positions, shards
from .backlog import BacklogItem
from .dead_letters import NewDeadLetter
from .stored_job import Job

#: Writes down, in the settlement's transaction, what delivered jobs sent.
Remember = Callable[[sa.Connection, Sequence[Job]], None]


@dataclass(slots=True)
class Settlement:
    """What became of the jobs of a read, each in exactly one of these."""

    delivered: list[Job] = field(default_factory=list)
    #: Not delivered yet: new in the backlog, or changed there.
    waiting: list[BacklogItem] = field(default_factory=list)
    dead: list[NewDeadLetter] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.delivered or self.waiting or self.dead)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who settles: the shard, and the fence and token under which it was taken over."""

    shard: int
    fence: int
    token: str | None = None

    def must_hold(self, locked: Mapping[int, shards.LockedShard]) -> shards.LockedShard:
        """Return the shard's locked row.

        Raises:
            FenceLostError: another worker took the shard over.
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
    """Write ``settlement`` down. The caller commits.

    Args:
        connection: in a transaction.
        holder: who settles.
        settlement: what became of the jobs.
        merge_delay_s: how long a merge waits once it is first for its keys.
        remember: gets the delivered jobs; None: what was sent is not remembered.

    Returns:
        whether the shard is paused now.

    Raises:
        FenceLostError: another worker took the shard over; nothing was written.
    """
    settled = (*settlement.delivered, *(death.job for death in settlement.dead))
    arriving = [each for each in settlement.waiting if not each.job.from_backlog]
    # Of a job with two keys, another holder may have put its part in the backlog, or a part under another second key: a repeat's.
    gone = [job for job in settled if job.from_backlog or len(job.keys) > 1]
    elsewhere = backlog.shards_of(connection, [job.id for job in gone if len(job.keys) > 1])
    concerned = (*gone, *(each.job for each in arriving))
    locked = shards.lock(
        connection,
        [holder.shard, *elsewhere, *(shard for job in concerned for shard in job.shards)],
    )
    own = holder.must_hold(locked)
    ledger.record(connection, settlement.delivered)
    if remember is not None and settlement.delivered:
        remember(connection, settlement.delivered)
    _bury(connection, settlement.dead)
    dead_letters.mark_delivered(
        connection, [job.id for job in settlement.delivered if job.replayed]
    )
    left = backlog.remove(connection, [job.id for job in gone])
    backlog.update(connection, [each for each in settlement.waiting if each.job.from_backlog])
    if arriving:
        jobs = [each.job for each in arriving]
        *positions, following = replay_positions.reposition_replays(
            connection, holder.shard, jobs, own.next_position
        )
        backlog.insert(connection, holder.shard, arriving, positions)
        shards.set_next_position(connection, holder.shard, following)
    backlog.promote(
        connection, _arrived(holder.shard, [each.job for each in arriving]) | left, merge_delay_s
    )
    return own.paused


def prove_writable(connection: sa.Connection, holder: Holder) -> None:
    """Write to the ledger and take it back, as a settlement would write. The caller commits.

    What has no id at Customer.io would be sent again for nothing, again and again, while no settlement can be written.

    Raises:
        FenceLostError: another worker took the shard over.
        SQLAlchemyError: nothing can be settled now.
    """
    holder.must_hold(shards.lock(connection, [holder.shard]))
    ledger.prove_writable(connection, holder.shard)


def _bury(connection: sa.Connection, dead: Sequence[NewDeadLetter]) -> None:
    before = backlog.histories(
        connection, [death.job.id for death in dead if death.job.attempts > 1]
    )
    dead_letters.insert(
        connection,
        [
            NewDeadLetter(
                job=death.job,
                reason=death.reason,
                error=death.error,
                field=death.field,
                status=death.status,
                raw=death.raw,
                history=(*before.get(death.job.id, ()), *death.history),
            )
            for death in dead
        ],
    )


def _arrived(shard: int, jobs: Sequence[Job]) -> dict[backlog.Place, int]:
    return {
        (of_key, job.lane, key): 0
        for job in jobs
        for key, of_key in zip(job.keys, job.shards, strict=True)
        if of_key == shard
    }
