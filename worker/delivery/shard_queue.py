"""A shard's side of Redis: its lease, its two streams, its wakeup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple
from uuid import uuid4

import redis

from trackrelay.queue.append import MAX_WAKEUPS, WAKEUP_MS, deliver_message
from trackrelay.queue.redis_keys import PREFIX, QUEUE_KEY, Lane, handed_out, lease, more, stream
from trackrelay.queue.shared_entries import ENTRY_JOBS
from trackrelay.worker.storage.replay_positions import entry_number
from trackrelay.worker.storage.shards import ShardLostError
from trackrelay.worker.storage.storable_jobs import MAX_MS

from . import lua_scripts

#: How long a holder without a sign of life keeps its shard while it has no request under way.
LEASE_MS = 6_000
#: After this many deliveries an entry comes nearly alone, see ``lua/read.lua``.
ALONE_AFTER = 5
#: How long messages pass over a shard that could not be worked on (paused, halted, failing).
UNABLE_MS = 3_000
#: How long the deliveries of a backlog job are counted.
CLAIM_COUNT_MS = 86_400_000

#: How to leave a shard: only if it is empty; at any time, waking a successor; without a successor.
Leave = Literal["if_empty", "wake", "quiet"]


#: List of the jobs that the latest cycles put into Postgres, an element for each cycle.
STORED_KEY = PREFIX + "stored"
#: How many elements it has at most, of up to a thousand ids.
MAX_STORED = 200
#: How long it is kept after the latest one. The ledger remembers all those jobs for much longer.
STORED_S = 3_600


class LeaseLostError(ShardLostError):
    """The lease in Redis expired, or another worker holds it."""


class RawEntry(NamedTuple):
    """A stream entry as it was read."""

    id: str
    #: The format, and the jobs, of an entry as producers write it.
    version: bytes | None
    data: bytes | None
    #: All fields of any other entry.
    fields: dict[bytes, bytes] | None = None
    #: How many jobs it counts as.
    jobs: int = 1

    @property
    def at(self) -> float:
        """Unix seconds by Redis' clock, which never runs backwards within a stream."""
        # An entry that was written by hand can have any id, also one beyond the calendar.
        return min(int(self.id.partition("-")[0]), MAX_MS) / 1000

    @property
    def was_deleted(self) -> bool:
        """Whether somebody deleted it: it is still pending, and empty."""
        return self.data is None and self.fields is None


@dataclass(frozen=True, slots=True)
class StreamRead:
    """The entries of one read."""

    entries: list[RawEntry] = field(default_factory=list)
    #: How often the first entry was delivered before; 0 for new ones.
    deliveries: int = 0


@dataclass(frozen=True, slots=True)
class Claimed:
    """Backlog jobs that a holder processes now."""

    jobs: tuple[str, ...] = ()
    #: How often the first of them was delivered before and not settled.
    deliveries: int = 0
    #: The highest such number among them.
    max_deliveries: int = 0


