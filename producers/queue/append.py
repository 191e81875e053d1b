"""Append jobs to the queue: one script and one round trip, all or none.

The script adds every entry to its streams. For each shard without a wakeup it sets the wakeup, and
pushes the Celery message that makes a worker come. So a worker is woken for every job in the queue.

The message is Celery's documented task message, version 2, in the envelope of kombu's Redis
transport (https://docs.celeryq.dev/en/stable/internals/protocol.html). Celery clients in other
languages write the same, and an application needs neither Celery nor its version constraints.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from trackrelay.errors import (
    ConfigurationError,
    QueueFullError,
    QueueNotSetUpError,
    QueueUnavailableError,
    TrackRelayError,
)
from trackrelay.operations.keys import shard_of
from trackrelay.operations.operation import Operation
from trackrelay.operations.validation import checked_again, is_checked

from . import redis_keys, resp
from .job import FORMAT_VERSION, encode_entry
from .lua_files import lua_script
from .redis_keys import Lane
from .shared_entries import PlacedEntry, coalesce

#: Part of ``maxmemory`` above which nothing is accepted. Workers need the rest to drain the queue.
MEMORY_MARK = 0.75
#: Calls of this size check the memory each time. Smaller ones use a value of the last tenth of a
#: second.
LARGE_BYTES = 32_768
#: Part of the queue's length and of ``maxmemory`` that bulk entries may use. The rest is for live
#: calls.
BULK_PART = 0.5
#: How long a wakeup lasts if no holder renews it. After that the next enqueue wakes the shard anew.
WAKEUP_MS = 15_000
#: Most messages in Celery's queue. There are more only if no worker has run for a long time.
MAX_WAKEUPS = 256
#: Most refused operations that wait for a worker, and most that are accepted in a minute. A mistake
#: in an application must fill neither Redis nor the dead letters.
MAX_INVALID = 1_000
MAX_INVALID_A_MINUTE = 600
DELIVER_TASK = "trackrelay.deliver"

#: Defines ``wake()``. Workers put it in front of their own scripts.
WAKE_LUA = lua_script(__package__, "wake")
APPEND_LUA = lua_script(__package__, "wake", "append")
APPEND_SHA = hashlib.sha1(APPEND_LUA.encode(), usedforsecurity=False).hexdigest()


@lru_cache(maxsize=1024)
def deliver_message(shard: int) -> str:
    """Return the message of the deliver task for ``shard``, with ``@`` for its unique id."""
    arguments = base64.b64encode(json.dumps([[shard], {}, {}]).encode()).decode()
    return celery_message(DELIVER_TASK, arguments, f"({shard},)")


def celery_message(task: str, arguments: str, argsrepr: str) -> str:
    """Return a Celery task message in kombu's envelope, with ``@`` for its unique id."""
    return json.dumps(
        {
            "body": arguments,
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {
                "lang": "py",
                "task": task,
                "id": "@",
                "root_id": "@",
                "parent_id": None,
                "group": None,
                "argsrepr": argsrepr,
                "kwargsrepr": "{}",
                "origin": "trackrelay",
                "ignore_result": True,
            },
            "properties": {
                "correlation_id": "@",
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": redis_keys.QUEUE},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": "@",
            },
        },
        separators=(",", ":"),
    )


@dataclass(frozen=True, slots=True)
class Entry:
    """A stream entry: the operation it was made from, and its bytes."""

    operation: Operation
    data: bytes

    @classmethod
    def of(cls, operation: Operation, *, source: str | None, trace: str | None) -> Entry:
        """Return the entry of an operation.

        Check the operation again unless its seal shows that it was checked.
        """
        if (
            type(operation) is not Operation
            or (seal := operation.seal) is None
            or seal is not operation.body
            or (operation.companion is not None and not is_checked(operation.companion))
        ):
            operation = checked_again(operation)
        return cls(operation, encode_entry(operation, source=source, trace=trace))


def operations_of(entries: Iterable[Entry]) -> list[Operation]:
    """Return the operations that ``entries`` were made from."""
    return [entry.operation for entry in entries]


def append_arguments(
    entries: Sequence[Entry],
    lane: Lane,
    *,
    shards: int,
    max_length: int,
    generation: str = "",
    remembered: int = 0,
) -> list[str | bytes | int | float]:
    """Return the ARGV of the append script for ``entries``.

    Args:
        generation: for a relay: the generation of the queue that holds what it has relayed.
        remembered: for a relay: the number of its last append. A lower number in Redis means that
            Redis lost one.
    """
    # A relay must know where each of its rows lies.
    touched, tail = _placed(entries, shards, coalesced=lane == "bulk" and not generation)
    return [*_head(touched, lane, shards, max_length, generation, remembered), *tail]


def append_command(entries: Sequence[Entry], lane: Lane, *, shards: int, max_length: int) -> bytes:
    """Return the packed command that runs the append script for ``entries``.

    Its greater part is cached.
    """
    touched, tail = _placed(entries, shards, coalesced=lane == "bulk")
    count, head = _packed_head(touched, lane, shards, max_length)
    return resp.command(count + len(tail), head, resp.packed(tail))


def loading_command(entries: Sequence[Entry], lane: Lane, *, shards: int, max_length: int) -> bytes:
    """Return the same command for a Redis that does not know the script yet."""
    arguments = append_arguments(entries, lane, shards=shards, max_length=max_length)
    return resp.command(3 + len(arguments), resp.packed(["EVAL", APPEND_LUA, 0, *arguments]))


