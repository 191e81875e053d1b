"""Snapshots of possible states."""

from typing import Any

from trackrelay.queue.redis_keys import LANES
from trackrelay.worker.cli.status.snapshot import (
    BreakerStatus,
    LaneStatus,
    Memory,
    RedisStatus,
    ShardStatus,
    Snapshot,
    WorkerStatus,
)
from trackrelay.worker.queue.queue_config import QueueConfig
from trackrelay.worker.settings import Settings, load
from trackrelay.worker.storage.queries.backlog_overview import Dead, Overview, Waits

NOW = 1_800_000_000.0
WORKER = WorkerStatus("celery@one", True, NOW, "prefork", 4, "1.0", 12, NOW - 3600)
GONE = WorkerStatus("celery@two", False, NOW - 90)


def settings(**changes: str) -> Settings:
    """A worker's settings."""
    return load(
        {
            "TRACKRELAY_REDIS_URL": "redis://:secret@redis.example/0",
            "TRACKRELAY_DATABASE_URL": "postgresql://app:secret@db.example/app",
            **changes,
        }
    )


def shard(
    number: int = 0, *, live: int = 0, age: float = 0.0, held: bool = False, **lane: int
) -> ShardStatus:
    """A shard with `live` entries, the oldest `age` seconds old."""
    oldest = NOW - age if live else None
    look = LaneStatus(
        length=live,
        pending=lane.get("pending", 0),
        oldest=oldest,
        deliveries=lane.get("deliveries", 0),
    )
    return ShardStatus(number, {LANES[0]: look, LANES[1]: LaneStatus(0, 0, None, 0)}, held)


def redis_side(**changes: Any) -> RedisStatus:
    """Redis when all is well: one worker, a beat, empty streams."""
    well: dict[str, Any] = {
        "now": NOW,
        "config": QueueConfig(1, 1, "generation"),
        "memory": Memory(10_000_000, 100_000_000, "noeviction"),
        "shards": [shard()],
        "shared_breaker": BreakerStatus(last_success=NOW - 2),
        "rate": 100.0,
        "delivered": [0] * 60,
        "beat": NOW - 1,
        "workers": [WORKER],
    }
    if breaker := changes.pop("breaker", None):
        changes["shared_breaker"] = breaker
    return RedisStatus(**(well | changes))


def waits(
    jobs: int = 1, *, reason: str = "failed", age: float = 10.0, due: int = 0, singles: int = 0
) -> Waits:
    """Jobs in the backlog."""
    return Waits(0, "live", reason, jobs, due, singles, NOW - age, NOW - age)


def dead(jobs: int = 1, reason: str = "rejected", state: str = "open") -> Dead:
    """Dead letters."""
    return Dead(state, reason, jobs, NOW - 500, NOW - 180, "attributes.plan is too long")


def snapshot(
    redis: RedisStatus | None = None, postgres: Overview | None = None, **changes: Any
) -> Snapshot:
    """Return a snapshot in which all is well, except for the given changes."""
    well: dict[str, Any] = {
        "settings": settings(),
        "now": NOW,
        "redis": redis or redis_side(),
        "postgres": postgres or Overview(shards=1),
    }
    return Snapshot(**(well | changes))
