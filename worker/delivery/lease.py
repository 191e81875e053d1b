"""Holding a shard: take it over, deliver for a few seconds, hand it on."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Literal

import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from trackrelay.queue.redis_keys import LANES
from trackrelay.worker.celery_app.graceful_shutdown import is_ending
from trackrelay.worker.resources import Resources
from trackrelay.worker.storage import hash_secret, shards
from trackrelay.worker.storage.hash_secret import HashSecretChangedError
from trackrelay.worker.storage.shards import ShardLostError, Takeover
from trackrelay.worker.storage.storable_jobs import is_data_error

from .cycle import Delivery
from .intake import NewerFormatError
from .shard_queue import LeaseLostError, ShardQueue
from .workspace_guard import note_refusal

log = structlog.get_logger("trackrelay.delivery")

#: A holder wakes a successor and leaves after this time, so that shards without a holder come first.
SLICE_S = 5.0

#: Redis or Postgres failed: the entries in hand have nothing to do with it, unless it is they that Postgres does not take.
_OUR_STORES = (RedisError, SQLAlchemyError, OSError)


def run_shard(shard: int, resources: Resources, slice_s: float = SLICE_S) -> None:
    """Deliver what ``shard`` has, unless somebody else is at it."""
    queue = ShardQueue(resources.redis, shard)
    if not queue.claim():
        return
    delivery = _take_over(queue, resources)
    if delivery is None:
        return
    try:
        _deliver(delivery, queue, slice_s)
    except ShardLostError as lost:
        log.warning("shard_lost", shard=shard, why=str(lost) or type(lost).__name__)
        delivery.release_uncounted()
        queue.leave("quiet")
    except NewerFormatError as newer:
        _say_once(str(newer))
        delivery.release_uncounted()
        # Until the upgrade nobody may deliver what is in there: that time is not age.
        with resources.engine.begin() as connection:
            shards.mark_delivery_resumed(connection)
        queue.leave("quiet")
    except BaseException as error:
        # Whatever it was, the successor begins with what is pending. It is not called at once: the cause may still be there.
        if isinstance(error, _OUR_STORES) and not is_data_error(error):
            delivery.release_uncounted()
        queue.leave("quiet")
        raise


@lru_cache(maxsize=256)
def _say_once(message: str) -> None:
    log.error("shard_halted", message=message)


def _take_over(queue: ShardQueue, resources: Resources) -> Delivery | None:
    try:
        with resources.engine.begin() as connection:
            shards.lock(connection, [queue.shard])
            # Whoever claims it from now on gets his number after this one. But had our claim run out while we slept, a number
            # for us would take the shard from its holder.
            if not queue.claimed():
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
        # The tick says so: delivered under another number of shards, jobs would lose their order.
        queue.leave("quiet")
        return None
    return Delivery(
        queue=queue,
        engine=resources.engine,
        decoder=resources.decoder(count),
        breaker=resources.breaker,
        sender=resources.sender,
        executor=resources.executor,
        rules=resources.rules,
        takeover=takeover,
        sweeps={lane: resources.sweeps[queue.shard, lane] for lane in LANES},
    )


def _may_hash(takeover: Takeover, resources: Resources) -> bool:
    """Whether this process hashes keys as the stored ones are hashed."""
    if takeover.fingerprint == resources.hasher.fingerprint:
        return True
    try:
        with resources.engine.begin() as connection:
            changed = hash_secret.admit(connection, resources.hasher.fingerprint)
    except HashSecretChangedError as refusal:
        _say_once(str(refusal))
        note_refusal(resources.redis, str(refusal))
        return False
    if changed:
        log.warning(
            "key_hash_secret_changed",
            message="ledger rows written before are no longer found by email",
        )
    # A change passes every holder, this one too.
    return not changed


def _deliver(delivery: Delivery, queue: ShardQueue, slice_s: float) -> None:
    until = time.monotonic() + slice_s
    while time.monotonic() < until and not delivery.paused and not is_ending():
        # Live first, then as much bulk as goes into one round: bulk moves on, and live waits for one request at most, or for as
        # many of v1's as a round begins.
        worked = delivery.round("live")
        worked = delivery.round("bulk") or worked
        if not worked and queue.leave("go on") != "work":
            return
    how: Literal["quiet", "wake"] = "quiet" if delivery.paused else "wake"
    queue.leave(how)