@lru_cache(maxsize=1024)
def _packed_head(
    touched: tuple[int, ...], lane: Lane, shards: int, max_length: int
) -> tuple[int, bytes]:
    arguments = ["EVALSHA", APPEND_SHA, 0, *_head(touched, lane, shards, max_length)]
    return len(arguments), resp.packed(arguments)


def _placed(
    entries: Sequence[Entry], shards: int, *, coalesced: bool
) -> tuple[tuple[int, ...], list[str | bytes | int]]:
    touched: set[int] = set()
    tail: list[str | bytes | int] = []
    placed = (PlacedEntry(_shards_of(entry.operation, shards), entry.data) for entry in entries)
    for each in coalesce(placed) if coalesced else placed:
        touched.update(each.shards)
        tail += (",".join(map(str, each.shards)), each.jobs, each.data)
    return tuple(sorted(touched)), tail


def _shards_of(operation: Operation, shards: int) -> tuple[int, ...]:
    return tuple(dict.fromkeys([shard_of(key, shards) for key in operation.keys]))


def _head(
    touched: Sequence[int],
    lane: Lane,
    shards: int,
    max_length: int,
    generation: str = "",
    remembered: int = 0,
) -> list[str | bytes | int | float]:
    # A relay appends the rows of both lanes in one order. If bulk rows waited, live rows would wait
    # behind them.
    gives_way = lane == "bulk" and not generation
    head: list[str | bytes | int | float] = [
        redis_keys.PREFIX,
        redis_keys.QUEUE_KEY,
        FORMAT_VERSION,
        shards,
        max_length,
        BULK_PART if gives_way else MEMORY_MARK,
        WAKEUP_MS,
        MAX_WAKEUPS,
        lane,
        len(touched),
        generation,
        remembered,
        max(1, int(max_length * BULK_PART)) if gives_way else "",
        LARGE_BYTES,
        MAX_INVALID,
        MAX_INVALID_A_MINUTE,
    ]
    for shard in touched:
        head += (shard, deliver_message(shard))
    return head


class ShardsDifferError(TrackRelayError):
    """The queue has another number of shards than the caller assumed."""

    def __init__(self, actual: int) -> None:
        super().__init__(f"the queue has {actual} shards")
        self.actual = actual


class GenerationDiffersError(TrackRelayError):
    """The queue was set up anew, or lost its latest entries. Rows that were relayed may be lost."""

    def __init__(self, actual: str | None) -> None:
        super().__init__(
            f"the queue has generation {actual}"
            if actual
            else "the queue has lost its latest entries"
        )
        #: The queue's generation; None if it is the same, but appends are missing.
        self.actual = actual


def is_taken(reply: Sequence[bytes | int]) -> bool:
    """Return whether the append script appended the entries."""
    return reply[0] == b"ok"


def not_kept(reply: Sequence[bytes | int]) -> int:
    """Return how many refused operations the append script did not keep. A relay brings none."""
    return int(reply[1]) if len(reply) > 1 else 0


def is_moving(reply: Sequence[bytes | int]) -> bool:
    """Return whether appending is closed because the number of shards is changing."""
    return reply[0] == b"moving"


def check_reply(reply: Sequence[bytes | int], *operations: Operation) -> list[str | int]:
    """Return the places in a reply of the append script, or raise the error that it stands for.

    Returns:
        for a relay, the append's number and the place of each entry.

    Raises:
        QueueFullError: the queue is too long, or Redis has too little memory left.
        ShardsDifferError: the queue has another number of shards.
        GenerationDiffersError: Redis lost appends of a relay, or the whole queue.
        QueueUnavailableError: the number of shards is being changed.
        ConfigurationError: the queue was never set up, or has another format.
    """
    match [part.decode() if isinstance(part, bytes) else part for part in reply]:
        case ["ok", *places]:
            return places
        case ["full" | "bulk full" | "memory" as reason, used, limit, *lane]:
            raise QueueFullError(_why_full(reason, int(used), int(limit), lane), *operations)
        case ["shards", actual]:
            raise ShardsDifferError(int(actual))
        case ["moving"]:
            raise QueueUnavailableError(
                "the number of shards is being changed; the queue takes jobs again in a moment",
                *operations,
            )
        case ["generation", actual]:
            raise GenerationDiffersError(str(actual))
        case ["forgotten"]:
            raise GenerationDiffersError(None)
        case ["unmigrated"]:
            raise QueueNotSetUpError(
                "the queue was never set up in this Redis: run `trackrelay migrate` once"
            )
        case ["format", actual]:
            raise ConfigurationError(
                f"the queue in Redis has format {actual}, and this producer writes format "
                f"{FORMAT_VERSION}: deploy the same version of trackrelay to applications and "
                "workers, then run `trackrelay migrate`"
            )
    raise TrackRelayError(f"the append script answered {reply!r}")


def _why_full(reason: str, used: int, limit: int, lane: Sequence[str | int]) -> str:
    if reason == "full":
        return f"the queue would hold {used:,} jobs; TRACKRELAY_MAX_QUEUE_LENGTH is {limit:,}"
    if reason == "bulk full":
        return (
            f"the queue holds {used:,} jobs; TRACKRELAY_MAX_QUEUE_LENGTH is {limit:,}, and the "
            f"part above {BULK_PART:.0%} is kept for live calls"
        )
    mark, purpose = (
        (BULK_PART, "for live calls")
        if lane == ["bulk"]
        else (MEMORY_MARK, "for workers to drain the queue")
    )
    return (
        f"Redis uses {used // 2**20:,} MiB of its maxmemory of {limit // 2**20:,} MiB; "
        f"the part above {mark:.0%} is kept {purpose}"
    )
