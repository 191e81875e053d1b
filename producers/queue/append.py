"""Appending to the queue: one script, one round trip, all or nothing.

The script adds every entry to its streams and, for each shard without a wakeup, sets the wakeup and pushes the Celery
message that makes a worker come. There is no moment at which a job is queued and nobody was told.

The message is Celery's documented task message, version 2, in the envelope of kombu's Redis transport
(https://docs.celeryq.dev/en/stable/internals/protocol.html), as Celery clients of other languages write it: an application
needs neither Celery nor its version constraints.
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
from .coalescing import Placed, gathered
from .job import FORMAT_VERSION, encode_entry
from .redis_keys import Lane

#: Above this part of ``maxmemory`` nothing is accepted: what is left is the workers' room to drain.
MEMORY_MARK = 0.75
#: Calls of so many bytes look at the memory each time; smaller ones at what was found a tenth of a second ago at most.
LARGE_BYTES = 32_768
#: Imports and the like take at most this part of the queue's length and of ``maxmemory``: the rest is for live calls.
BULK_PART = 0.5
#: How long a wakeup lasts if no holder renews it. After that the next enqueue wakes the shard anew.
WAKEUP_MS = 15_000
#: More messages than this in Celery's queue tell nobody anything new (no worker has run for a long time).
MAX_WAKEUPS = 256
#: Refused operations that wait for a worker to make dead letters of them, and those that one minute may bring: a mistake in an
#: application must not fill Redis, nor the dead letters.
MAX_INVALID = 1_000
MAX_INVALID_A_MINUTE = 600
DELIVER_TASK = "trackrelay.deliver"

#: Wakes a shard. Workers and producers share this function.
WAKE_LUA = """
local function wake(prefix, queue, message, shard, unique, wakeup_ms, max_wakeups)
  if redis.call('SET', prefix .. shard .. ':wakeup', unique, 'NX', 'PX', wakeup_ms)
      and redis.call('LLEN', queue) < max_wakeups then
    redis.call('LPUSH', queue, (string.gsub(message, '@', unique .. '.' .. shard)))
  end
end
"""

#: Keeps a refused operation, unless too many wait, or the minute has had too many.
KEEP_LUA = f"""
local LARGE_BYTES = {LARGE_BYTES}
local function keep(prefix, format, data)
  local minute = prefix .. 'invalid:' .. math.floor(redis.call('TIME')[1] / 60)
  if redis.call('XLEN', prefix .. 'invalid') >= {MAX_INVALID} or redis.call('INCR', minute) > {MAX_INVALID_A_MINUTE} then
    return false
  end
  redis.call('EXPIRE', minute, 120)
  redis.call('XADD', prefix .. 'invalid', '*', 'v', format, 'j', data)
  return true
end
"""

# ARGV: prefix, queue, format, shards ('' = as configured), max_length, memory_mark, wakeup_ms, max_wakeups, lane,
#       number of shards touched, generation ('' = any), appends a relay remembers, the length from which it waits for live calls' sake
#       ('' = it does not),
#       then (shard, message) for each shard touched, then for each entry: its shards ('0' or '0,3'), how many jobs it holds, its bytes.
# An entry without shards is a refused operation: it goes to the stream of those, as long as that is short and the minute has few.
# To a relay, which gives a generation, it answers with the append's number and where each entry lies; to anybody else with how many
# refused operations it did not keep, if there are any.
APPEND_LUA = (
    WAKE_LUA
    + KEEP_LUA
    + """
local prefix, queue, format, shards, max_length = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local mark, wakeup_ms, max_wakeups, lane, touched = tonumber(ARGV[6]), ARGV[7], tonumber(ARGV[8]), ARGV[9], tonumber(ARGV[10])
local relaying = ARGV[11] ~= ''
local config = redis.call('HMGET', prefix .. 'config', 'shards', 'format')
if not config[1] then return {'unmigrated'} end
if config[1] ~= shards then return {'shards', config[1]} end
if config[2] ~= format then return {'format', config[2]} end
if redis.call('GET', prefix .. 'moving') == 'closed' then return {'moving'} end
if relaying then
  local generation = redis.call('HGET', prefix .. 'config', 'generation') or ''
  if generation ~= ARGV[11] then return {'generation', generation} end
  if tonumber(redis.call('GET', prefix .. 'relayed') or 0) < tonumber(ARGV[12]) then return {'behind'} end