class ShardQueue:
    """One shard, held or to be held by this worker."""

    def __init__(self, client: redis.Redis, shard: int) -> None:
        self._client = client
        self.shard = shard
        self.claim_id = uuid4().hex
        self.fence = 0
        #: What the lease holds. No other lease ever has the same token, even if Postgres forgets a
        #: fence and gives it out again.
        self.token = ""

    def claim(self) -> bool:
        """Claim the lease if nobody has it. :meth:`take` turns a claim into a lease."""
        return bool(self._run(lua_scripts.CLAIM, self.claim_id, LEASE_MS))

    def take(self, fence: int) -> int:
        """Turn the claim into a lease. Return how many shards the queue has.

        Args:
            fence: the number that Postgres gave.

        Raises:
            LeaseLostError: the claim expired meanwhile.
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
            unable: whether the shard cannot be worked on now, so that messages for other shards
                pass it over.
        """
        self._run(lua_scripts.DROP_CLAIM, self.claim_id, UNABLE_MS if unable else 0)

    def is_claimed(self) -> bool:
        """Whether the claim has not expired."""
        return bool(self._client.get(lease(self.shard)) == self.claim_id.encode())

    def read(self, lane: Lane, jobs: int, size_bytes: int, *, pending: bool) -> StreamRead:
        """Read entries: new ones, or those that an earlier holder left pending.

        Args:
            lane: which stream.
            jobs: the most jobs that the entries may hold.
            size_bytes: the read stops soon after this many bytes.
            pending: whether to read pending entries.

        Raises:
            LeaseLostError: the lease is not ours any more; nothing was read.
        """
        answer: Any = self._run(
            lua_scripts.READ,
            self.token,
            LEASE_MS,
            WAKEUP_MS,
            lane,
            jobs,
            size_bytes,
            ENTRY_JOBS if lane == "bulk" else 1,
            "pending" if pending else "new",
            lua_scripts.GROUP,
            lua_scripts.CONSUMER,
        )
        if answer[0] == b"lost":
            raise LeaseLostError(f"shard {self.shard}")
        found = zip(answer[2::4], answer[3::4], answer[4::4], answer[5::4], strict=True)
        return StreamRead(
            [_entry(name.decode(), *values) for name, *values in found], int(answer[1])
        )

    def claim_backlog(self, lane: Lane, jobs: Sequence[str]) -> Claimed:
        """Count a delivery of due backlog jobs: of all of ``jobs``, or of the first few.

        Raises:
            LeaseLostError: the lease is not ours any more; nothing was counted.
        """
        count, deliveries, max_deliveries = self._run(
            lua_scripts.CLAIM_BACKLOG, self.token, LEASE_MS, lane, CLAIM_COUNT_MS, *jobs
        )
        if count < 0:
            raise LeaseLostError(f"shard {self.shard}")
        return Claimed(tuple(jobs[:count]), deliveries, max_deliveries)

    def release_uncounted(self, lane: Lane, read: StreamRead, claimed: Claimed) -> None:
        """Do not count a delivery as one that crashed its holder: the holder lives.

        The count stays at ``ALONE_AFTER``, so the next read may still get fewer jobs: perhaps
        Postgres is too slow for so many while the lease lasts.
        """
        # Another holder may have these entries by now. Only the counts change, not the owner: there
        # is one consumer.
        if read.entries and read.deliveries >= ALONE_AFTER:
            ids: list[Any] = [entry.id for entry in read.entries]
            self._client.xclaim(
                stream(self.shard, lane),
                lua_scripts.GROUP,
                lua_scripts.CONSUMER,
                0,
                ids,
                retrycount=ALONE_AFTER,
                justid=True,
            )
        if claimed.jobs and claimed.deliveries >= ALONE_AFTER:
            self._client.hset(
                handed_out(self.shard, lane), mapping=dict.fromkeys(claimed.jobs, ALONE_AFTER)
            )

    def acknowledge(
        self,
        lane: Lane,
        entries: Sequence[RawEntry],
        claimed: Sequence[str] = (),
        stored: Sequence[str] = (),
    ) -> None:
        """Acknowledge settled entries, and forget the deliveries of settled backlog jobs.

        Args:
            lane: of both.
            entries: settled stream entries.
            claimed: ids of settled backlog jobs.
            stored: ids of jobs that only Postgres has from now on. Redis remembers the latest ones,
                so that a failover of Postgres that forgot them is noticed.
        """
        if not entries and not claimed:
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
                arguments = (name, more(self.shard, lane), lua_scripts.GROUP, *held)
                transaction.eval(lua_scripts.ACKNOWLEDGE, 2, *arguments)
            if claimed:
                transaction.hdel(handed_out(self.shard, lane), *claimed)
            if stored:
                transaction.lpush(STORED_KEY, ",".join(stored))
                transaction.ltrim(STORED_KEY, 0, MAX_STORED - 1)
                transaction.expire(STORED_KEY, STORED_S)
            transaction.execute()

    def leave(self, how: Leave) -> Literal["left", "work", "lost"]:
        """Leave the shard. Return ``work`` if it is not empty and was to be left only if empty."""
        answer: Any = self._run(
            lua_scripts.LEAVE,
            self.token,
            how,
            QUEUE_KEY,
            deliver_message(self.shard),
            WAKEUP_MS,
            MAX_WAKEUPS,
            uuid4().hex,
            UNABLE_MS,
        )
        return answer.decode()  # type: ignore[no-any-return]

    def _run(self, script: str, *arguments: str | int) -> Any:
        values: list[str | int | float] = [PREFIX, self.shard, *arguments]
        return self._client.register_script(script)(args=values)


def _entry(name: str, version: bytes | None, data: Any, jobs: int) -> RawEntry:
    if version is not None:
        return RawEntry(name, version, data, None, jobs)
    # In place of the jobs stand all fields, or nothing if the entry was deleted.
    fields = dict(zip(data[::2], data[1::2], strict=True)) if data else None
    return RawEntry(name, None, None, fields)


def last_entries(client: redis.Redis, shards: Sequence[int], lane: Lane) -> dict[int, int]:
    """Return the number of the last entry that each shard's stream ever had, all of one moment.

    See ``entry_number``; 0 where nothing was ever enqueued.
    """
    with client.pipeline(transaction=True) as transaction:
        for shard in shards:
            transaction.xinfo_stream(stream(shard, lane))
        answers = transaction.execute(raise_on_error=False)
    return {
        # An error says that there is no such stream.
        shard: 0
        if isinstance(answer, redis.ResponseError)
        else entry_number(answer["last-generated-id"].decode())
        for shard, answer in zip(shards, answers, strict=True)
    }


def choose_shard(client: redis.Redis, shard: int) -> int:
    """Return the shard that waits longest for a holder, for a message that names ``shard``."""
    return int(client.register_script(lua_scripts.CHOOSE_SHARD)(args=[PREFIX, shard]))


def wake_shard(client: redis.Redis, shard: int) -> bool:
    """Wake a shard that nobody holds, even if a wakeup exists. Return whether nobody holds it."""
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
