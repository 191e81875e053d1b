"""Dead letters: jobs that will never succeed as they are, kept until somebody repairs and replays them, or discards them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from trackrelay.worker.reasons import DeathReason

from .sanitize import sanitize_text, sanitized_json
from .stored_job import Job

# A job that was replayed and failed again is the same dead letter, with more history.
_INSERT = sa.text("""
    INSERT INTO trackrelay_dead_letters (job_id, key, other_key, operation, source, idempotency_key, trace, lane, body, raw,
        reason, error, field, status, attempts, state, enqueued_at, died_at, updated_at, history)
    SELECT job_id, key, other_key, operation, source, idempotency_key, trace, lane, CAST(body AS json), raw,
        reason, error, field, status, attempts, 'open', to_timestamp(enqueued_at), now(), now(), CAST(history AS jsonb)
    FROM unnest(
        CAST(:job_id AS text[]), CAST(:key AS text[]), CAST(:other_key AS text[]), CAST(:operation AS text[]),
        CAST(:source AS text[]), CAST(:idempotency_key AS text[]), CAST(:trace AS text[]), CAST(:lane AS text[]),
        CAST(:body AS text[]), CAST(:raw AS bytea[]), CAST(:reason AS text[]), CAST(:error AS text[]),
        CAST(:field AS text[]), CAST(:status AS int[]), CAST(:attempts AS int[]), CAST(:enqueued_at AS float8[]),
        CAST(:history AS text[])
    ) AS row (job_id, key, other_key, operation, source, idempotency_key, trace, lane, body, raw, reason, error, field,
        status, attempts, enqueued_at, history)
    ON CONFLICT (job_id) DO UPDATE SET
        body = excluded.body, reason = excluded.reason, error = excluded.error, field = excluded.field,
        status = excluded.status, state = 'open', lane = excluded.lane,
        -- A replayed job counts anew. An open letter met its death before: the same settlement, written twice.
        attempts = CASE trackrelay_dead_letters.state WHEN 'open' THEN trackrelay_dead_letters.attempts
            ELSE least(32767, CAST(trackrelay_dead_letters.attempts AS int) + excluded.attempts) END,
        died_at = excluded.died_at, updated_at = excluded.updated_at,
        history = trackrelay_dead_letters.history || excluded.history
""")

# Of an operation that was refused at the call: it was never a job before, and is not opened again when its entry is read again.
_INSERT_NEW = sa.text(
    _INSERT.text.partition("ON CONFLICT")[0] + "ON CONFLICT (job_id) DO NOTHING RETURNING job_id"
)

_DELIVERED = sa.text("""
    UPDATE trackrelay_dead_letters SET state = 'delivered', updated_at = now(),
        history = history || jsonb_build_array(jsonb_build_object('at', extract(epoch FROM now()), 'what', 'delivered'))
    WHERE job_id = ANY(CAST(:ids AS text[])) AND state <> 'delivered'
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDeadLetter:
    """A job, and what it died of."""

    job: Job
    reason: DeathReason
    error: str
    field: str | None = None
    status: int | None = None
    #: The stream entry's bytes, when they could not be decoded.
    raw: bytes | None = None
    #: What is added to its history, oldest first.
    history: tuple[dict[str, Any], ...] = ()


def insert(connection: sa.Connection, deaths: Sequence[NewDeadLetter]) -> None:
    """Keep jobs as dead letters."""
    if deaths:
        connection.execute(_INSERT, _parameters(deaths))


def insert_new(connection: sa.Connection, deaths: Sequence[NewDeadLetter]) -> frozenset[str]:
    """Keep what was no job before as dead letters; those that are there already stay as they are. Returns the ids of the new ones."""
    if not deaths:
        return frozenset()
    return frozenset(row.job_id for row in connection.execute(_INSERT_NEW, _parameters(deaths)))


def _parameters(deaths: Sequence[NewDeadLetter]) -> dict[str, Any]:
    in_order = sorted(deaths, key=lambda death: death.job.id)
    jobs = [death.job for death in in_order]
    return {
        "job_id": [job.id for job in jobs],
        "key": [job.keys[0] for job in jobs],
        "other_key": [job.keys[1] if len(job.keys) > 1 else None for job in jobs],
        "operation": [job.operation for job in jobs],
        "source": [job.source for job in jobs],
        "idempotency_key": [job.idempotency_key for job in jobs],
        "trace": [job.trace for job in jobs],
        "lane": [job.lane for job in jobs],
        "body": [
            job.body.decode() if death.raw is None else None
            for job, death in zip(jobs, in_order, strict=True)
        ],
        "raw": [death.raw for death in in_order],
        "reason": [death.reason for death in in_order],
        "error": [sanitize_text(death.error) for death in in_order],
        "field": [sanitize_text(death.field) for death in in_order],
        "status": [death.status for death in in_order],
        "attempts": [job.attempts for job in jobs],
        "enqueued_at": [job.enqueued_at for job in jobs],
        "history": [sanitized_json(death.history) for death in in_order],
    }


# Open ones stay until somebody looks at them: only what was delivered or discarded is forgotten.
_PRUNE = sa.text("""
    WITH old AS (
        SELECT job_id FROM trackrelay_dead_letters
        WHERE state IN ('delivered', 'discarded') AND updated_at < now() - make_interval(secs => :retention_s)
        LIMIT :chunk FOR UPDATE SKIP LOCKED)
    DELETE FROM trackrelay_dead_letters d USING old WHERE d.job_id = old.job_id
""")

PRUNE_CHUNK = 5_000


def prune(connection: sa.Connection, retention: timedelta) -> int:
    """Delete one chunk of dead letters that were settled longer ago than ``retention``; returns how many."""
    result = connection.execute(
        _PRUNE, {"retention_s": retention.total_seconds(), "chunk": PRUNE_CHUNK}
    )
    return result.rowcount


def mark_delivered(connection: sa.Connection, ids: Sequence[str]) -> None:
    """Note that replayed dead letters arrived."""
    if ids:
        connection.execute(_DELIVERED, {"ids": sorted(ids)})
