"""Move a shard's streams to its backlog without sending, to change the number of shards."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import redis
import sqlalchemy as sa

from trackrelay.queue.redis_keys import LANES, Lane, stream
from trackrelay.worker.endpoint_families import ALL_FAMILIES, Family
from trackrelay.worker.storage import shards
from trackrelay.worker.storage.blocklist import Blocklist
from trackrelay.worker.storage.scan_cursor import ScanCursor
from trackrelay.worker.storage.stored_job import Job

from . import lua_scripts
from .breaker import Breaker, BreakerState, BreakerStates, Phase
from .cycle import DeliveryCycle
from .cycle_parts import Parts, Rules
from .entry_decoder import Decoder
from .sender import Sender
from .shard_queue import LEASE_MS, LeaseLostError, ShardQueue


@dataclass(frozen=True, slots=True)
class DrainParts:
    """What draining needs."""

    client: redis.Redis
    engine: sa.Engine
    #: For the number of shards that the entries were written for.
    decoder: Decoder
    rules: Rules
    #: Whose jobs are dropped.
    blocklist: Blocklist


def drain_to_backlog(
    shard: int,
    using: DrainParts,
    renew: Callable[[], None],
    last_entries: Mapping[Lane, str] | None = None,
) -> None:
    """Move the entries that the streams of ``shard`` hold now to the backlog.

    Entries that are appended meanwhile may stay.

    Args:
        shard: which shard.
        using: what it is done with.
        renew: called after each cycle.
        last_entries: the last entry to move of each lane; None: all that there are now.

    Raises:
        ShardLostError: it took too long, or a worker holds the shard. What was read is still in the
            stream.
        NewerFormatError: an entry is of a newer format.
    """
    client = using.client
    queue = _DrainedShard(client, shard)
    if not queue.claim():
        raise LeaseLostError(f"a worker holds shard {shard}")
    try:
        parts = Parts(
            engine=using.engine,
            decoder=using.decoder,
            breaker=_OpenBreaker(),
            sender=_SendsNothing(),
            executor=_NO_THREADS,
            rules=using.rules,
            blocklist=using.blocklist,
        )
        cycle = _take_over(queue, parts)
        if last_entries is None:
            last_entries = {lane: last for lane in LANES if (last := _last(client, shard, lane))}
        for lane, last in last_entries.items():
            while client.xrange(stream(shard, lane), max=last, count=1):
                cycle.run(lane)
                renew()
    finally:
        queue.leave("quiet")
        queue.drop_claim()


def _last(client: redis.Redis, shard: int, lane: Lane) -> str | None:
    found: Any = client.xrevrange(stream(shard, lane), count=1)
    return found[0][0].decode() if found else None


def _take_over(queue: _DrainedShard, parts: Parts) -> DeliveryCycle:
    with parts.engine.begin() as connection:
        shards.lock(connection, [queue.shard])
        # With the row locked, later claimants get a higher fence. An expired claim must not take
        # the shard from its holder.
        if not queue.is_claimed():
            raise LeaseLostError(f"shard {queue.shard}")
        takeover = shards.take_over(connection, queue.shard, queue.claim_id)
    queue.take(takeover.fence)
    return DeliveryCycle(queue, parts, takeover, {lane: ScanCursor() for lane in LANES})


class _DrainedShard(ShardQueue):
    """A shard that workers may not claim now."""

    def claim(self) -> bool:
        """Claim the lease if nobody has it."""
        return bool(self._run(lua_scripts.CLAIM_TO_DRAIN, self.claim_id, LEASE_MS))


class _OpenBreaker(Breaker):
    """A breaker that lets nothing through, so that every job goes to the backlog."""

    def __init__(self) -> None:
        return

    def read_states(self, *, may_probe: Collection[Family] | None = ALL_FAMILIES) -> BreakerStates:
        """Return an open shared breaker that is never probed."""
        return BreakerStates(shared=BreakerState(Phase.OPEN, wait_s=float("inf")))


class _SendsNothing(Sender):
    """A sender without an API. No job gets as far as being sent."""

    def __init__(self) -> None:
        return

    def check_credentials(self, breakers: BreakerStates) -> BreakerStates:
        """Ask nobody."""
        return breakers

    def choose_probes(self, ready: Sequence[Job], breakers: BreakerStates) -> dict[Family, Job]:
        """Choose nothing."""
        return {}

    def release_probes(self, breakers: BreakerStates) -> None:
        """Do nothing: there are no tokens."""


_NO_THREADS = ThreadPoolExecutor(1)
