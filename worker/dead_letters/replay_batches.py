"""Replay and discard dead letters in chunks, for the command line, the admin and others."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

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
    RefusedReplay,
    ReplayPolicy,
    ReplayRefusedError,
    asks_newer,
    happened_at,
    prepare,
    same_call,
    superseded_by,
)

if TYPE_CHECKING:
    from trackrelay.worker.resources import Resources

#: Letters in one transaction. It locks the rows of their shards, which stops their delivery.
CHUNK = 500
#: Customer.io lets only events of the last 72 hours trigger campaigns.
CAMPAIGN_WINDOW_S = 72 * 3600


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a chunk, or of its plan."""

    #: The number of letters in the chunk.
    size: int
    replays: list[Replay] = field(default_factory=list)
    refused: list[RefusedReplay] = field(default_factory=list)


@dataclass(slots=True)
class Tally:
    """The sum of outcomes."""

    replayed: int = 0
    refused: list[RefusedReplay] = field(default_factory=list)
    by_operation: Counter[str] = field(default_factory=Counter)
    #: Events of the last 72 hours may trigger campaigns, older ones do not.
    younger_events: int = 0
    older_events: int = 0

    def add(self, outcome: Outcome) -> None:
        """Add one chunk."""
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
    """Replays and discards dead letters in somebody's name.

    Args:
        merge_delay_s: how long a merge waits once it is first for its keys.
        who: recorded in each letter's history.
        note: why they do it; recorded as well.
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
        """Return a replayer with the connections of this process."""
        rules = resources.rules
        return cls(
            resources.engine,
            resources.redis,
            resources.hasher,
            rules.merge_delay_s,
            who=who,
            note=note,
        )

    def plan(self, ids: Sequence[str], policy: ReplayPolicy) -> Iterator[Outcome]:
        """Yield for each chunk what a replay would do. Nothing changes."""
        return self._in_chunks(ids, policy, dry=True)

    def replay(self, ids: Sequence[str], policy: ReplayPolicy) -> Iterator[Outcome]:
        """Replay letters in chunks, and yield each outcome after its commit.

        A refused letter is not changed, and does not stop the others.

        Raises:
            QueueConfigError: the queue is not set up, or its number of shards is changing.
        """
        return self._in_chunks(ids, policy, dry=False)

    def discard(self, ids: Sequence[str]) -> Iterator[frozenset[str]]:
        """Discard open letters in chunks, and yield the ids of those that were open.

        Their rows stay.
        """
        for chunk in _chunks(ids):
            with self._engine.begin() as connection:
                discarded = replay.discard(
                    connection, chunk, {"at": time.time(), "what": "discarded", **self._by}
                )
            yield discarded

    def _in_chunks(
        self, ids: Sequence[str], policy: ReplayPolicy, *, dry: bool
    ) -> Iterator[Outcome]:
        for chunk in _chunks(ids):
            with self._engine.begin() as connection:
                outcome = self._chunk(connection, chunk, policy, dry=dry)
            try:
                yield outcome
            finally:
                if not dry:
                    self._wake_shards(outcome.replays)

    def _chunk(
        self, connection: sa.Connection, ids: Sequence[str], policy: ReplayPolicy, *, dry: bool
    ) -> Outcome:
        config = check_queue(self._client, None)
        ready, refused = self._prepare(
            dead_letter_queries.load(connection, ids), policy, config.shards
        )
        refused += [
            RefusedReplay(id, None, "missing", "there is no such dead letter")
            for id in _missing(ids, ready, refused)
        ]
        if not ready:
            return Outcome(len(ids), [], refused)
        locked = {} if dry else self._lock(connection, ready, config.shards)
        ready, superseded = self._drop_superseded(connection, ready, policy)
        refused += superseded
        if not dry:
            ready, changed = self._replay(connection, ready, locked)
            refused += changed
        return Outcome(len(ids), ready, refused)

    def _prepare(
        self,
        letters: Sequence[dead_letter_queries.DeadLetter],
        policy: ReplayPolicy,
        queue_shards: int,
    ) -> tuple[list[Replay], list[RefusedReplay]]:
        ready, refused, now = [], [], time.time()
        for letter in letters:
            try:
                job, changes = prepare(letter, policy, queue_shards, self._hasher, now)
            except ReplayRefusedError as why:
                refused.append(why.of(letter))
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
                Replay(
                    letter=letter,
                    job=job,
                    event=event,
                    same_call=same_call(letter, policy),
                    asks_newer=asks_newer(job, policy),
                )
            )
        return ready, refused

    def _lock(
        self, connection: sa.Connection, ready: Sequence[Replay], queue_shards: int
    ) -> dict[int, shards.LockedShard]:
        needed = {shard for each in ready for shard in each.job.shards}
        locked = shards.lock(connection, sorted(needed))
        if missing := needed - locked.keys():
            raise shards.ShardMissingError(
                f"the database knows no shard {min(missing)}: run `trackrelay migrate`"
            )
        if check_queue(self._client, None).shards != queue_shards:
            raise QueueConfigError("the queue's number of shards has just changed: replay again")
        if self._client.exists(MOVING):
            raise QueueConfigError(
                "the queue's number of shards is changing: replay again when that is done"
            )
        return locked

    def _drop_superseded(
        self, connection: sa.Connection, ready: Sequence[Replay], policy: ReplayPolicy
    ) -> tuple[list[Replay], list[RefusedReplay]]:
        later_jobs = replay.superseded(connection, ready)
        allowed, refused = [], []
        for each in ready:
            later = later_jobs.get(each.letter.id)
            why = later and superseded_by(each.job, later, even_if_newer=policy.even_if_newer)
            if why:
                refused.append(why.of(each.letter))
            elif later and later.job and policy.even_if_newer:
                allowed.append(replace(each, event={**each.event, "even_if_newer": later.job.id}))
            else:
                allowed.append(each)
        return allowed, refused

    def _replay(
        self,
        connection: sa.Connection,
        ready: Sequence[Replay],
        locked: dict[int, shards.LockedShard],
    ) -> tuple[list[Replay], list[RefusedReplay]]:
        # Read only after the lock: then every unread entry that comes before a replay is counted.
        enqueued = last_entries(self._client, sorted(locked), "bulk")
        marked = replay.replay(connection, ready, locked, enqueued, self._merge_delay_s)
        changed = ReplayRefusedError("state", "somebody else has just changed it: look at it again")
        return (
            [each for each in ready if each.letter.id in marked],
            [changed.of(each.letter) for each in ready if each.letter.id not in marked],
        )

    def _wake_shards(self, replays: Sequence[Replay]) -> None:
        try:
            for shard in sorted({each.job.shards[0] for each in replays}):
                wake_shard(self._client, shard)
        except (RedisError, OSError):
            return  # The next tick finds the due jobs.


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK))


def _missing(
    ids: Sequence[str], ready: Sequence[Replay], refused: Sequence[RefusedReplay]
) -> list[str]:
    known = {each.letter.id for each in ready} | {each.id for each in refused}
    return [id for id in ids if id not in known]
