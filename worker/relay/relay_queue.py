"""The relay's side of Redis: appending under a generation, seeing what has left the streams, being the only one at work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias
from uuid import uuid4

import redis

from trackrelay.queue.append import APPEND_LUA, Entry, append_arguments, check_reply
from trackrelay.queue.redis_keys import Lane, relay_lease, stream
from trackrelay.worker.queue import queue_config
from trackrelay.worker.queue.queue_config import QueueConfig

#: A relay that shows no sign of life for so long is replaced by another.
LEASE_MS = 5_000

# Takes or renews the lease. KEYS: lease. ARGV: token, milliseconds
_HOLD = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 'others' end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return holder and 'renewed' or 'taken'
"""
# KEYS: lease. ARGV: token
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"
EntryId: TypeAlias = tuple[int, int]


class Hold(StrEnum):
    """Who has the lease after asking for it."""

    OTHERS = "others"
    RENEWED = "renewed"
    #: Ours from now on; another relay may have worked before.
    TAKEN = "taken"


@dataclass(frozen=True, slots=True)
class Appended:
    """What the append script answered."""

    #: The append's number.
    turn: int
    #: Where each entry lies.
    places: list[str]


class Heads:
    """The first entry of each stream: what is before it was acknowledged, so its jobs were settled, or it was lost."""

    def __init__(self, first: dict[tuple[int, Lane], EntryId | None]) -> None:
        self._first = first

    def have_passed(self, place: str, lane: Lane) -> bool:
        """Whether none of the entries at ``place`` is in a stream any more."""
        return all(self._passed(each, lane) for each in place.split())

    def _passed(self, place: str, lane: Lane) -> bool:
        shard, _, entry = place.partition(":")
        first = self._first.get((int(shard), lane))
        return first is None or entry_id(entry) < first


def entry_id(text: str) -> EntryId:
    """A stream entry's id, in the order of the stream."""
    milliseconds, _, number = text.partition("-")
    return int(milliseconds), int(number)


class RelayQueue:
    """The queue in Redis, for one relay."""

    def __init__(self, client: redis.Redis, *, max_length: int) -> None:
        self._client = client
        self._max_length = max_length
        self._token = uuid4().hex
        self._append = client.register_script(APPEND_LUA)
        self._hold = client.register_script(_HOLD)
        self._release = client.register_script(_RELEASE)

    def config(self) -> QueueConfig | None:
        """The queue's set-up, or None if there is none."""
        return queue_config.read(self._client)

    def append(
        self, entries: Sequence[Entry], lane: Lane, config: QueueConfig, remembered: int
    ) -> Appended:
        """Append all ``entries``, or raise and append none (but that it may have happened if Redis did not answer).

        Args:
            remembered: the number of the last append that is known to have happened.

        Raises:
            GenerationDiffersError: what was relayed before may be gone: it goes again first.
            QueueFullError, ShardsDifferError, ConfigurationError: as for any producer.
        """
        arguments = append_arguments(
            entries,
            lane,
            shards=config.shards,
            max_length=self._max_length,
            generation=config.generation,
            remembered=remembered,
        )
        reply: Any = self._append(args=arguments)
        turn, *places = check_reply(reply, entries[0].operation)
        return Appended(int(turn), [str(place).strip() for place in places])

    def heads(self, config: QueueConfig, lanes: Iterable[Lane]) -> Heads:
        """Where each stream of ``lanes`` begins now."""
        names = [(shard, lane) for lane in lanes for shard in range(config.shards)]
        with self._client.pipeline(transaction=False) as pipeline:
            for shard, lane in names:
                pipeline.xrange(stream(shard, lane), count=1)
            found = pipeline.execute()
        return Heads(
            {
                name: entry_id(entries[0][0].decode()) if entries else None
                for name, entries in zip(names, found, strict=True)
            }
        )

    def hold(self, outbox: str) -> Hold:
        """Take or renew the lease of ``outbox``, and return who has it now."""
        answer: Any = self._hold(keys=[relay_lease(outbox)], args=[self._token, LEASE_MS])
        return Hold(answer.decode())

    def release(self, outbox: str) -> None:
        """Let another relay have the outbox at once."""
        self._release(keys=[relay_lease(outbox)], args=[self._token])
