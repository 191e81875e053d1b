"""What the metrics are made of: the facts of ``status``, and the counters."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from trackrelay.queue.redis_keys import LANES, all_calls, stream
from trackrelay.worker.cli.common.command_stores import Stores
from trackrelay.worker.cli.status.snapshot import Snapshot
from trackrelay.worker.cli.status.snapshot_reader import read_snapshot
from trackrelay.worker.queue import queue_config
from trackrelay.worker.queue.failed_calls import KINDS
from trackrelay.worker.queue.queue_agreement import difference
from trackrelay.worker.queue.queue_config import QueueConfigError, check_queue
from trackrelay.worker.storage import counters, queue_record, schema
from trackrelay.worker.storage.counts import Tally
from trackrelay.worker.telemetry import exemplars
from trackrelay.worker.telemetry.exemplars import Exemplar

#: Facts are kept at least this long, so that several scrapes share one reading …
MIN_AGE_S = 5.0
#: … and for so many times the reading's duration, so that it takes a small part of the time …
REST = 20.0
#: … but not longer than this: a reading that waited for a store that hangs was not work.
MAX_AGE_S = 30.0
#: What a readiness probe finds is kept this long, at least and at most.
READY_AGE_S = 2.0
MAX_READY_AGE_S = 10.0


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything at one moment. What a store did not answer is missing."""

    snapshot: Snapshot
    #: By name and labels; None: Postgres does not answer.
    totals: Mapping[tuple[str, tuple[str, ...]], Tally] | None = None
    #: Entries that were ever appended to each stream, by shard and lane. Redis 6 does not know.
    entries: Mapping[tuple[int, str], int] = field(default_factory=dict)
    #: Calls that ever enqueued nothing, by kind.
    failed_calls: Mapping[str, int] = field(default_factory=dict)
    #: Traces of single jobs, by family and bucket of the time from the call to the arrival.
    exemplars: Mapping[tuple[str, int], Exemplar] = field(default_factory=dict)
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
    totals, examples = _totals(stores) if snapshot.postgres else (None, {})
    shards = snapshot.redis.shards if snapshot.redis else []
    entries = _entries(stores, [shard.number for shard in shards])
    failed = _failed_calls(stores) if snapshot.redis else {}
    return Facts(snapshot, totals, entries, failed, examples, time.monotonic() - began)


def _totals(
    stores: Stores,
) -> tuple[Mapping[tuple[str, tuple[str, ...]], Tally] | None, Mapping[tuple[str, int], Exemplar]]:
    try:
        with stores.engine.connect() as connection:
            return counters.totals(connection), exemplars.read(connection)
    except SQLAlchemyError:
        return None, {}


def _entries(stores: Stores, shards: Sequence[int]) -> dict[tuple[int, str], int]:
    streams = [(shard, lane) for shard in shards for lane in LANES]
    try:
        with stores.redis.pipeline(transaction=False) as pipeline:
            for shard, lane in streams:
                pipeline.xinfo_stream(stream(shard, lane))
            # Of a stream that has never had an entry, Redis says that there is no such key.
            answers: list[Any] = pipeline.execute(raise_on_error=False) if streams else []
    except RedisError:
        return {}
    return {
        which: 0 if isinstance(answer, Exception) else int(answer["entries-added"])
        for which, answer in zip(streams, answers, strict=True)
        if isinstance(answer, Exception) or "entries-added" in answer
    }


def _failed_calls(stores: Stores) -> dict[str, int]:
    try:
        counts: Any = stores.redis.mget([all_calls(kind) for kind in KINDS])
    except RedisError:
        return {}
    return {kind: int(count or 0) for kind, count in zip(KINDS, counts, strict=True)}


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
    """A value that is read again when it is too old. Thread-safe.

    Args:
        read: reads it.
        min_age_s: how long a value is kept at least.
        max_age_s: how long it is kept at most.
        rest: a value is kept for so many times the duration of its reading, within these limits.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        read: Callable[[], T],
        min_age_s: float,
        max_age_s: float,
        rest: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._min_age_s = min_age_s
        self._max_age_s = max_age_s
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
                kept_s = min(self._max_age_s, self._rest * (ended - began))
                self._until = ended + max(self._min_age_s, kept_s)
            return self._value
