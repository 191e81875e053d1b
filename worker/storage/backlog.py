"""The backlog: jobs that could not be delivered yet, in order for each key.

Only the first row of a key has a due time. Rows get one when they become first, in the same transaction that made them so, under the lock
of their shard's row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from trackrelay.operations.registry import ACTIONS
from trackrelay.worker.reasons import DeferReason

from .pg_arrays import bool_array, number_array, text_array
from .sanitize import sanitize_text, sanitized_json
from .stored_job import Job

#: Shard, lane and key: where rows wait for one another.
Place = tuple[int, str, str]

_INSERT = sa.text("""
    INSERT INTO trackrelay_backlog (job_id, key, shard, lane, position, not_before, sends, parts, keys, shards, operation,
        family, source, idempotency_key, trace, body, enqueued_at, age_from, since, reason, error, status, attempts, max_batch,
        failed_at, replayed, behind, history)
    SELECT job_id, key, shard, lane, position, to_timestamp(not_before), sends, parts,
        CAST(keys AS text[]), CAST(shards AS int[]), operation, family, source, idempotency_key, trace, CAST(body AS json),
        to_timestamp(enqueued_at), to_timestamp(age_from), now(), reason, error, status, attempts, max_batch,
        to_timestamp(nullif(failed_at, 0)), replayed, behind, CAST(history AS jsonb)
    FROM unnest(
        CAST(:job_id AS text[]), CAST(:key AS text[]), CAST(:shard AS int[]), CAST(:lane AS text[]),
        CAST(:position AS bigint[]), CAST(:not_before AS float8[]), CAST(:sends AS bool[]), CAST(:parts AS int[]),
        CAST(:keys AS text[]), CAST(:shards AS text[]), CAST(:operation AS text[]), CAST(:family AS text[]),
        CAST(:source AS text[]), CAST(:idempotency_key AS text[]), CAST(:trace AS text[]), CAST(:body AS text[]),
        CAST(:enqueued_at AS float8[]), CAST(:age_from AS float8[]), CAST(:reason AS text[]),
        CAST(:error AS text[]), CAST(:status AS int[]), CAST(:attempts AS int[]), CAST(:max_batch AS int[]),
        CAST(:failed_at AS float8[]), CAST(:replayed AS bool[]), CAST(:behind AS bigint[]), CAST(:history AS text[])
    ) AS row (job_id, key, shard, lane, position, not_before, sends, parts, keys, shards, operation, family,
        source, idempotency_key, trace, body, enqueued_at, age_from, reason, error, status, attempts, max_batch, failed_at,
        replayed, behind, history)
    -- The holders of a two-key job's shards may have looked it up in the same moment. The first to come here says in which lane it waits;
    -- and if it was settled meanwhile, as a repeat with another second key, no part of it is left behind.
    WHERE parts = 1 OR
        (SELECT true FROM trackrelay_backlog o WHERE o.job_id = row.job_id AND o.lane <> row.lane LIMIT 1) IS NULL
        AND (SELECT true FROM trackrelay_ledger l WHERE l.id = row.job_id) IS NULL
    ON CONFLICT (job_id, key) DO NOTHING
""")

_UPDATE = sa.text("""
    UPDATE trackrelay_backlog b SET
        due_at = CASE WHEN b.due_at IS NULL THEN NULL ELSE greatest(b.due_at, to_timestamp(row.not_before)) END,
        not_before = to_timestamp(row.not_before), reason = row.reason, error = row.error, status = row.status,
        attempts = row.attempts, max_batch = row.max_batch, failed_at = to_timestamp(nullif(row.failed_at, 0)),
        history = b.history || CAST(row.history AS jsonb)
    FROM unnest(
        CAST(:job_id AS text[]), CAST(:key AS text[]), CAST(:not_before AS float8[]), CAST(:reason AS text[]),
        CAST(:error AS text[]), CAST(:status AS int[]), CAST(:attempts AS int[]), CAST(:max_batch AS int[]),
        CAST(:failed_at AS float8[]), CAST(:history AS text[])
    ) AS row (job_id, key, not_before, reason, error, status, attempts, max_batch, failed_at, history)
    WHERE b.job_id = row.job_id AND b.key = row.key
""")

# Statements that name many rows reach them through an index whatever the statistics say: in the first minute of an outage there
# are none yet, and reading the whole backlog in every round would outlast the lease.
_REMOVE = sa.text("""
    DELETE FROM trackrelay_backlog b
    USING unnest(CAST(:ids AS text[])) AS gone (id) CROSS JOIN LATERAL (
        SELECT job_id, key FROM trackrelay_backlog WHERE job_id = gone.id LIMIT 4) row
    WHERE b.job_id = row.job_id AND b.key = row.key
    RETURNING b.shard, b.lane, b.key, b.position, b.due_at IS NOT NULL AS was_first
""")
_SHARDS_OF = sa.text(
    "SELECT DISTINCT shard FROM trackrelay_backlog WHERE job_id = ANY(CAST(:ids AS text[]))"
)

_DELAYED = ", ".join(f"'{action.name}'" for action in ACTIONS if action.is_delayed)
# A merge waits a little longer once it is first: Customer.io may still be busy with what was delivered before it.
_PROMOTE = sa.text(f"""
    UPDATE trackrelay_backlog b SET due_at = greatest(
        now() + CASE WHEN b.operation IN ({_DELAYED}) THEN make_interval(secs => :merge_delay_s) ELSE interval '0' END,
        b.not_before)
    FROM unnest(CAST(:shards AS int[]), CAST(:lanes AS text[]), CAST(:keys AS text[]), CAST(:starts AS bigint[]))
        AS touched (shard, lane, key, start)
    CROSS JOIN LATERAL (
        SELECT job_id FROM trackrelay_backlog f
        WHERE f.shard = touched.shard AND f.lane = touched.lane AND f.key = touched.key AND f.position >= touched.start
        ORDER BY position LIMIT 1) first
    WHERE b.job_id = first.job_id AND b.key = touched.key AND b.due_at IS NULL
