"""The Celery tasks: few, short, and none of them carries a job."""

from __future__ import annotations

import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from .resources import resources

log = structlog.get_logger("trackrelay.worker")


def deliver(shard: int) -> None:
    """Hold a shard for a few seconds and deliver what it has: the one that is named, or one that waits for longer."""
    from .delivery.holding import hold
    from .delivery.shard_queue import fairest

    try:
        hold(fairest(resources().redis, shard), resources())
    except (RedisError, SQLAlchemyError, OSError) as error:
        # Redis or Postgres is away: nothing was lost, and the next tick tries again.
        log.error("delivery interrupted", shard=shard, error=describe(error))


def tick() -> None:
    """Ring every shard that has work and no holder, whatever its bell says."""
    from .orphans import take_care
    from .refused_calls import keep_refused
    from .ticking import ring_forgotten

    try:
        ring_forgotten(resources())
        take_care(resources())
        keep_refused(resources())
    except (RedisError, SQLAlchemyError, OSError) as error:
        log.error("tick interrupted", error=describe(error))


def prune() -> None:
    """Delete what has been kept long enough."""
    from .pruning import prune_all

    try:
        pruned = prune_all(resources())
        if any(pruned.values()):
            log.info("pruned", **pruned)
    except (RedisError, SQLAlchemyError, OSError) as error:
        log.error("pruning interrupted", error=describe(error))


def describe(error: Exception) -> str:
    """One line about a failure of Redis or Postgres, without the statement or its parameters."""
    cause = getattr(error, "orig", None) or error
    return f"{type(cause).__name__}: {str(cause).strip().splitlines()[0] if str(cause).strip() else ''}"[:300]
