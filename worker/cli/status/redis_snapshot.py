"""What Redis knows of how things stand, in four round trips whatever the number of shards."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import redis

from trackrelay.queue.redis_keys import (
    LANES,
    MOVING,
    PREFIX,
    QUEUE_KEY,
    Lane,
    lease,
    stream,
    wakeup,
)
from trackrelay.worker.delivery.lua_scripts import GROUP
from trackrelay.worker.delivery.workspace_guard import refusals
from trackrelay.worker.endpoint_families import Family
from trackrelay.worker.maintenance.heartbeat_keys import (
    BEAT_KEY,
    REFUSING_KEY,
    WORKER_KEY,
    WORKERS_KEY,
)
from trackrelay.worker.queue import queue_config, queue_length
from trackrelay.worker.queue.queue_config import QueueConfig

from .failed_calls import FailedCalls
from .failed_calls import read as read_failed_calls
from .stream_samples import Sample, sample

#: Minutes of the counters of deliveries.
MINUTES = 60
#: Seconds in which the request rate climbs back after a 429.
RECOVERY_S = 20
#: Characters of an address that are shown.
MAX_SHOWN = 200


@dataclass(frozen=True, slots=True)
class LaneLook:
    """One stream."""

    #: Entries: those that nobody has read, and those that were read and are not settled yet.
    length: int
    pending: int
    #: Unix seconds of its first entry.
    oldest: float | None
    #: How often the first pending entry has been handed out.
    deliveries: int


@dataclass(frozen=True, slots=True)
class ShardLook:
    """One shard."""

    number: int
    lanes: dict[Lane, LaneLook]
    #: Whether a worker holds it now.
    held: bool
    #: Whether somebody has been told that it has work.
    wakeup: bool

    @property
    def length(self) -> int:
        """Entries in both lanes."""
        return sum(lane.length for lane in self.lanes.values())

    @property
    def pending(self) -> int:
        """Entries read and not settled, in both lanes."""
        return sum(lane.pending for lane in self.lanes.values())

    @property
    def oldest(self) -> float | None:
        """Unix seconds of the oldest entry."""
        return min(
            (lane.oldest for lane in self.lanes.values() if lane.oldest is not None), default=None
        )


@dataclass(frozen=True, slots=True)
class BreakerLook:
    """One breaker. All times are unix seconds; 0: never."""

    state: str = "closed"
    reason: str = ""
    message: str = ""
    #: Until when nothing is tried.
    until: float = 0.0
    since: float = 0.0
    last_success: float = 0.0
    #: Failed requests in a row.
    failures: int = 0
    #: The endpoint family whose breaker it is; None: the one that all share.
    family: Family | None = None


@dataclass(frozen=True, slots=True, order=True)
class Destination:
    """Where a worker delivers; what is not known is empty."""

    endpoint: str
    region: str = ""
    workspace: str = ""


@dataclass(frozen=True, slots=True)
class WorkerLook:
    """A worker that runs, or that went without a word."""

    hostname: str
    alive: bool
    #: Unix seconds at which it was last heard of.
    seen: float
    pool: str = ""
    concurrency: int = 0
    version: str = ""
    pid: int = 0
    started: float = 0.0
    #: Where it delivers; None if it is gone or does not tell, being older than this version.
    destination: Destination | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """What Redis uses, in bytes."""

    used: int
    #: 0: no limit.
    limit: int
    policy: str

    @property
    def share(self) -> float:
        """Part of the limit that is in use; 0 without a limit."""
        return self.used / self.limit if self.limit else 0.0


@dataclass(frozen=True, slots=True)
class RedisSide:
    """Everything, at one moment."""

    #: Unix seconds by Redis' clock.
    now: float
    config: QueueConfig | None
    memory: Memory
    shards: list[ShardLook] = field(default_factory=list)
    #: The breaker of credentials, region and workspace. Its last success is anybody's.
    shared_breaker: BreakerLook = field(default_factory=BreakerLook)
    #: The breakers of the endpoint families.
    breakers: list[BreakerLook] = field(default_factory=list)
    #: Requests a second that the fleet may make now, given what is configured here.
    rate: float = 0.0
    #: Jobs delivered in each of the last minutes, the current one first.
    delivered: list[int] = field(default_factory=list)
    #: Unix seconds at which a beat last showed itself.
    beat: float | None = None
    workers: list[WorkerLook] = field(default_factory=list)
    #: Messages in Celery's queue.
    calls: int = 0
    #: Empty, or how far a change of the number of shards has come.
    moving: str = ""
    #: Processes of workers that deliver nothing, by why.
    refusing: dict[str, list[str]] = field(default_factory=dict)
    #: What the beginnings of the streams hold.
    sample: Sample = field(default_factory=Sample)
    #: Applications' calls of the last 24 hours that enqueued nothing.
    failed_calls: FailedCalls = field(default_factory=FailedCalls)

    @property
    def stopped(self) -> list[BreakerLook]:
        """The breakers that are not closed; only the shared one if it stops everything."""
        if self.shared_breaker.state != "closed":
            return [self.shared_breaker]
        return [breaker for breaker in self.breakers if breaker.state != "closed"]

    @property
    def breaker(self) -> BreakerLook:
        """The breaker that matters most: of those that are not closed a halted one, else v2's, else the first."""
        rank = {None: 0, Family.V2: 1}
        return min(
            self.stopped,
            key=lambda each: (each.state != "halted", rank.get(each.family, 2)),
            default=self.shared_breaker,
        )

    @property
    def is_stopped(self) -> bool:
        """Whether nothing, or nothing of what most jobs are, is delivered."""
        return any(breaker.family in (None, Family.V2) for breaker in self.stopped)

    @property
    def queued(self) -> int:
        """Entries in all streams."""
        return sum(shard.length for shard in self.shards)

    @property
    def oldest(self) -> float | None:
        """Unix seconds of the oldest entry."""
        return min(
            (shard.oldest for shard in self.shards if shard.oldest is not None), default=None
        )

    @property
    def alive(self) -> list[WorkerLook]:
        """The workers that run."""
        return [worker for worker in self.workers if worker.alive]

    @property
    def destinations(self) -> list[Destination]:
        """Where the workers that run deliver: one, unless they are configured differently."""
        return sorted({each.destination for each in self.alive if each.destination})


