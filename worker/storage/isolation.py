"""Settle in parts, when Postgres refuses a settlement because of a value of one job."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
import structlog

from trackrelay.worker.reasons import DeathReason

from .backlog import BacklogItem
from .counts import Counts
from .dead_letters import NewDeadLetter
from .settlement import Holder, Remember, Settlement, settle
from .storable_jobs import as_bytes, brief, is_data_error, stripped

log = structlog.get_logger("trackrelay.delivery")


def settle_separately(
    engine: sa.Engine,
    holder: Holder,
    settlement: Settlement,
    merge_delay_s: float,
    remember: Remember | None = None,
) -> bool:
    """Write ``settlement`` in several commits, in order.

    A job that Postgres cannot store becomes a dead letter with its bytes. A crash in between does
    no harm: the written jobs are known, and the others are still in their stream or backlog.

    Returns:
        whether the shard is paused.

    Raises:
        FenceLostError: another worker has taken the shard over. Some jobs may have been written.
    """
    parts = [
        *(Settlement(delivered=[job]) for job in settlement.delivered),
        *(Settlement(dead=[letter]) for letter in settlement.dead),
        *(Settlement(waiting=[item]) for item in settlement.waiting),
        *(Settlement(blocked=[job]) for job in settlement.blocked),
        *([Settlement(counts=settlement.counts)] if settlement.counts else []),
    ]
    return _settle_parts(engine, holder, parts, merge_delay_s, remember)


def _settle_parts(
    engine: sa.Engine,
    holder: Holder,
    parts: Sequence[Settlement],
    merge_delay_s: float,
    remember: Remember | None,
) -> bool:
    try:
        with engine.begin() as connection:
            return settle(connection, holder, _joined(parts), merge_delay_s, remember)
    except Exception as error:
        if not is_data_error(error):
            raise
        if len(parts) == 1:
            return _keep_as_bytes(engine, holder, parts[0], merge_delay_s, brief(error))
    half = len(parts) // 2
    paused = _settle_parts(engine, holder, parts[:half], merge_delay_s, remember)
    return _settle_parts(engine, holder, parts[half:], merge_delay_s, remember) or paused


def _joined(parts: Sequence[Settlement]) -> Settlement:
    return Settlement(
        delivered=[job for part in parts for job in part.delivered],
        waiting=[item for part in parts for item in part.waiting],
        dead=[letter for part in parts for letter in part.dead],
        blocked=[job for part in parts for job in part.blocked],
        # One part at most has counts.
        counts=next((part.counts for part in parts if part.counts), Counts()),
    )


def _keep_as_bytes(
    engine: sa.Engine, holder: Holder, part: Settlement, merge_delay_s: float, why: str
) -> bool:
    kept = Settlement(
        delivered=[stripped(job, holder.shard) for job in part.delivered],
        blocked=[stripped(job, holder.shard) for job in part.blocked],
        dead=[
            *(_undecodable(letter, holder.shard, why) for letter in part.dead),
            *(_undecodable(item, holder.shard, why) for item in part.waiting),
        ],
    )
    for job in (*kept.delivered, *(letter.job for letter in kept.dead)):
        log.error("job_not_storable", shard=holder.shard, job=job.id, error=why)
    with engine.begin() as connection:
        return settle(connection, holder, kept, merge_delay_s)


def _undecodable(each: NewDeadLetter | BacklogItem, shard: int, why: str) -> NewDeadLetter:
    raw = each.raw if isinstance(each, NewDeadLetter) else None
    was = (
        f"it was to be a dead letter ({each.reason})"
        if isinstance(each, NewDeadLetter)
        else "it was to wait in the backlog"
    )
    return NewDeadLetter(
        job=stripped(each.job, shard),
        reason=DeathReason.UNDECODABLE,
        error=f"Postgres cannot store it: {why}; {was}",
        raw=raw if raw is not None else as_bytes(each.job),
    )
