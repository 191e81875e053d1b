"""Emptying a shard's streams into its backlog, without sending anything: for whoever changes the number of shards."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import redis
import sqlalchemy as sa

from trackrelay.queue.redis_keys import LANES, stream
from trackrelay.worker.endpoint_families import ALL_FAMILIES, Family
from trackrelay.worker.storage import shards
from trackrelay.worker.storage.scan_cursor import ScanCursor
from trackrelay.worker.storage.stored_job import Job

from .breaker import Breaker, BreakerState, BreakerStates
from .cycle import Delivery, Rules
from .intake import Decoder
from .sender import Sender
from .shard_queue import LEASE_MS, LeaseLostError, ShardQueue

# ARGV: prefix, shard, claim, milliseconds. Claims a shard that workers may not claim now.
_CLAIM = "return redis.call('SET', ARGV[1] .. ARGV[2] .. ':lease', ARGV[3], 'NX', 'PX', ARGV[4]) and 1 or 0"


def drain_to_backlog(
    shard: int,
    client: redis.Redis,
    engine: sa.Engine,
    decoder: Decoder,
    rules: Rules,
    renew: Callable[[], None],
) -> None:
    """Move what the streams of ``shard`` hold now to the backlog; what is appended meanwhile may stay.

    Args:
        renew: called after each round.

    Raises:
        LeaseLostError, FenceLostError: it took too long, or a worker holds the shard; what was in hand is still in the stream.
        NewerFormatError: an entry is of a newer format.
    """
    queue = _ShardToEmpty(client, shard)
    if not queue.claim():
        raise LeaseLostError(f"shard {shard} is held by somebody")
    try:
        delivery = _hold(queue, engine, decoder, rules)
        for lane in LANES:
            last: Any = client.xrevrange(stream(shard, lane), count=1)
            while last and client.xrange(stream(shard, lane), max=last[0][0], count=1):
                delivery.round(lane)
                renew()
    finally:
        queue.leave("quiet")
        queue.drop_claim()


def _hold(queue: _ShardToEmpty, engine: sa.Engine, decoder: Decoder, rules: Rules) -> Delivery:
    with engine.begin() as connection:
        shards.lock(connection, [queue.shard])
        if not queue.claimed():
            raise LeaseLostError(f"shard {queue.shard}")
        takeover = shards.take_over(connection, queue.shard, queue.claim_id)
    queue.take(takeover.fence)
    return Delivery(
        queue=queue,
        engine=engine,
        decoder=decoder,
        breaker=_Shut(),
        sender=_SendsNothing(),
        executor=_NO_THREADS,
        rules=rules,
        takeover=takeover,
        sweeps={lane: ScanCursor() for lane in LANES},
    )


class _ShardToEmpty(ShardQueue):
    """A shard that workers may not claim now."""

    def claim(self) -> bool:
        """Claim the lease if nobody has it."""
        return bool(self._run(_CLAIM, self.claim_id, LEASE_MS))


class _Shut(Breaker):
    """A breaker that lets nothing pass, so that all that is read goes to the backlog."""

    def __init__(self) -> None:
        return

    def read_states(self, *, may_probe: Collection[Family] | None = ALL_FAMILIES) -> BreakerStates:
        """Open, for good."""
        return BreakerStates(shared=BreakerState("open", wait_s=float("inf")))


class _SendsNothing(Sender):
    """Stands where a sender must be. Whoever asks it to send does not get far: it has no API to send to."""

    def __init__(self) -> None:
        return

    def ask(self, breakers: BreakerStates) -> BreakerStates:
        """Nobody is asked."""
        return breakers

    def choose_probes(self, ready: Sequence[Job], breakers: BreakerStates) -> dict[Family, Job]:
        """Nothing is sent, a probe neither."""
        return {}

    def release_probes(self, breakers: BreakerStates) -> None:
        """There never is anything."""


_NO_THREADS = ThreadPoolExecutor(1)