end
local first = 14 + 2 * touched
-- The length, as counted a tenth of a second ago at most: in so short a time no Redis takes a hundred thousand entries.
local room = prefix .. (ARGV[13] == '' and 'room' or 'room:bulk')
local counted = tonumber(redis.call('GET', room) or '')
local bytes = 0
for i = first + 2, #ARGV, 3 do bytes = bytes + #ARGV[i] end
-- What brings much asks each time, and counts itself: in a tenth of a second many such calls would fill a Redis.
local is_large = bytes >= LARGE_BYTES
if not counted or is_large or counted + 100000 > tonumber(ARGV[13] ~= '' and ARGV[13] or max_length) then
  local length = 0
  for shard = 0, tonumber(shards) - 1 do
    local bulk = prefix .. shard .. ':bulk'
    local entries = redis.call('XLEN', bulk)
    length = length + redis.call('XLEN', prefix .. shard .. ':live') + entries
    if entries > 0 then length = length + (redis.call('GET', bulk .. ':more') or 0) end
  end
  local wanted = length
  for i = first + 1, #ARGV, 3 do wanted = wanted + ARGV[i] end
  if ARGV[13] ~= '' then
    if length >= tonumber(ARGV[13]) then return {'bulk full', length, max_length} end
  elseif wanted > max_length then
    return {'full', wanted, max_length}
  end
  if not counted or is_large then
    local memory = redis.call('INFO', 'memory')
    local used = tonumber(string.match(memory, 'used_memory:(%d+)'))
    local limit = tonumber(string.match(memory, 'maxmemory:(%d+)') or '0')
    local wanted = used + (is_large and bytes or 0)
    if limit > 0 and wanted >= limit * mark then return {'memory', used, limit, ARGV[13] == '' and 'live' or 'bulk'} end
    redis.call('SET', room, length, 'PX', 100)
  end
end
local unique
local answer = {'ok'}
if relaying then answer[2] = redis.call('INCR', prefix .. 'relayed') end
-- Nearly every entry is for one shard, and many for the same ones.
local streams, more, not_kept = {}, {}, 0
for i = 14, first - 1, 2 do
  local stream = prefix .. ARGV[i] .. ':' .. lane
  streams[ARGV[i]] = stream
  -- An empty stream holds nothing, whatever was taken out of it by hand.
  if lane == 'bulk' and redis.call('XLEN', stream) == 0 then redis.call('DEL', stream .. ':more') end
end
for i = first, #ARGV, 3 do
  local stream = streams[ARGV[i]]
  if stream and ARGV[i + 1] ~= '1' then
    unique = redis.call('XADD', stream, '*', 'v', format, 'j', ARGV[i + 2], 'n', ARGV[i + 1])
    more[stream] = (more[stream] or 0) + ARGV[i + 1] - 1
  elseif stream and not relaying then
    unique = redis.call('XADD', stream, '*', 'v', format, 'j', ARGV[i + 2])
  elseif ARGV[i] == '' then
    if not keep(prefix, format, ARGV[i + 2]) then not_kept = not_kept + 1 end
  else
    local place = ''
    for shard in string.gmatch(ARGV[i], '%d+') do
      unique = redis.call('XADD', streams[shard], '*', 'v', format, 'j', ARGV[i + 2])
      place = place .. shard .. ':' .. unique .. ' '
    end
    if relaying then answer[#answer + 1] = place end
  end
end
for stream, jobs in pairs(more) do redis.call('INCRBY', stream .. ':more', jobs) end
for i = 14, first - 1, 2 do
  wake(prefix, queue, ARGV[i + 1], ARGV[i], unique, wakeup_ms, max_wakeups)
end
if not_kept > 0 then answer[2] = not_kept end
return answer
"""
)
APPEND_SHA = hashlib.sha1(APPEND_LUA.encode(), usedforsecurity=False).hexdigest()


@lru_cache(maxsize=1024)
def deliver_message(shard: int) -> str:
    """The Celery message that runs the deliver task for ``shard``; ``@`` stands where its unique id goes."""
    arguments = base64.b64encode(json.dumps([[shard], {}, {}]).encode()).decode()
    return celery_message(DELIVER_TASK, arguments, f"({shard},)")


def celery_message(task: str, arguments: str, argsrepr: str) -> str:
    """A task message (protocol 2) in the envelope of kombu's Redis transport, with ``@`` for its unique id."""
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
    """One stream entry: the operation it came from, and its bytes."""

    operation: Operation
    data: bytes

    @classmethod
    def of(cls, operation: Operation, *, source: str | None, trace: str | None) -> Entry:
        if (
            type(operation) is not Operation
            or (seal := operation.seal) is None
            or seal is not operation.body
            or (operation.companion is not None and not is_checked(operation.companion))
        ):
            operation = checked_again(operation)
        return cls(operation, encode_entry(operation, source=source, trace=trace))


def operations_of(entries: Iterable[Entry]) -> list[Operation]:
    """What ``entries`` came from."""
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
    """What the append script takes as ARGV for ``entries``.

    Args:
        generation: a relay's: the one in which it has relayed what it counts as relayed.
        remembered: a relay's: the number of the last append it knows of; Redis has forgotten one if its own is lower.
    """
    # A relay must know of each of its rows where it lies.
    touched, tail = _placed(entries, shards, gather=lane == "bulk" and not generation)
    return [*_head(touched, lane, shards, max_length, generation, remembered), *tail]


def append_command(entries: Sequence[Entry], lane: Lane, *, shards: int, max_length: int) -> bytes:
    """The whole command that runs the append script for ``entries``, packed; its greater part is the same every time."""
    touched, tail = _placed(entries, shards, gather=lane == "bulk")
    count, head = _packed_head(touched, lane, shards, max_length)
    return resp.command(count + len(tail), head, resp.packed(tail))


def loading_command(entries: Sequence[Entry], lane: Lane, *, shards: int, max_length: int) -> bytes:
    """The same for a Redis that does not know the script yet."""
    arguments = append_arguments(entries, lane, shards=shards, max_length=max_length)
    return resp.command(3 + len(arguments), resp.packed(["EVAL", APPEND_LUA, 0, *arguments]))


@lru_cache(maxsize=1024)
def _packed_head(
    touched: tuple[int, ...], lane: Lane, shards: int, max_length: int
) -> tuple[int, bytes]:
    arguments = ["EVALSHA", APPEND_SHA, 0, *_head(touched, lane, shards, max_length)]
    return len(arguments), resp.packed(arguments)


def _placed(
    entries: Sequence[Entry], shards: int, *, gather: bool
) -> tuple[tuple[int, ...], list[str | bytes | int]]:
    touched: set[int] = set()
    tail: list[str | bytes | int] = []
    placed = (Placed(_shards_of(entry.operation, shards), entry.data) for entry in entries)
    for each in gathered(placed) if gather else placed:
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
    # A relay's rows of both lanes come one after the other: live ones must not wait behind those that would have to.
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
    ]
    for shard in touched:
        head += (shard, deliver_message(shard))
    return head


