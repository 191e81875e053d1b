"""Run a shard: take its lease, deliver for a few seconds, pass it on."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import lru_cache

import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from trackrelay.queue.redis_keys import LANES
from trackrelay.worker.celery_app.graceful_shutdown import is_ending
from trackrelay.worker.resources import Resources
from trackrelay.worker.storage import counters, shards
from trackrelay.worker.storage.counts import Name
from trackrelay.worker.storage.key_hasher import HashSecretChangedError, admit_secret
from trackrelay.worker.storage.shards import FenceLostError, ShardLostError, Takeover
from trackrelay.worker.storage.storable_jobs import is_data_error

from .cycle import DeliveryCycle
from .cycle_parts import Parts
from .entry_decoder import NewerFormatError
from .shard_queue import LeaseLostError, Leave, ShardQueue
from .workspace_guard import note_refusal

log = structlog.get_logger("trackrelay.delivery")

#: A holder wakes a successor and leaves after this time, so that shards without a holder come
#: first.
SLICE_S = 5.0

#: Errors of Redis and Postgres. What was read is not the cause, unless Postgres refuses its values.
_OUR_STORES = (RedisError, SQLAlchemyError, OSError)


def run_shard(shard: int, resources: Resources, slice_s: float = SLICE_S) -> None:
    """Deliver what ``shard`` has for ``slice_s`` seconds, unless another worker holds it."""
    queue = ShardQueue(resources.redis, shard)
    if not queue.claim():
        return
    cycle = _take_over(queue, resources)
    if cycle is None:
        return
    try:
        _run_cycles(cycle, queue, slice_s)
    except ShardLostError as lost:
        log.warning("shard_lost", shard=shard, why=str(lost) or type(lost).__name__)
        _count_interrupted(resources, cycle, lost)
        cycle.release_uncounted()
        queue.leave("quiet")
    except NewerFormatError as newer:
        _log_halted_once(str(newer))
        cycle.release_uncounted()
        # Until the workers are upgraded nothing can be delivered. That time does not count as age.
        with resources.engine.begin() as connection:
            shards.mark_delivery_resumed(connection)
        queue.leave("quiet")
    except BaseException as error:
        # The successor begins with what is pending. Do not wake one now: the cause may last.
        if isinstance(error, _OUR_STORES) and not is_data_error(error):
            cycle.release_uncounted()
        if isinstance(error, (RedisError, OSError)):
            # Postgres may well answer. Requests were sent, whatever becomes of their jobs.
            _count_interrupted(resources, cycle)
        queue.leave("quiet")
        raise


def _count_interrupted(
    resources: Resources, cycle: DeliveryCycle, lost: ShardLostError | None = None
) -> None:
    counts = cycle.unsettled_requests
    if lost is not None:
        counts.add(Name.SHARDS_LOST, "fence" if isinstance(lost, FenceLostError) else "lease")
    if not counts:
        return
    # The counts are not worth an error: the shard's next holder has what is needed.
    with suppress(SQLAlchemyError), resources.engine.begin() as connection:
        counters.add(connection, counters.NO_SHARD, counts)


@lru_cache(maxsize=256)
def _log_halted_once(message: str) -> None:
    log.error("shard_halted", message=message)


def _take_over(queue: ShardQueue, resources: Resources) -> DeliveryCycle | None:
    try:
        with resources.engine.begin() as connection:
            shards.lock(connection, [queue.shard])
            # With the row locked, later claimants get a higher fence. But if our claim expired
            # while this process slept, a fence for us would take the shard from its holder.
            if not queue.is_claimed():
                return None
            takeover = shards.take_over(connection, queue.shard, queue.claim_id)
    except BaseException:
        queue.drop_claim()
        raise
    if takeover.paused or not _may_hash(takeover, resources):
        queue.drop_claim(unable=True)
        return None
    try:
        count = queue.take(takeover.fence)
    except LeaseLostError:
        return None
    if count != takeover.shards:
        # Under another number of shards, jobs would lose their order. The tick reports the
        # difference.
        queue.leave("quiet")
        return None
    parts = Parts(
        engine=resources.engine,
        decoder=resources.decoder(count),
        breaker=resources.breaker,
        sender=resources.sender,
        executor=resources.executor,
        rules=resources.rules,
        remember=resources.remember,
        observer=resources.observer,
        plan=resources.plan,
        blocklist=resources.blocklist,
        exemplars=resources.exemplars,
    )
    cursors = {lane: resources.cursors[queue.shard, lane] for lane in LANES}
    return DeliveryCycle(queue, parts, takeover, cursors)


def _may_hash(takeover: Takeover, resources: Resources) -> bool:
    """Whether this process hashes keys with the secret of the stored ones."""
    if takeover.fingerprint == resources.hasher.fingerprint:
        return True
    try:
        with resources.engine.begin() as connection:
            changed = admit_secret(connection, resources.hasher.fingerprint)
    except HashSecretChangedError as refusal:
        _log_halted_once(str(refusal))
        note_refusal(resources.redis, str(refusal))
        return False
    if changed:
        log.warning(
            "key_hash_secret_changed",
            message="ledger rows written before are no longer found by email",
        )
    # The new secret counts from the next lease on, for every holder.
    return not changed


def _run_cycles(cycle: DeliveryCycle, queue: ShardQueue, slice_s: float) -> None:
    until = time.monotonic() + slice_s
    while time.monotonic() < until and not cycle.paused and not is_ending():
        # One live cycle, then one bulk cycle: bulk makes progress, and live jobs wait for one bulk
        # cycle at most.
        worked = cycle.run("live")
        worked = cycle.run("bulk") or worked
        if not worked and queue.leave("if_empty") != "work":
            return
    if is_ending():
        cycle.flush()
    how: Leave = "quiet" if cycle.paused else "wake"
    queue.leave(how)
