"""A shard's side of Redis: its lease, its two streams, its wakeup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple
from uuid import uuid4

import redis

from trackrelay.queue.append import MAX_WAKEUPS, WAKEUP_MS, deliver_message
from trackrelay.queue.coalescing import ENTRY_JOBS
from trackrelay.queue.redis_keys import PREFIX, QUEUE_KEY, Lane, handed_out, lease, more, stream
from trackrelay.worker.storage.replay_positions import entry_number
from trackrelay.worker.storage.shards import ShardLostError
from trackrelay.worker.storage.storable_jobs import MAX_MS

from . import lua_scripts

#: How long a holder that shows no sign of life keeps its shard when it has no request under way.
LEASE_MS = 6_000
#: Handed out so often, an entry comes (nearly) alone: see the script that reads.
ALONE = 5
#: How long a shard that could not be worked on (paused, halted, failing) takes no messages meant for others.
UNABLE_MS = 3_000
#: How long it is remembered that a job out of the backlog was handed out.
HANDED_MS = 86_400_000


class LeaseLostError(ShardLostError):
    """The lease in Redis expired, or another worker holds it."""


class RawEntry(NamedTuple):
    """A stream entry as it was read."""

    id: str
    #: Of an entry as producers write it: its format, and its jobs.
    version: bytes | None
    data: bytes | None
    #: Of any other: all it has.
    fields: dict[bytes, bytes] | None = None
    #: How many jobs it counts for.
    jobs: int = 1

    @property
    def at(self) -> float:
        """Unix seconds by Redis' clock, which never runs backwards within a stream."""
        # Whoever writes entries by hand can give them any id, in no calendar.
        return min(int(self.id.partition("-")[0]), MAX_MS) / 1000

    @property
    def vanished(self) -> bool:
        """Whether it was deleted behind our back: it is still pending, and empty."""
        return self.data is None and self.fields is None


@dataclass(frozen=True, slots=True)
class Read:
    """What a read gave."""

    entries: list[RawEntry] = field(default_factory=list)
    #: How often the first entry had been handed out before; 0 for new ones.
    deliveries: int = 0


@dataclass(frozen=True, slots=True)
class Claimed:
    """Jobs out of the backlog that a holder has in hand."""

    jobs: tuple[str, ...] = ()
    #: How often the first of them had been handed out before, and was not settled.
    deliveries: int = 0
    #: The highest such number among them.
    most_deliveries: int = 0


