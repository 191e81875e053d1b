"""Select the jobs of the backlog that may be tried now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from trackrelay.queue.redis_keys import Lane
from trackrelay.worker.endpoint_families import ALL_FAMILIES, SINGLE_FAMILIES, Family

from .pg_values import number_array, text_array
from .scan_cursor import ScanResult
from .sql_files import sql
from .stored_job import Job
from .tables import BACKLOG

#: Rows of one key in one read, before the next key. Only the last of them makes another row first,
#: which costs more than reading and deleting a row.
RUN = 10
#: Most rows of one key in one read, if few keys wait.
MAX_ROWS_PER_KEY = 250
#: Most keys in one read whose first job takes a request of its own, and rows of each. A cycle
#: cannot send many such requests, and the other jobs must not wait for them.
MAX_SINGLE_KEYS, SINGLE_RUN = 50, 5
#: A read ends with the document that exceeds this size. A small worker cannot hold a thousand of
#: the largest documents in memory.
MAX_BYTES = 8_000_000

# A due row, and if the job has several rows, all of them. A duplicate with another second key adds
# a row, so there may be more rows than the job's parts.
_IS_DUE = """due_at IS NOT NULL AND due_at <= now() AND (parts = 1 OR sends AND parts <= (
            SELECT CASE WHEN count(*) = count(*) FILTER (WHERE o.due_at <= now())
                THEN count(*) ELSE 0 END
            FROM trackrelay_backlog o WHERE o.job_id = b.job_id))"""

#: Families whose requests carry several jobs.
_BATCHED = (Family.V2, Family.SEGMENTS)

_SELECT_DUE = sql(
    "select_due",
    columns=f"key, position, sends, parts, {BACKLOG.select_list}",
    is_due=_IS_DUE,
    max_position=2**63 - 1,
)
_FIRST_DUE = sql("first_due", is_due=_IS_DUE)
_load_job = BACKLOG.loader(Job, "lane")


@dataclass(frozen=True, slots=True)
class DueJobs:
    """The jobs of one read, and how far it scanned."""

    jobs: list[Job]
    scanned: ScanResult
    #: Which keys of forgotten people are blocked; see ``blocklist``.
    block_version: int = 0
    #: Which tracking plan is in force; see ``plans``.
    plan_version: int = 0


def select_due(
    connection: sa.Connection,
    shard: int,
    lane: Lane,
    limit: int,
    start: int = 0,
    families: frozenset[Family] = ALL_FAMILIES,
) -> DueJobs:
    """Return at most ``limit`` jobs that may be tried now, in order.

    They are the due first rows from position ``start`` on, and the rows behind each of them.

    Args:
        families: those of which jobs may be sent. The first job of each key belongs to one of them;
            the jobs behind it need not.
    """
    parameters = _parameters(shard, lane, limit, start, families)
    selected = connection.execute(_SELECT_DUE, parameters).all()
    rows = [row for row in selected if row.job_id is not None]
    scanned = _scan_result(rows, selected[0].next_position)
    return DueJobs(
        list(_sendable(rows, lane)), scanned, selected[0].block_version, selected[0].plan_version
    )


def _parameters(
    shard: int, lane: Lane, limit: int, start: int, families: frozenset[Family] = ALL_FAMILIES
) -> dict[str, Any]:
    return {
        "shard": shard,
        "lane": lane,
        "limit": limit,
        "start": start,
        "run": RUN,
        "rows_per_key": min(MAX_ROWS_PER_KEY, limit),
        "batched": text_array([family for family in _BATCHED if family in families]),
        "single": text_array([family for family in SINGLE_FAMILIES if family in families]),
        "single_keys": MAX_SINGLE_KEYS,
        "single_run": SINGLE_RUN,
        "max_bytes": MAX_BYTES,
    }


def _scan_result(rows: Sequence[Any], end: int) -> ScanResult:
    if not rows:
        return ScanResult(None, None, end)
    # Rows are in order, so a key's first row comes first. First rows behind the last one are
    # missing.
    positions: dict[str, int] = {}
    for row in rows:
        positions.setdefault(row.key, row.position)
    is_complete = rows[0].complete and len(positions) == rows[0].firsts
    return ScanResult(rows[0].position, None if is_complete else max(positions.values()) + 1, end)


def _sendable(rows: Iterable[Any], lane: Lane) -> Iterable[Job]:
    # A two-key job may be sent only when it is first for both keys, and nothing behind it before it
    # is settled.
    blocked: set[str] = set()
    used: set[str] = set()
    for row in rows:
        if row.key in blocked:
            continue
        if row.parts > 1:
            blocked.update(row.keys)
            if row.key in used or not row.sends or used.intersection(row.keys):
                continue
        used.add(row.key)
        yield _load_job(row, lane)


def first_due(
    connection: sa.Connection,
    starts: Mapping[tuple[int, Lane], int],
    families: frozenset[Family] = ALL_FAMILIES,
) -> dict[tuple[int, Lane], ScanResult]:
    """Return the first due job of each lane of a shard, if the shard is not paused.

    Args:
        starts: the lanes, and the position from which to look in each.
        families: those of which jobs may be sent.
    """
    asked = [(shard, lane, start) for (shard, lane), start in starts.items()]
    shards, lanes, positions = zip(*asked, strict=True) if asked else ((), (), ())
    rows = connection.execute(
        _FIRST_DUE,
        {
            "shards": number_array(shards),
            "lanes": text_array(lanes),
            "starts": number_array(positions),
            "families": text_array(sorted(families)),
        },
    )
    return {
        (row.shard, row.lane): ScanResult(row.position, row.position, row.next_position)
        for row in rows
    }
