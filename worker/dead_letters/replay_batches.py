"""Replaying and discarding dead letters, a chunk at a time: what the command line does, for anybody else who wants to."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import redis
import sqlalchemy as sa
from redis.exceptions import RedisError

from trackrelay.queue.redis_keys import MOVING
from trackrelay.worker.delivery.shard_queue import last_entries, wake_shard
from trackrelay.worker.queue.queue_config import QueueConfigError, check_queue
from trackrelay.worker.storage import dead_letter_queries, replay, shards
from trackrelay.worker.storage.key_hasher import KeyHasher
from trackrelay.worker.storage.replay import Replay

from .eligibility import (
    Refused,
    ReplayRefusedError,
    Wanted,
    happened_at,
    prepare,
    same_call,
    superseded_by,
)

if TYPE_CHECKING:
    from trackrelay.worker.resources import Resources

#: Letters in one transaction: it holds the rows of their shards, and nothing is delivered meanwhile.
CHUNK = 500
#: Customer.io lets only events of the last 72 hours trigger campaigns.
CAMPAIGN_WINDOW_S = 72 * 3600


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a chunk, or would."""

    #: How many letters it had.
    size: int
    replays: list[Replay] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


@dataclass(slots=True)
class Tally:
    """Outcomes, counted."""

    replayed: int = 0
    refused: list[Refused] = field(default_factory=list)
    by_operation: Counter[str] = field(default_factory=Counter)
    #: Events of the last 72 hours may trigger campaigns, older ones will not.
    younger_events: int = 0
    older_events: int = 0

    def add(self, outcome: Outcome) -> None:
        """Count one chunk."""
        self.replayed += len(outcome.replays)
        self.refused += outcome.refused
        self.by_operation.update(each.job.operation for each in outcome.replays)
        since = time.time() - CAMPAIGN_WINDOW_S
        for happened in filter(None, (happened_at(each.job) for each in outcome.replays)):
            if happened >= since:
                self.younger_events += 1
            else:
                self.older_events += 1


