"""What of the backlog may be tried now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from trackrelay.queue.redis_keys import Lane
from trackrelay.worker.endpoint_families import ALL_FAMILIES, SINGLE_FAMILIES, Family

from .pg_values import number_array, text_array
from .scan_cursor import ScanResult
from .stored_job import Job
from .tables import BACKLOG

#: Most rows of one key in one read, before the next key. Only the last of them makes another row the
#: first one, which costs more than reading and deleting it. Jobs that only v1 carries are sent one by
#: one, side by side with other keys.
RUN = 10
#: Rows of one key that one read takes at the most, when few keys wait.
ROWS_A_KEY = 250
#: Keys of one read whose first job only v1 carries, and rows of each: a request for each job, so a round cannot send many of them, and
#: others are not to wait behind those it cannot.
SINGLE_KEYS, SINGLE_RUN = 50, 5
#: One read takes no more documents than this, and one: a thousand of the largest would be more than a small worker's memory holds.
MAX_BYTES = 8_000_000

_COLUMNS = f"key, position, sends, parts, {BACKLOG.select_list}"
_load_job = BACKLOG.loader(Job, "lane")

# Due, and if the job has several rows, in all of them. (A repeat that names another second key adds a row: there may be more
# than it has parts.)
_TRYABLE = """due_at IS NOT NULL AND due_at <= now() AND (parts = 1 OR sends AND parts <= (
    SELECT CASE WHEN count(*) = count(*) FILTER (WHERE o.due_at <= now()) THEN count(*) ELSE 0 END
    FROM trackrelay_backlog o WHERE o.job_id = b.job_id))"""

#: Families whose requests carry several jobs.
_BATCHED = (Family.V2, Family.SEGMENTS)

_SELECT_DUE = sa.text(f"""
    WITH others AS (
        SELECT key, position FROM unnest(CAST(:batched AS text[])) AS wanted (family) CROSS JOIN LATERAL (
            SELECT key, position FROM trackrelay_backlog b
            WHERE shard = :shard AND lane = :lane AND b.family = wanted.family AND position >= CAST(:start AS bigint) AND {_TRYABLE}
            ORDER BY position LIMIT :most) first
        ORDER BY position LIMIT :most),
    -- No further than that: where there are none, everything would be looked through for them.
    singles AS (
        SELECT key, position FROM unnest(CAST(:single AS text[])) AS wanted (family) CROSS JOIN LATERAL (
            SELECT key, position FROM trackrelay_backlog b
            WHERE shard = :shard AND lane = :lane AND b.family = wanted.family AND position >= CAST(:start AS bigint) AND {_TRYABLE}
                AND position <= (SELECT CASE WHEN count(*) < :most THEN {2**63 - 1} ELSE max(position) END FROM others)
            ORDER BY position LIMIT :single_keys) first
        ORDER BY position LIMIT :single_keys),
    firsts AS (
        SELECT key, position, least(:rows_a_key, greatest(:run, 1 + 2 * :most / (SELECT count(*) FROM others))) AS run FROM others
        UNION ALL SELECT key, position, :single_run FROM singles),
    asked AS (
        SELECT array_agg(key ORDER BY position) AS keys, array_agg(position ORDER BY position) AS starts,
            array_agg(run ORDER BY position) AS runs, count(*) AS firsts,
            (SELECT count(*) FROM others) < :most AND (SELECT count(*) FROM singles) < :single_keys AS complete
        FROM firsts),
    -- Key by key until there are enough, in an order that Postgres knows beforehand: none is fetched and sorted only to be left.
    rows AS (
        SELECT r.* FROM unnest((SELECT keys FROM asked), (SELECT starts FROM asked), (SELECT runs FROM asked))
            WITH ORDINALITY AS first (key, position, run, number)
        CROSS JOIN LATERAL (
            SELECT {_COLUMNS} FROM trackrelay_backlog
            WHERE shard = :shard AND lane = :lane AND key = first.key AND position >= first.position
            ORDER BY position LIMIT first.run) r
        ORDER BY number, r.position LIMIT :most)
    SELECT taken.*, asked.firsts, asked.complete, s.next_position FROM asked CROSS JOIN trackrelay_shards s LEFT JOIN (
        SELECT *, sum(octet_length(body)) OVER (ORDER BY position, key) - octet_length(body) AS bytes_before FROM rows) taken
        ON bytes_before < :max_bytes
    WHERE s.shard = :shard ORDER BY taken.position
