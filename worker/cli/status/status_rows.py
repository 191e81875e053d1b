"""Rows of tables that several screens show: who waits for what, breakers, holders of shards."""

from __future__ import annotations

from dataclasses import dataclass

from trackrelay.worker.cli.common.humanize import count, duration
from trackrelay.worker.endpoint_families import DELIVERS
from trackrelay.worker.reasons import StopReason

from .snapshot import BreakerStatus, ShardStatus, Snapshot
from .status_hints import next_attempt


@dataclass(frozen=True, slots=True)
class WaitRow:
    """Jobs of the backlog that wait for one reason."""

    reason: str
    jobs: int
    due: int
    #: When the oldest was enqueued.
    oldest: float


def waits(snapshot: Snapshot) -> list[WaitRow]:
    """Return a row for each reason in all shards, the most frequent first."""
    found: dict[str, WaitRow] = {}
    for each in snapshot.postgres.backlog if snapshot.postgres else []:
        other = found.get(each.reason, WaitRow(each.reason, 0, 0, each.oldest))
        found[each.reason] = WaitRow(
            each.reason,
            other.jobs + each.jobs,
            other.due + each.due,
            min(other.oldest, each.oldest),
        )
    return sorted(found.values(), key=lambda row: (-row.jobs, row.reason))


@dataclass(frozen=True, slots=True)
class BreakerRow:
    """The breaker of one endpoint family."""

    delivers: str
    state: str
    tone: str
    remark: str
    last_success: float | None


def breakers(snapshot: Snapshot) -> list[BreakerRow]:
    """Return a row for each breaker; the shared one only while it stops everything."""
    redis = snapshot.redis
    if redis is None:
        return []
    shared = redis.shared_breaker
    rows = [] if shared.state == "closed" else [_breaker(shared, snapshot, "everything")]
    is_shut = bool(rows)
    for breaker in redis.breakers:
        delivers = DELIVERS[breaker.family] if breaker.family else ""
        rows.append(_breaker(breaker, snapshot, delivers, is_shut=is_shut))
    return rows


def _breaker(
    breaker: BreakerStatus, snapshot: Snapshot, delivers: str, *, is_shut: bool = False
) -> BreakerRow:
    last = breaker.last_success or None
    if breaker.state == "closed":
        failed = f"{count(breaker.failures, 'request')} failed since the last success"
        remark = failed if breaker.failures else ""
        # Nothing passes while the shared breaker is not closed.
        if is_shut:
            return BreakerRow(delivers, "stopped with everything", "dim", remark, last)
        # Closed says only that nothing failed: nothing may have been tried.
        return BreakerRow(delivers, "closed", "good" if last else "dim", remark, last)
    explained = {str(each): each.explanation for each in StopReason}
    parts = [explained.get(breaker.reason, breaker.reason), breaker.message]
    parts.append(next_attempt(breaker, snapshot.now))
    tone = "bad" if breaker.state == "halted" else "warn"
    return BreakerRow(delivers, breaker.state, tone, "; ".join(filter(None, parts)), last)


@dataclass(frozen=True, slots=True)
class ShardRow:
    """One shard, and who works on it."""

    shard: ShardStatus
    oldest_s: float | None
    holder: str
    tone: str
    is_paused: bool


def shard_row(shard: ShardStatus, snapshot: Snapshot) -> ShardRow:
    """Return the row of a shard."""
    oldest = snapshot.age(shard.oldest)
    if snapshot.postgres is None:
        return ShardRow(shard, oldest, "not known whether paused", "dim", False)
    paused = snapshot.postgres.paused
    if shard.number in paused:
        since = duration(snapshot.now - paused[shard.number])
        return ShardRow(shard, oldest, f"paused for {since}", "warn", True)
    if shard.held:
        return ShardRow(shard, oldest, "held by a worker", "good", False)
    if shard.length:
        return ShardRow(shard, oldest, "jobs wait, no worker holds it", "warn", False)
    return ShardRow(shard, oldest, "empty", "dim", False)
