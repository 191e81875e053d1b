"""The relay's side of Redis: the lease of an outbox, appending, and what has left the streams."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias
from uuid import uuid4

import redis

from trackrelay.queue.append import APPEND_LUA, Entry, append_arguments, check_reply
from trackrelay.queue.lua_files import lua_script
from trackrelay.queue.redis_keys import Lane, relay_lease, stream
from trackrelay.worker.queue import queue_config
from trackrelay.worker.queue.queue_config import QueueConfig

#: A relay that does not renew its lease for this long is replaced.
LEASE_MS = 5_000

_TAKE_LEASE = lua_script(__package__, "take_lease")
EntryId: TypeAlias = tuple[int, int]


class LeaseState(StrEnum):
    """Who has the lease after this relay asked for it."""

    OTHERS = "others"
    RENEWED = "renewed"
    #: This relay has it from now on. Another one may have worked before.
    TAKEN = "taken"


@dataclass(frozen=True, slots=True)
class Appended:
    """The reply of the append script."""

    #: The number of the append.
    turn: int
    #: The place of each entry.
    places: list[str]


class StreamHeads:
    """The first entry of each stream. Entries before it were acknowledged, or lost.

    An entry is acknowledged only after its jobs were settled.
    """

    def __init__(self, first: dict[tuple[int, Lane], EntryId | None]) -> None:
        self._first = first

    def have_passed(self, place: str, lane: Lane) -> bool:
        """Return whether all entries at ``place`` have left their streams."""
        return all(self._has_passed(each, lane) for each in place.split())

    def _has_passed(self, place: str, lane: Lane) -> bool:
        shard, _, entry = place.partition(":")
        first = self._first.get((int(shard), lane))
        return first is None or entry_id(entry) < first


def entry_id(text: str) -> EntryId:
    """Return a stream entry's id as a value that sorts in stream order."""
    milliseconds, _, number = text.partition("-")
    return int(milliseconds), int(number)


class RelayQueue:
    """The queue in Redis, for one relay."""

    def __init__(self, client: redis.Redis, *, max_length: int) -> None:
        self._client = client
        self._max_length = max_length
        self._token = uuid4().hex
        self._append = client.register_script(APPEND_LUA)
        self._take_lease = client.register_script(_TAKE_LEASE)

    def config(self) -> QueueConfig | None:
        """Return the queue's configuration, or None if there is none."""
        return queue_config.read(self._client)

    def append(
        self, entries: Sequence[Entry], lane: Lane, config: QueueConfig, last_turn: int
    ) -> Appended:
        """Append all ``entries``, or raise and append none.

        If Redis does not answer, it may have appended them.

        Args:
            last_turn: the number of the last append that is known to have happened.

        Raises:
            GenerationDiffersError: Redis may have lost earlier entries. They must be sent again.
            QueueFullError, ShardsDifferError, ConfigurationError: as for any producer.
        """
        arguments = append_arguments(
            entries,
            lane,
            shards=config.shards,
            max_length=self._max_length,
            generation=config.generation,
            remembered=last_turn,
        )
        reply: Any = self._append(args=arguments)
        turn, *places = check_reply(reply, entries[0].operation)
        return Appended(int(turn), [str(place).strip() for place in places])

    def heads(self, config: QueueConfig, lanes: Iterable[Lane]) -> StreamHeads:
        """Return the first entry of each stream of ``lanes``."""
        streams = [(shard, lane) for lane in lanes for shard in range(config.shards)]
        with self._client.pipeline(transaction=False) as pipeline:
            for shard, lane in streams:
                pipeline.xrange(stream(shard, lane), count=1)
            replies = pipeline.execute()
        return StreamHeads(
            {
                each: entry_id(entries[0][0].decode()) if entries else None
                for each, entries in zip(streams, replies, strict=True)
            }
        )

    def take_lease(self, outbox: str) -> LeaseState:
        """Take or renew the lease of ``outbox``, and return who has it now."""
        answer: Any = self._take_lease(keys=[relay_lease(outbox)], args=[self._token, LEASE_MS])
        return LeaseState(answer.decode())

    def release_lease(self, outbox: str) -> None:
        """Let another relay take the outbox at once."""
        queue_config.delete_if(self._client, relay_lease(outbox), self._token)
