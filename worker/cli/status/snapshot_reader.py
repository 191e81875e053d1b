"""Reads the state of each store; of Redis in a few round trips, whatever the number of shards."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import msgspec
import redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from trackrelay.errors import TrackRelayError
from trackrelay.operations.limits import OPERATION_BYTES
from trackrelay.queue.job import decode_entry
from trackrelay.queue.redis_keys import LANES, MOVING, PREFIX, Lane, lease, stream
from trackrelay.worker.cli.common.command_errors import explain
from trackrelay.worker.cli.common.command_stores import NO_RELAY, UNRELAYED_S, OutboxJobs, Stores
from trackrelay.worker.cli.common.humanize import duration, jobs_wait
from trackrelay.worker.delivery.lua_scripts import GROUP
from trackrelay.worker.delivery.workspace_guard import refusals
from trackrelay.worker.endpoint_families import SINGLES, Family
from trackrelay.worker.maintenance.heartbeat_keys import (
    BEAT_KEY,
    REFUSING_KEY,
    WORKER_KEY,
    WORKERS_KEY,
)
from trackrelay.worker.queue import failed_calls, queue_config, queue_length
from trackrelay.worker.queue.queue_agreement import difference
from trackrelay.worker.queue.queue_config import QueueConfigError, check_queue
from trackrelay.worker.storage import schema
from trackrelay.worker.storage.queries.backlog_overview import Overview, overview

from .snapshot import (
    BreakerStatus,
    Destination,
    LaneStatus,
    Memory,
    RedisStatus,
    Sample,
    ShardStatus,
    Snapshot,
    WorkerStatus,
)

#: Minutes for which deliveries are counted.
MINUTES = 60
#: Seconds in which the request rate recovers after a 429.
RECOVERY_S = 20
#: Characters of an address that are shown.
MAX_ADDRESS = 200
#: Entries of each stream that the sample reads.
MAX_SAMPLE = 50


def read_snapshot(stores: Stores) -> Snapshot:
    """Read every store; what one of them does not answer is unknown."""
    outbox, outbox_problem = _outbox(stores)
    redis_status, redis_problem = _redis(stores)
    postgres, postgres_problem = _postgres(stores)
    if redis_status and redis_status.config and postgres and not redis_problem:
        redis_problem = difference(redis_status.config, postgres.queue, redis_status.moving) or ""
    now = redis_status.now if redis_status else time.time()
    if outbox and redis_status and not outbox_problem:
        outbox_problem = _missing_relay(stores, outbox, time.time())
    return Snapshot(
        settings=stores.settings,
        now=now,
        redis=redis_status,
        postgres=postgres,
        redis_problem=redis_problem,
        postgres_problem=postgres_problem,
        outbox=outbox,
        outbox_problem=outbox_problem,
    )


def _outbox(stores: Stores) -> tuple[OutboxJobs | None, str]:
    if stores.outbox is None:
        return None, ""
    try:
        # Health checks ask every few seconds: only the cheap count.
        return stores.outbox.waiting(None), ""
    except TrackRelayError as error:
        return None, str(error)


def _missing_relay(stores: Stores, waiting: OutboxJobs, now: float) -> str:
    if stores.outbox is None or waiting.oldest is None or now - waiting.oldest < UNRELAYED_S:
        return ""
    try:
        if stores.redis.exists(stores.outbox.lease):
            return ""
    except RedisError:
        return ""
    age = duration(now - waiting.oldest)
    return f"outbox: {jobs_wait(waiting.jobs)} for up to {age}, and {NO_RELAY}"


def _redis(stores: Stores) -> tuple[RedisStatus | None, str]:
    try:
        status = read_redis(stores.redis, stores.settings.requests_per_second)
        check_queue(stores.redis, stores.settings.shards)
    except QueueConfigError as problem:
        return status, str(problem)
    except RedisError as error:
        url = stores.settings.redis_url.get_secret_value()
        return None, explain(error, redis_url=url) or str(error)
    return status, ""


def _postgres(stores: Stores) -> tuple[Overview | None, str]:
    try:
        with stores.engine.connect() as connection:
            problem = schema.problem(connection)
            return (None if problem else overview(connection)), problem or ""
    except SQLAlchemyError as error:
        url = stores.settings.database_url.get_secret_value()
        return None, explain(error, database_url=url) or str(error)


def read_redis(client: redis.Redis, requests_per_second: float) -> RedisStatus:
    """Read the state of Redis."""
    config = queue_config.read(client)
    with client.pipeline(transaction=False) as pipe:
        pipe.time()
        pipe.info("memory")
        pipe.hmget(PREFIX + "budget", ["at", "rate"])
        pipe.get(BEAT_KEY)
        pipe.get(MOVING)
        pipe.hgetall(PREFIX + "breaker")
        for family in Family:
            pipe.hgetall(f"{PREFIX}breaker:{family}")
        (seconds, microseconds), info, budget, beat, moving, *found = pipe.execute()
    now = seconds + microseconds / 1e6
    shared, *breakers = (
        _breaker(values, family) for values, family in zip(found, (None, *Family), strict=True)
    )
    shards = _shards(client, config.shards if config else 0)
    refusing: Any = client.hgetall(REFUSING_KEY)
    return RedisStatus(
        now=now,
        config=config,
        memory=Memory(
            int(info["used_memory"]),
            int(info.get("maxmemory", 0)),
            str(info.get("maxmemory_policy", "")),
        ),
        shards=shards,
        shared_breaker=shared,
        breakers=breakers,
        rate=_rate(budget, requests_per_second, now),
        delivered=_delivered(client, now),
        beat=float(beat) if beat else None,
        workers=read_workers(client),
        moving=(moving or b"").decode(),
        refusing=refusals(refusing, now),
        sample=_sample(client, [shard.number for shard in shards if shard.length]),
        failed_calls=failed_calls.read(client, now),
    )


def _breaker(values: dict[bytes, bytes], family: Family | None) -> BreakerStatus:
    def text(name: bytes) -> str:
        return values.get(name, b"").decode(errors="replace")

    def seconds(name: bytes) -> float:
        return float(values.get(name) or 0) / 1000

    return BreakerStatus(
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


def read_workers(client: redis.Redis) -> list[WorkerStatus]:
    """Read which workers run, and which lost their heartbeat."""
    known: Any = client.zrange(WORKERS_KEY, 0, -1, withscores=True)
    if not known:
        return []
    names = [name.decode() for name, _ in known]
    facts: Any = client.mget([WORKER_KEY + name for name in names])
    workers = [
        _worker(name, about, seen)
        for name, about, (_, seen) in zip(names, facts, known, strict=True)
    ]
    return sorted(workers, key=lambda each: (not each.alive, each.hostname))


def _worker(name: str, about: bytes | None, seen: float) -> WorkerStatus:
    if about is None:
        return WorkerStatus(name, False, seen)
    facts = json.loads(about)
    endpoint, region, workspace = (
        str(facts.get(name, ""))[:MAX_ADDRESS] for name in ("endpoint", "region", "workspace")
    )
    return WorkerStatus(
        hostname=name,
        alive=True,
        seen=seen,
        pool=str(facts.get("pool", "")),
        concurrency=int(facts.get("concurrency", 0)),
        version=str(facts.get("version", "")),
        pid=int(facts.get("pid", 0)),
        started=float(facts.get("started", 0)),
        destination=Destination(endpoint, region, workspace) if endpoint else None,
    )


def _shards(client: redis.Redis, count: int) -> list[ShardStatus]:
    with client.pipeline(transaction=False) as pipe:
        for shard in range(count):
            pipe.exists(lease(shard))
            for lane in LANES:
                _ask_lane(pipe, shard, lane)
        answers = iter(pipe.execute(raise_on_error=False))
    return [_shard(number, answers) for number in range(count)]


def _shard(number: int, answers: Any) -> ShardStatus:
    held = bool(_good(next(answers)))
    lanes = {lane: _lane([next(answers) for _ in range(5)]) for lane in LANES}
    return ShardStatus(number, lanes, held)


def _ask_lane(pipe: Any, shard: int, lane: Lane) -> None:
    queue_length.request_length(pipe, shard, lane)
    name = stream(shard, lane)
    pipe.xrange(name, count=1)
    # These two fail until a worker has created the group: then nothing is pending.
    pipe.xpending(name, GROUP)
    pipe.xpending_range(name, GROUP, "-", "+", 1)


def _lane(answers: Sequence[Any]) -> LaneStatus:
    entries, beyond, first, pending, first_pending = (
        None if _is_missing_group(answer) else _good(answer) for answer in answers
    )
    length = queue_length.length(entries, beyond)
    return LaneStatus(
        length=length,
        # Redis counts pending entries; of their jobs it is the same part.
        pending=round(length * int(pending["pending"]) / entries) if pending and entries else 0,
        oldest=int(first[0][0].partition(b"-")[0]) / 1000 if first else None,
        deliveries=int(first_pending[0]["times_delivered"]) if first_pending else 0,
    )


def _is_missing_group(answer: Any) -> bool:
    return isinstance(answer, redis.ResponseError) and "NOGROUP" in str(answer)


def _good(answer: Any) -> Any:
    if isinstance(answer, Exception):
        raise answer
    return answer


def _sample(client: redis.Redis, shards: Sequence[int]) -> Sample:
    with client.pipeline(transaction=False) as pipe:
        for shard in shards:
            for lane in LANES:
                pipe.xrange(stream(shard, lane), count=MAX_SAMPLE)
        streams: list[Any] = pipe.execute() if shards else []
    jobs = singles = 0
    for entries in streams:
        for _, fields in entries:
            for operation, size in _operations(fields):
                jobs += 1
                singles += operation.startswith(SINGLES) or size > OPERATION_BYTES
    return Sample(jobs, singles)


def _operations(fields: dict[bytes, bytes]) -> list[tuple[str, int]]:
    try:
        return [
            (job.operation, len(bytes(job.body))) for job in decode_entry(fields.get(b"j", b""))
        ]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return []