def look(client: redis.Redis, requests_per_second: float) -> RedisSide:
    """How things stand in Redis."""
    config = queue_config.read(client)
    now, info, breakers, budget, beat, calls, moving = _facts(client)
    shards = _shards(client, config.shards if config else 0)
    return RedisSide(
        now=now,
        config=config,
        memory=Memory(
            int(info["used_memory"]),
            int(info.get("maxmemory", 0)),
            str(info.get("maxmemory_policy", "")),
        ),
        shards=shards,
        shared_breaker=breakers[0],
        breakers=breakers[1:],
        rate=_rate(budget, requests_per_second, now),
        delivered=_delivered(client, now),
        beat=float(beat) if beat else None,
        workers=workers(client),
        calls=calls,
        moving=moving,
        refusing=_refusing(client, now),
        sample=sample(client, [shard.number for shard in shards if shard.length]),
        failed_calls=read_failed_calls(client, now),
    )


def _facts(
    client: redis.Redis,
) -> tuple[float, dict[str, Any], list[BreakerLook], Any, Any, int, str]:
    with client.pipeline(transaction=False) as asked:
        asked.time()
        asked.info("memory")
        asked.hmget(PREFIX + "budget", ["at", "rate"])
        asked.get(BEAT_KEY)
        asked.llen(QUEUE_KEY)
        asked.get(MOVING)
        asked.hgetall(PREFIX + "breaker")
        for family in Family:
            asked.hgetall(f"{PREFIX}breaker:{family}")
        time, info, budget, beat, calls, moving, *found = asked.execute()
    breakers = [
        _breaker(values, family) for values, family in zip(found, (None, *Family), strict=True)
    ]
    return (
        time[0] + time[1] / 1e6,
        info,
        breakers,
        budget,
        beat,
        int(calls),
        (moving or b"").decode(),
    )


def _refusing(client: redis.Redis, now: float) -> dict[str, list[str]]:
    values: Any = client.hgetall(REFUSING_KEY)
    return refusals(values, now)