""")

_HISTORY = sa.text(
    "SELECT job_id, history FROM trackrelay_backlog WHERE job_id = ANY(CAST(:ids AS text[]))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BacklogItem:
    """Why a job waits, and what has happened to it."""

    job: Job
    reason: DeferReason
    error: str | None = None
    status: int | None = None
    #: Unix seconds; 0: as soon as it is first.
    not_before: float = 0.0
    #: What this attempt adds to the job's history.
    history: tuple[dict[str, Any], ...] = ()
    #: Of a replay with keys in two shards: see `replay_order`.
    behind: int | None = None


def insert(
    connection: sa.Connection, shard: int, waiting: Sequence[BacklogItem], positions: Iterable[int]
) -> None:
    """Put jobs at their positions in ``shard``, a row for each key that falls there.

    The caller holds the rows of all shards in which they have keys.
    """
    rows = [
        (position, index, each)
        for position, each in zip(positions, waiting, strict=False)
        for index, of_key in enumerate(each.job.shards)
        if of_key == shard
    ]
    if rows:
        connection.execute(_INSERT, _columns(shard, rows))


def _columns(shard: int, rows: Sequence[tuple[int, int, BacklogItem]]) -> dict[str, Any]:
    jobs = [each.job for _, _, each in rows]
    return {
        **_changing([each for _, _, each in rows]),
        "key": text_array([each.job.keys[index] for _, index, each in rows]),
        "shard": number_array([shard] * len(rows)),
        "position": number_array([position for position, _, _ in rows]),
        "sends": bool_array([index == 0 for _, index, _ in rows]),
        "lane": text_array([job.lane for job in jobs]),
        "parts": number_array([len(job.keys) for job in jobs]),
        "keys": text_array([text_array(job.keys) for job in jobs]),
        "shards": text_array([number_array(job.shards) for job in jobs]),
        "operation": text_array([job.operation for job in jobs]),
        "family": text_array([job.family for job in jobs]),
        "source": text_array([job.source for job in jobs]),
        "idempotency_key": text_array([job.idempotency_key for job in jobs]),
        "trace": text_array([job.trace for job in jobs]),
        "body": text_array([job.body.decode() for job in jobs]),
        "enqueued_at": number_array([job.enqueued_at for job in jobs]),
        "age_from": number_array([job.age_from for job in jobs]),
        "replayed": bool_array([job.replayed for job in jobs]),
        "behind": number_array([each.behind for _, _, each in rows]),
    }


def _changing(waiting: Sequence[BacklogItem]) -> dict[str, Any]:
    return {
        "job_id": text_array([each.job.id for each in waiting]),
        "not_before": number_array([each.not_before or None for each in waiting]),
        "reason": text_array([each.reason for each in waiting]),
        "error": text_array([sanitize_text(each.error) for each in waiting]),
        "status": number_array([each.status for each in waiting]),
        "attempts": number_array([each.job.attempts for each in waiting]),
        "max_batch": number_array([each.job.max_batch for each in waiting]),
        "failed_at": number_array([each.job.failed_at for each in waiting]),
        "history": text_array([sanitized_json(each.history) for each in waiting]),
    }


def update(connection: sa.Connection, waiting: Sequence[BacklogItem]) -> None:
    """Note what became of an attempt of jobs that stay where they are."""
    rows = [
        (each, key)
        for each in sorted(waiting, key=lambda each: each.job.id)
        for key in each.job.keys
    ]
    if rows:
        connection.execute(
            _UPDATE,
            {**_changing([each for each, _ in rows]), "key": text_array([key for _, key in rows])},
        )


def remove(connection: sa.Connection, ids: Sequence[str]) -> dict[Place, int]:
    """Take jobs out: they were delivered, or are dead letters now.

    Returns:
        where they were, and from which position on what is left for the key is: nothing is before a first row.
    """
    left: dict[Place, int] = {}
    for row in connection.execute(_REMOVE, {"ids": text_array(sorted(ids))}) if ids else ():
        place = (row.shard, row.lane, row.key)
        left[place] = row.position if row.was_first else left.get(place, 0)
    return left


def shards_of(connection: sa.Connection, ids: Sequence[str]) -> list[int]:
    """The shards in which jobs have rows."""
    return (
        [row.shard for row in connection.execute(_SHARDS_OF, {"ids": text_array(ids)})]
        if ids
        else []
    )


def histories(connection: sa.Connection, ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """What happened so far to the jobs among ``ids`` that are in the backlog."""
    if not ids:
        return {}
    return {
        row.job_id: row.history for row in connection.execute(_HISTORY, {"ids": text_array(ids)})
    }


def promote(connection: sa.Connection, touched: Mapping[Place, int], merge_delay_s: float) -> None:
    """Give the first row of each place its due time, if it has none.

    Args:
        touched: places, and a position before which none of their rows is.
    """
    if touched:
        in_order = sorted((*place, start) for place, start in touched.items())
        shards, lanes, keys, starts = zip(*in_order, strict=True)
        connection.execute(
            _PROMOTE,
            {
                "shards": number_array(shards),
                "lanes": text_array(lanes),
                "keys": text_array(keys),
                "starts": number_array(starts),
                "merge_delay_s": merge_delay_s,
            },
        )