class Replayer:
    """Replays and discards in somebody's name.

    Args:
        merge_delay_s: how long a merge waits once it is first, as for any merge.
        who: written into each letter's history.
        note: why, in their words; written there too.
    """

    def __init__(
        self,
        engine: sa.Engine,
        client: redis.Redis,
        hasher: KeyHasher,
        merge_delay_s: float,
        *,
        who: str,
        note: str | None = None,
    ) -> None:
        self._engine = engine
        self._client = client
        self._hasher = hasher
        self._merge_delay_s = merge_delay_s
        self._by = {"who": who} | ({"note": note} if note else {})

    @classmethod
    def of(cls, resources: Resources, *, who: str, note: str | None = None) -> Replayer:
        """One that works with a process's clients."""
        rules = resources.rules
        return cls(
            resources.engine,
            resources.redis,
            resources.hasher,
            rules.merge_delay_s,
            who=who,
            note=note,
        )

    def plan(self, ids: Sequence[str], wanted: Wanted) -> Iterator[Outcome]:
        """What a replay of these letters would do, chunk by chunk; nothing is changed."""
        return self._in_chunks(ids, wanted, dry=True)

    def replay(self, ids: Sequence[str], wanted: Wanted) -> Iterator[Outcome]:
        """Replay letters, chunk by chunk: each chunk is committed before it is handed out.

        Refused ones stay as they are and stop nobody.

        Raises:
            QueueConfigError: the queue is not set up, or its number of shards is being changed.
        """
        return self._in_chunks(ids, wanted, dry=False)

    def discard(self, ids: Sequence[str]) -> Iterator[frozenset[str]]:
        """Discard open letters, chunk by chunk; hands out the ids of those that were. Their rows stay."""
        for chunk in _chunks(ids):
            with self._engine.begin() as connection:
                discarded = replay.discard(
                    connection, chunk, {"at": time.time(), "what": "discarded", **self._by}
                )
            yield discarded

    def _in_chunks(self, ids: Sequence[str], wanted: Wanted, *, dry: bool) -> Iterator[Outcome]:
        for chunk in _chunks(ids):
            with self._engine.begin() as connection:
                outcome = self._chunk(connection, chunk, wanted, dry=dry)
            try:
                yield outcome
            finally:
                if not dry:
                    self._ring(outcome.replays)

    def _chunk(
        self, connection: sa.Connection, ids: Sequence[str], wanted: Wanted, *, dry: bool
    ) -> Outcome:
        config = check_queue(self._client, None)
        ready, refused = self._prepare(
            dead_letter_queries.load(connection, ids), wanted, config.shards
        )
        refused += [
            Refused(id, None, "missing", "there is no such dead letter")
            for id in _missing(ids, ready, refused)
        ]
        if not ready:
            return Outcome(len(ids), [], refused)
        locked = {} if dry else self._lock(connection, ready, config.shards)
        ready, too_late = self._sort_out(connection, ready, wanted)
        refused += too_late
        if not dry:
            ready, changed = self._replay(connection, ready, locked)
            refused += changed
        return Outcome(len(ids), ready, refused)

    def _prepare(
        self, found: Sequence[dead_letter_queries.DeadLetter], wanted: Wanted, queue_shards: int
    ) -> tuple[list[Replay], list[Refused]]:
        ready, refused, now = [], [], time.time()
        for letter in found:
            try:
                job, changes = prepare(letter, wanted, queue_shards, self._hasher, now)
            except ReplayRefusedError as why:
                refused.append(why.refused(letter))
                continue
            event = {
                "at": now,
                "what": "replayed",
                **self._by,
                "reason": letter.reason,
                "died_at": letter.died_at,
            }
            event |= {"changes": changes} if changes else {}
            ready.append(
                Replay(letter=letter, job=job, event=event, same_call=same_call(letter, wanted))
            )
        return ready, refused

    def _lock(
        self, connection: sa.Connection, ready: Sequence[Replay], queue_shards: int
    ) -> dict[int, shards.LockedShard]:
        wanted = {shard for each in ready for shard in each.job.shards}
        locked = shards.lock(connection, sorted(wanted))
        if wanted - locked.keys():
            raise shards.ShardMissingError(
                f"the database knows no shard {min(wanted - locked.keys())}: run `trackrelay migrate`"
            )
        if check_queue(self._client, None).shards != queue_shards:
            raise QueueConfigError(
                "the queue's number of shards was changed just now: replay again"
            )
        if self._client.exists(MOVING):
            raise QueueConfigError(
                "the queue's number of shards is being changed: replay again when that is done"
            )
        return locked

    def _sort_out(
        self, connection: sa.Connection, ready: Sequence[Replay], wanted: Wanted
    ) -> tuple[list[Replay], list[Refused]]:
        standing = replay.superseded(connection, ready)
        still, refused = [], []
        for each in ready:
            later = standing.get(each.letter.id)
            why = later and superseded_by(each.job, later, even_if_newer=wanted.even_if_newer)
            if why:
                refused.append(why.refused(each.letter))
            elif later and later.job and wanted.even_if_newer:
                still.append(replace(each, event={**each.event, "even_if_newer": later.job.id}))
            else:
                still.append(each)
        return still, refused

    def _replay(
        self,
        connection: sa.Connection,
        ready: Sequence[Replay],
        locked: dict[int, shards.LockedShard],
    ) -> tuple[list[Replay], list[Refused]]:
        # No sooner: now that the shards' rows are held, what is enqueued but not read yet cannot slip in ahead of a replay unseen.
        enqueued = last_entries(self._client, sorted(locked), "bulk")
        marked = replay.replay(connection, ready, locked, enqueued, self._merge_delay_s)
        changed = ReplayRefusedError("state", "somebody else changed it just now; look at it again")
        return (
            [each for each in ready if each.letter.id in marked],
            [changed.refused(each.letter) for each in ready if each.letter.id not in marked],
        )

    def _ring(self, replays: Sequence[Replay]) -> None:
        try:
            for shard in sorted({each.job.shards[0] for each in replays}):
                wake_shard(self._client, shard)
        except (RedisError, OSError):
            return  # What is due is found by the next tick.


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK))


def _missing(ids: Sequence[str], ready: Sequence[Replay], refused: Sequence[Refused]) -> list[str]:
    found: set[Any] = {each.letter.id for each in ready} | {each.id for each in refused}
    return [id for id in ids if id not in found]