class ShardsDiffer(TrackRelayError):
    """The queue has another number of shards than the caller thought."""

    def __init__(self, actual: int) -> None:
        super().__init__(f"the queue has {actual} shards")
        self.actual = actual


class GenerationDiffers(TrackRelayError):
    """The queue was set up anew, or has lost its latest entries: what a relay counts as relayed may be gone."""

    def __init__(self, actual: str | None) -> None:
        super().__init__(
            f"the queue has generation {actual}"
            if actual
            else "the queue has lost its latest entries"
        )
        #: The queue's generation; None: it is the same, and yet appends are missing.
        self.actual = actual


def is_taken(reply: Sequence[bytes | int]) -> bool:
    """Whether the append script's answer is a yes."""
    return reply[0] == b"ok"


def not_kept(reply: Sequence[bytes | int]) -> int:
    """How many refused operations the append script, which said yes to somebody who is no relay, did not keep."""
    return int(reply[1]) if len(reply) > 1 else 0


def is_moving(reply: Sequence[bytes | int]) -> bool:
    """Whether the append script said that it takes nothing for a moment, as the number of shards is being changed."""
    return reply[0] == b"moving"


def check_reply(reply: Sequence[bytes | int], *operations: Operation) -> list[str | int]:
    """Raise what the append script's answer to ``operations`` stands for, if it is not a yes.

    Returns:
        for a relay, the append's number and the place of each entry.

    Raises:
        QueueFullError: too long, or too little memory left.
        ShardsDiffer: the number of shards is another one.
        GenerationDiffers: a relay's appends, or all there was, are gone.
        QueueUnavailableError: the number of shards is being changed.
        ConfigurationError: the queue was never set up, or was set up for another format.
    """
    match [part.decode() if isinstance(part, bytes) else part for part in reply]:
        case ["ok", *places]:
            return places
        case ["full", length, limit]:
            raise QueueFullError(
                f"the queue would hold {length:,} jobs; TRACKRELAY_MAX_QUEUE_LENGTH is {limit:,}",
                *operations,
            )
        case ["bulk full", length, limit]:
            raise QueueFullError(
                f"the queue holds {length:,} jobs; TRACKRELAY_MAX_QUEUE_LENGTH is {limit:,}, and from {BULK_PART:.0%} of it on "
                "the rest is for live calls",
                *operations,
            )
        case ["memory", used, limit, lane]:
            mark, whose = (
                (BULK_PART, "for live calls")
                if lane == "bulk"
                else (MEMORY_MARK, "the workers' room to drain the queue")
            )
            raise QueueFullError(
                f"Redis uses {int(used) // 2**20:,} MiB of its maxmemory of {int(limit) // 2**20:,} MiB; "
                f"from {mark:.0%} on the rest is {whose}",
                *operations,
            )
        case ["shards", actual]:
            raise ShardsDiffer(int(actual))
        case ["moving"]:
            raise QueueUnavailableError(
                "the queue's number of shards is being changed; it takes jobs again in a moment",
                *operations,
            )
        case ["generation", actual]:
            raise GenerationDiffers(str(actual))
        case ["behind"]:
            raise GenerationDiffers(None)
        case ["unmigrated"]:
            raise QueueNotSetUpError(
                "the queue was never set up in this Redis: run `trackrelay migrate` once"
            )
        case ["format", actual]:
            raise ConfigurationError(
                f"the queue in Redis has format {actual}, this producer writes format {FORMAT_VERSION}: "
                "deploy the same version of trackrelay to applications and workers, then run `trackrelay migrate`"
            )
    raise TrackRelayError(f"the append script answered {reply!r}")
