"""Find the jobs that a failover of Redis or Postgres forgot, and record them as lost.

Redis: producers that find another server behind the queue report what the earlier one took last;
see :mod:`trackrelay.queue.acknowledged`. Most of those jobs are in the new server too, or were
delivered long ago. Once everything that was in the streams at the report has been settled, a job
that no store knows is lost. A second look, once more after everything in the streams, spares those
that their callers have enqueued again.

Postgres: Redis remembers which jobs the latest cycles put into backlog and dead letters, and the
timeline that Postgres had. A standby that takes over begins a new timeline. Then a remembered job
that no store knows is lost. It may have been delivered from the backlog, by a commit that is lost
as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import redis
import sqlalchemy as sa
import structlog

from trackrelay.queue.acknowledged import KEPT_S, MAX_CHUNKS, REPORT
from trackrelay.queue.redis_keys import ACKNOWLEDGED, INVALID, LANES, PREFIX, stream
from trackrelay.worker.delivery.shard_queue import STORED_KEY
from trackrelay.worker.queue import queue_config
from trackrelay.worker.resources import Resources
from trackrelay.worker.storage import incident_log
from trackrelay.worker.storage.duplicate_check import settled
from trackrelay.worker.storage.incident_log import Kind
from trackrelay.worker.storage.queries.server_facts import timeline

log = structlog.get_logger("trackrelay.worker")

#: One process at a time looks, and no oftener than this while there are reports.
LOOK_S = 2
LOOK_KEY = PREFIX + "looking-for-acknowledged"
#: Most elements of the list that are read at a time.
MAX_REPORTS = 50
#: In place of the first id: the others were looked for before.
AGAIN = "again"
#: The timeline that Postgres had when a tick last looked.
TIMELINE_KEY = PREFIX + "timeline"
#: How many ids a log line names.
NAMED_IDS = 20


@dataclass(frozen=True, slots=True)
class Report:
    """One element of the list, as a producer wrote it."""

    raw: bytes
    #: The latest time of an entry in any stream when it was written, in ms.
    latest: int
    ids: tuple[str, ...]
    #: Whether no store knew these jobs before.
    is_second: bool = False


def parse(raw: bytes) -> Report:
    """Return an element of the list. One that is not a producer's holds no ids."""
    latest, _, ids = raw.decode(errors="replace").partition(":")
    if not latest.isdecimal():
        return Report(raw, 0, ())
    named = tuple(each for each in ids.split(",") if each)
    is_second = named[:1] == (AGAIN,)
    return Report(raw, int(latest), named[1:] if is_second else named, is_second)


def due(reports: Iterable[Report], first_ms: float) -> Iterator[Report]:
    """Yield the reports whose jobs are settled, if they are anywhere.

    Args:
        first_ms: the time of the first entry in any stream; infinity if all are empty.
    """
    return (report for report in reports if report.latest < first_ms)


def record_lost_jobs(resources: Resources) -> int:
    """Record the jobs that a failover of Redis or Postgres forgot; return how many."""
    return _forgotten_by_redis(resources) + _forgotten_by_postgres(resources)


def _forgotten_by_redis(resources: Resources) -> int:
    client = resources.redis
    if not client.exists(ACKNOWLEDGED) or not client.set(LOOK_KEY, 1, nx=True, ex=LOOK_S):
        return 0
    config = queue_config.read(client)
    # Refused operations are in a stream of their own, and become dead letters at another step.
    if config is None or client.xlen(INVALID):
        return 0
    found: Any = client.lrange(ACKNOWLEDGED, 0, MAX_REPORTS - 1)
    ready = list(due(map(parse, found), _first_ms(client, config.shards)))
    lost = sorted(_unknown(resources.engine, [each for each in ready if each.is_second]))
    if lost:
        with resources.engine.begin() as connection:
            incident_log.record_forgotten(
                connection, Kind.ROLLED_BACK, config.generation, len(lost), len(lost)
            )
        log.error("acknowledged_jobs_lost", jobs=len(lost), first=lost[:NAMED_IDS])
    for report in ready:
        if not report.is_second and (unknown := _unknown(resources.engine, [report])):
            ids = ",".join([AGAIN, *sorted(unknown)])
            client.eval(REPORT, 0, PREFIX, MAX_CHUNKS, KEPT_S, ids)
        client.lrem(ACKNOWLEDGED, 1, report.raw)  # type: ignore[arg-type]
    return len(lost)


def _forgotten_by_postgres(resources: Resources) -> int:
    client = resources.redis
    with resources.engine.connect() as connection:
        present = timeline(connection)
    if present is None:
        return 0
    before: Any = client.get(TIMELINE_KEY)
    if before == present.encode():
        return 0
    lost: set[str] = set()
    if before is not None:
        stored: Any = client.lrange(STORED_KEY, 0, -1)
        for element in stored:
            ids = element.decode().split(",")
            with resources.engine.connect() as connection:
                lost |= set(ids) - settled(connection, ids, discarded=True)
    # Another tick may have done the same meanwhile.
    if client.getset(TIMELINE_KEY, present) != before or not lost:
        return 0
    config = queue_config.read(client)
    with resources.engine.begin() as connection:
        incident_log.record_forgotten(
            connection, Kind.COMMITS_LOST, config.generation if config else "", 0, len(lost)
        )
    log.error("stored_jobs_lost", jobs=len(lost), first=sorted(lost)[:NAMED_IDS])
    return len(lost)


def _first_ms(client: redis.Redis, shards: int) -> float:
    """Return the time of the first entry in any stream."""
    with client.pipeline(transaction=True) as pipeline:
        for shard in range(shards):
            for lane in LANES:
                pipeline.xrange(stream(shard, lane), count=1)
        firsts = [entries[0][0] for entries in pipeline.execute() if entries]
    return min((int(each.partition(b"-")[0]) for each in firsts), default=math.inf)


def _unknown(engine: sa.Engine, reports: Sequence[Report]) -> set[str]:
    # Processes that were forked from one report the same jobs.
    unknown: set[str] = set()
    for report in reports:
        with engine.connect() as connection:
            unknown |= set(report.ids) - settled(connection, report.ids, discarded=True)
    return unknown
