"""What the metrics are made of: the facts of ``status``, and the counters."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from trackrelay.queue.redis_keys import LANES, all_calls, enqueued
from trackrelay.worker.cli.common.command_stores import Stores
from trackrelay.worker.cli.status.snapshot import Snapshot
from trackrelay.worker.cli.status.snapshot_reader import read_snapshot
from trackrelay.worker.queue import queue_config
from trackrelay.worker.queue.failed_calls import KINDS
from trackrelay.worker.queue.queue_agreement import difference
from trackrelay.worker.queue.queue_config import QueueConfigError, check_queue
from trackrelay.worker.storage import counters, queue_record, schema
from trackrelay.worker.storage.counts import Tally

#: Facts are kept at least this long, so that several scrapes share one reading …
MIN_AGE_S = 5.0
#: … and for so many times the reading's duration. It never takes more than a part of a core.
REST = 20.0
#: What a readiness probe finds is kept this long.
READY_AGE_S = 2.0


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything at one moment. What a store did not answer is missing."""

    snapshot: Snapshot
    #: By name and labels; None: Postgres does not answer.
    totals: Mapping[tuple[str, tuple[str, ...]], Tally] | None = None
    #: Jobs that were ever enqueued, by lane.
    enqueued: Mapping[str, int] = field(default_factory=dict)
    #: Calls that ever enqueued nothing, by kind.
    failed_calls: Mapping[str, int] = field(default_factory=dict)
    #: How long it took to read all this.
    duration_s: float = 0.0

    def of(self, name: str) -> dict[tuple[str, ...], Tally]:
        """Return the tallies of a counter by their labels."""
        return {
            labels: tally for (each, labels), tally in (self.totals or {}).items() if each == name
        }


def read_facts(stores: Stores) -> Facts:
    """Read everything."""
    began = time.monotonic()
    snapshot = read_snapshot(stores)
    totals = _totals(stores) if snapshot.postgres else None
    appended, failed = _from_redis(stores) if snapshot.redis else ({}, {})
    return Facts(snapshot, totals, appended, failed, time.monotonic() - began)


def _totals(stores: Stores) -> Mapping[tuple[str, tuple[str, ...]], Tally] | None:
    try:
        with stores.engine.connect() as connection:
            return counters.totals(connection)
    except SQLAlchemyError:
        return None


def _from_redis(stores: Stores) -> tuple[dict[str, int], dict[str, int]]:
    try:
        lanes: Any = stores.redis.mget([enqueued(lane) for lane in LANES])
        kinds: Any = stores.redis.mget([all_calls(kind) for kind in KINDS])
    except RedisError:
        return {}, {}
    return (
        {lane: int(value or 0) for lane, value in zip(LANES, lanes, strict=True)},
        {kind: int(value or 0) for kind, value in zip(KINDS, kinds, strict=True)},
    )


def not_ready(stores: Stores) -> list[str]:
    """Return a line for each store that does not answer, or that is not set up.

    The lines name no address: everybody may read them.
    """
    problems: list[str] = []
    config, moving, record = None, "", None
    try:
        config = check_queue(stores.redis, stores.settings.shards)
        moving = queue_config.moving(stores.redis)
    except (RedisError, QueueConfigError):
        problems.append("Redis is not ready")
    try:
        with stores.engine.connect() as connection:
            if schema.problem(connection):
                problems.append("Postgres is not migrated")
            else:
                record = queue_record.read(connection)
    except SQLAlchemyError:
        problems.append("Postgres is not ready")
    if config and record and difference(config, record, moving):
        problems.append("Redis and Postgres do not belong together")
    return problems


T = TypeVar("T")


class Cached(Generic[T]):
    """A value that is read again when it is too old. Thread-safe."""

    def __init__(
        self,
        read: Callable[[], T],
        min_age_s: float,
        rest: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._min_age_s = min_age_s
        self._rest = rest
        self._clock = clock
        self._lock = threading.Lock()
        self._value: T | None = None
        self._until = float("-inf")

    def get(self) -> T:
        """Return the value, read now or a moment ago."""
        with self._lock:
            began = self._clock()
            if self._value is None or began >= self._until:
                self._value = self._read()
                ended = self._clock()
                self._until = ended + max(self._min_age_s, self._rest * (ended - began))
            return self._value