""")

_FIRSTS = sa.text(f"""
    SELECT s.shard, asked.lane, s.next_position, due.position
    FROM unnest(CAST(:shards AS int[]), CAST(:lanes AS text[]), CAST(:starts AS bigint[])) AS asked (shard, lane, start)
    JOIN trackrelay_shards s ON s.shard = asked.shard AND s.paused_at IS NULL
    LEFT JOIN LATERAL (
        SELECT min(first.position) AS position FROM unnest(CAST(:families AS text[])) AS wanted (family) CROSS JOIN LATERAL (
            SELECT position FROM trackrelay_backlog b
            WHERE b.shard = s.shard AND b.lane = asked.lane AND b.family = wanted.family AND b.position >= asked.start AND {_TRYABLE}
            ORDER BY position LIMIT 1) first) due ON true
""")


@dataclass(frozen=True, slots=True)
class DueJobs:
    """What one look at a lane's backlog found."""

    jobs: list[Job]
    seen: ScanResult


def select_due(
    connection: sa.Connection,
    shard: int,
    lane: Lane,
    most: int,
    start: int = 0,
    families: frozenset[Family] = ALL_FAMILIES,
) -> DueJobs:
    """Jobs that may be tried now, in order: due firsts from position ``start`` on and what follows them, at most ``most``.

    Args:
        families: those of which something may be sent. The first job of each key is of one of them; what follows it need not be.
    """
    found = connection.execute(_SELECT_DUE, _values(shard, lane, most, start, families)).all()
    rows = [row for row in found if row.job_id is not None]
    return DueJobs(list(_in_reach(rows, lane)), _seen(rows, found[0].next_position))


def _values(
    shard: int, lane: Lane, most: int, start: int, families: frozenset[Family] = ALL_FAMILIES
) -> dict[str, Any]:
    return {
        "shard": shard,
        "lane": lane,
        "most": most,
        "start": start,
        "run": RUN,
        "rows_a_key": min(ROWS_A_KEY, most),
        "batched": text_array([family for family in _BATCHED if family in families]),
        "single": text_array([family for family in SINGLE_FAMILIES if family in families]),
        "single_keys": SINGLE_KEYS,
        "single_run": SINGLE_RUN,
        "max_bytes": MAX_BYTES,
    }


def _seen(rows: Sequence[Any], end: int) -> ScanResult:
    if not rows:
        return ScanResult(None, None, end)
    # A key's first row comes first here too; of the firsts that were found, those behind the last row that was taken are missing.
    positions: dict[str, int] = {}
    for row in rows:
        positions.setdefault(row.key, row.position)
    is_all = rows[0].complete and len(positions) == rows[0].firsts
    return ScanResult(rows[0].position, None if is_all else max(positions.values()) + 1, end)


def _in_reach(rows: Iterable[Any], lane: Lane) -> Iterable[Job]:
    # Behind a job with two keys nothing may be sent before it is settled, and it only when it is first in both.
    closed: set[str] = set()
    begun: set[str] = set()
    for row in rows:
        if row.key in closed:
            continue
        if row.parts > 1:
            closed.update(row.keys)
            if row.key in begun or not row.sends or begun.intersection(row.keys):
                continue
        begun.add(row.key)
        yield _load_job(row, lane)


def first_due(
    connection: sa.Connection,
    starts: Mapping[tuple[int, Lane], int],
    families: frozenset[Family] = ALL_FAMILIES,
) -> dict[tuple[int, Lane], ScanResult]:
    """The first row to try from a position on, for each lane of a shard in ``starts`` that is not paused.

    Args:
        families: those of which something may be sent.
    """
    asked = [(shard, lane, start) for (shard, lane), start in starts.items()]
    shards, lanes, positions = zip(*asked, strict=True) if asked else ((), (), ())
    rows = connection.execute(
        _FIRSTS,
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