def _breaker(values: dict[bytes, bytes], family: Family | None) -> BreakerLook:
    def text(name: bytes) -> str:
        return values.get(name, b"").decode(errors="replace")

    def seconds(name: bytes) -> float:
        return float(values.get(name) or 0) / 1000

    return BreakerLook(
        state=text(b"state") or "closed",
        reason=text(b"reason"),
        message=text(b"message"),
        until=seconds(b"until_ms"),
        since=seconds(b"since_ms"),
        last_success=seconds(b"last_success_ms"),
        failures=int(values.get(b"failures") or 0),
        family=family,
    )


def _rate(budget: Any, full: float, now: float) -> float:
    at, rate = budget
    if at is None or rate is None:
        return full
    return min(full, float(rate) + full * max(0.0, now - float(at)) / RECOVERY_S)


def _delivered(client: redis.Redis, now: float) -> list[int]:
    minute = int(now // 60)
    counts: Any = client.mget([f"{PREFIX}delivered:{minute - back}" for back in range(MINUTES)])
    return [int(count or 0) for count in counts]


def workers(client: redis.Redis) -> list[WorkerLook]:
    """The workers that run, and those that went without a word."""
    known: Any = client.zrange(WORKERS_KEY, 0, -1, withscores=True)
    if not known:
        return []
    names = [name.decode() for name, _ in known]
    shown: Any = client.mget([WORKER_KEY + name for name in names])
    looks = [
        _worker(name, about, seen)
        for name, about, (_, seen) in zip(names, shown, known, strict=True)
    ]
    return sorted(looks, key=lambda each: (not each.alive, each.hostname))


def _worker(name: str, about: bytes | None, seen: float) -> WorkerLook:
    if about is None:
        return WorkerLook(name, False, seen)
    told = json.loads(about)
    return WorkerLook(
        hostname=name,
        alive=True,
        seen=seen,
        pool=str(told.get("pool", "")),
        concurrency=int(told.get("concurrency", 0)),
        version=str(told.get("version", "")),
        pid=int(told.get("pid", 0)),
        started=float(told.get("started", 0)),
        destination=_destination(told),
    )


def _destination(told: dict[str, Any]) -> Destination | None:
    names = ("endpoint", "region", "workspace")
    endpoint, region, workspace = (str(told.get(name, ""))[:MAX_SHOWN] for name in names)
    return Destination(endpoint, region, workspace) if endpoint else None


def _shards(client: redis.Redis, count: int) -> list[ShardLook]:
    with client.pipeline(transaction=False) as asked:
        for shard in range(count):
            asked.exists(lease(shard))
            asked.exists(wakeup(shard))
            for lane in LANES:
                _ask_lane(asked, shard, lane)
        answers = iter(asked.execute(raise_on_error=False))
    return [_shard(number, answers) for number in range(count)]


def _shard(number: int, answers: Any) -> ShardLook:
    held, woken = bool(_good(next(answers))), bool(_good(next(answers)))
    lanes = {lane: _lane([next(answers) for _ in range(5)]) for lane in LANES}
    return ShardLook(number, lanes, held, woken)


def _ask_lane(asked: Any, shard: int, lane: Lane) -> None:
    queue_length.ask(asked, shard, lane)
    name = stream(shard, lane)
    asked.xrange(name, count=1)
    # These two fail until a worker has made the group: then nothing is pending.
    asked.xpending(name, GROUP)
    asked.xpending_range(name, GROUP, "-", "+", 1)


def _lane(answers: Sequence[Any]) -> LaneLook:
    entries, beyond, first, pending, first_pending = (
        None if _no_group(answer) else _good(answer) for answer in answers
    )
    length = queue_length.length(entries, beyond)
    return LaneLook(
        length=length,
        # Known of the entries: of their jobs it is the like part.
        pending=round(length * int(pending["pending"]) / entries) if pending and entries else 0,
        oldest=int(first[0][0].partition(b"-")[0]) / 1000 if first else None,
        deliveries=int(first_pending[0]["times_delivered"]) if first_pending else 0,
    )


def _no_group(answer: Any) -> bool:
    return isinstance(answer, redis.ResponseError) and "NOGROUP" in str(answer)


def _good(answer: Any) -> Any:
    if isinstance(answer, Exception):
        raise answer
    return answer
