"""The Celery tasks: few and short. No task carries a job."""

from __future__ import annotations

import time
from functools import lru_cache

import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from .resources import resources

log = structlog.get_logger("trackrelay.worker")

#: A process that may not deliver waits this long before it passes a wakeup on.
PAUSE_S = 0.5


def deliver(shard: int) -> None:
    """Deliver for a few seconds: what ``shard`` has, or a shard that waits for longer."""
    from .delivery.lease import run_shard
    from .delivery.shard_queue import choose_shard

    try:
        if _refuses():
            return _leave_to_others(shard)
        run_shard(choose_shard(resources().redis, shard), resources())
    except (RedisError, SQLAlchemyError, OSError) as error:
        # Redis or Postgres does not answer. Nothing is lost, and the next tick tries again.
        log.error("delivery_interrupted", shard=shard, error=describe(error))


def tick() -> None:
    """Wake every shard that has work and no holder, even if a wakeup exists."""
    from .dead_letters.refused_calls import keep_refused
    from .maintenance.failover_losses import record_lost_jobs
    from .maintenance.queue_sample import sample_waiting
    from .maintenance.ticks import recover_orphans, wake_forgotten_shards

    try:
        _refuses()
        wake_forgotten_shards(resources())
        recover_orphans(resources())
        record_lost_jobs(resources())
        keep_refused(resources())
        sample_waiting(resources())
    except (RedisError, SQLAlchemyError, OSError) as error:
        log.error("tick_interrupted", error=describe(error))


def _refuses() -> bool:
    """Whether this process must not send: its credentials belong to the wrong workspace."""
    from .delivery.workspace_guard import note_refusal, others_deliver

    own = resources()
    verdict = own.guard.refusal() if own.guard else None
    if verdict is None:
        return False
    if verdict.problem == "unreachable" and not others_deliver(own.redis):
        # An outage, as it seems. This process sends nothing, and moves jobs from Redis to the
        # backlog as every other does.
        return False
    _log_refusal_once(verdict.message)
    note_refusal(own.redis, verdict.message)
    return True


@lru_cache(maxsize=16)
def _log_refusal_once(message: str) -> None:
    log.error("delivery_refused", message=message)


def _leave_to_others(shard: int) -> None:
    from .delivery.shard_queue import wake_shard

    # A process that sends nothing is always idle. Without a pause it would take every message.
    time.sleep(PAUSE_S)
    wake_shard(resources().redis, shard)


def prune() -> None:
    """Delete rows that are older than their retention, and check the data once more."""
    from .maintenance.retention import prune_all
    from .quality.finding_check import check_data

    try:
        own = resources()
        pruned = prune_all(own)
        if any(pruned.values()):
            log.info("pruned", **pruned)
        if pruned and own.settings.catalog:
            with own.engine.begin() as connection:
                check_data(connection, own.redis, time.time())
    except (RedisError, SQLAlchemyError, OSError) as error:
        log.error("pruning_interrupted", error=describe(error))


def verify() -> None:
    """Compare a few deliveries with what Customer.io has, for a few seconds at most."""
    from .quality.verification_run import run_verification

    try:
        run_verification(resources())
    except (RedisError, SQLAlchemyError, OSError) as error:
        log.error("verification_interrupted", error=describe(error))


def describe(error: Exception) -> str:
    """Return one line about a failure of Redis or Postgres, without statement or parameters."""
    cause = getattr(error, "orig", None) or error
    first_line = next(iter(str(cause).strip().splitlines()), "")
    return f"{type(cause).__name__}: {first_line}"[:300]