class ShardQueue:
    """One shard, held or to be held by this worker."""

    def __init__(self, client: redis.Redis, shard: int) -> None:
        self._client = client
        self.shard = shard
        self.claim_id = uuid4().hex
        self.fence = 0
        #: What the lease holds. No other lease ever had the same, even if Postgres forgets a fence and gives it out again.
        self.token = ""

    def claim(self) -> bool:
        """Claim the lease if nobody has it; a claim becomes a lease with :meth:`take`."""
        return bool(self._run(lua_scripts.CLAIM, self.claim_id, LEASE_MS))

    def take(self, fence: int) -> int:
        """Turn the claim into a lease under the number Postgres gave; returns how many shards the queue has.

        Raises:
            LeaseLostError: the claim ran out meanwhile.
        """
        self.fence = fence
        self.token = f"{fence}:{self.claim_id}"
        shards = int(
            self._run(lua_scripts.TAKE, self.claim_id, self.token, LEASE_MS, lua_scripts.GROUP)
        )
        if shards < 0:
            raise LeaseLostError(f"shard {self.shard}")
        return shards

    def drop_claim(self, *, unable: bool = False) -> None:
        """Give up a claim that did not become a lease.

        Args:
            unable: the shard cannot be worked on for now, so messages for other shards are not to be spent on it.
        """
        self._run(lua_scripts.DROP_CLAIM, self.claim_id, UNABLE_MS if unable else 0)

    def claimed(self) -> bool:
        """Whether the claim still stands."""
        return bool(self._client.get(lease(self.shard)) == self.claim_id.encode())

    def read(self, lane: Lane, jobs: int, size_bytes: int, *, pending: bool) -> Read:
        """Read entries, new ones or those an earlier holder left: of up to ``jobs`` jobs, of ``size_bytes`` bytes or hardly more.

        Raises:
            LeaseLostError: the lease is not ours any more; nothing was read.
        """
        answer: Any = self._run(
            lua_scripts.READ, self.token, LEASE_MS, WAKEUP_MS, lane, jobs, size_bytes, ENTRY_JOBS if lane == "bulk" else 1,
            "pending" if pending else "new", lua_scripts.GROUP, lua_scripts.CONSUMER,
        )  # fmt: skip
        if answer[0] == b"lost":
            raise LeaseLostError(f"shard {self.shard}")
        found = zip(answer[2::4], answer[3::4], answer[4::4], answer[5::4], strict=True)
        return Read([_entry(name.decode(), *values) for name, *values in found], int(answer[1]))

    def claim_backlog(self, lane: Lane, jobs: Sequence[str]) -> Claimed:
        """Note that jobs of the lane's backlog, given in order, are in hand now: all of them, or the first few.

        Raises:
            LeaseLostError: the lease is not ours any more; nothing was noted.
        """
        count, deliveries, most = self._run(
            lua_scripts.HAND_OUT, self.token, LEASE_MS, lane, HANDED_MS, *jobs
        )
        if count < 0:
            raise LeaseLostError(f"shard {self.shard}")
        return Claimed(tuple(jobs[:count]), deliveries, most)

    def release_uncounted(self, lane: Lane, read: Read, handed: Claimed) -> None:
        """Not count a hand-out as one that killed its holder: it gave up alive.

        The next may well get fewer: perhaps Postgres is too slow for so many while the lease lasts.
        """
        # It may be another holder's turn already: what is theirs stays theirs, and only the counts change.
        if read.entries and read.deliveries >= ALONE:
            ids: list[Any] = [entry.id for entry in read.entries]
            name = stream(self.shard, lane)
            self._client.xclaim(
                name, lua_scripts.GROUP, lua_scripts.CONSUMER, 0, ids, retrycount=ALONE, justid=True
            )
        if handed.jobs and handed.deliveries >= ALONE:
            self._client.hset(
                handed_out(self.shard, lane), mapping=dict.fromkeys(handed.jobs, ALONE)
            )

    def acknowledge(
        self, lane: Lane, entries: Sequence[RawEntry], handed: Sequence[str] = ()
    ) -> None:
        """Acknowledge and delete entries whose jobs are settled, and forget that jobs of the backlog were handed out."""
        if not entries and not handed:
            return
        name = stream(self.shard, lane)
        with self._client.pipeline(transaction=True) as transaction:
            if single := [entry.id for entry in entries if entry.jobs == 1]:
                transaction.xack(name, lua_scripts.GROUP, *single)
                transaction.xdel(name, *single)
            if len(single) < len(entries):
                held = [
                    value for entry in entries if entry.jobs > 1 for value in (entry.id, entry.jobs)
                ]
                transaction.eval(
                    lua_scripts.ACKNOWLEDGE,
                    2,
                    name,
                    more(self.shard, lane),
                    lua_scripts.GROUP,
                    *held,
                )
            if handed:
                transaction.hdel(handed_out(self.shard, lane), *handed)
            transaction.execute()

    def leave(self, how: Literal["go on", "wake", "quiet"]) -> Literal["left", "work", "lost"]:
        """Leave the shard: ``go on`` only if it is empty; ``wake`` a successor; ``quiet`` without telling anybody."""
        answer: Any = self._run(
            lua_scripts.LEAVE, self.token, how, QUEUE_KEY, deliver_message(self.shard), WAKEUP_MS, MAX_WAKEUPS, uuid4().hex,
            UNABLE_MS,
        )  # fmt: skip
        return answer.decode()  # type: ignore[no-any-return]

    def _run(self, script: str, *arguments: str | int) -> Any:
        values: list[str | int | float] = [PREFIX, self.shard, *arguments]
        return self._client.register_script(script)(args=values)


def _entry(name: str, version: bytes | None, data: Any, jobs: int) -> RawEntry:
    if version is not None:
        return RawEntry(name, version, data, None, jobs)
    # Of the fields only, or of nothing at all.
    return RawEntry(
        name, None, None, dict(zip(data[::2], data[1::2], strict=True)) if data else None
    )


def last_entries(client: redis.Redis, shards: Sequence[int], lane: Lane) -> dict[int, int]:
    """The number (see `entry_number`) of the last entry that each shard's stream ever had, all of one moment."""
    with client.pipeline(transaction=True) as transaction:
        for shard in shards:
            transaction.xinfo_stream(stream(shard, lane))
        answers = transaction.execute(raise_on_error=False)
    return {
        # There is no such stream: nothing was ever enqueued here.
        shard: 0
        if isinstance(answer, redis.ResponseError)
        else entry_number(answer["last-generated-id"].decode())
        for shard, answer in zip(shards, answers, strict=True)
    }


def fairest(client: redis.Redis, shard: int) -> int:
    """The shard to hold for a message that names ``shard``: that one, unless another waits for a holder for longer."""
    return int(client.register_script(lua_scripts.FAIREST)(args=[PREFIX, shard]))


def wake_shard(client: redis.Redis, shard: int) -> bool:
    """Wake a shard that nobody holds, even if a wakeup exists. Return whether a message was sent."""
    arguments: list[str | int | float] = [
        PREFIX,
        shard,
        QUEUE_KEY,
        deliver_message(shard),
        WAKEUP_MS,
        MAX_WAKEUPS,
        uuid4().hex,
    ]
    return bool(client.register_script(lua_scripts.WAKE)(args=arguments))
