"""Reading the jobs in the backlog one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import sqlalchemy as sa

from .document_fields import email, event_name


@dataclass(frozen=True, slots=True, kw_only=True)
class BacklogFilters:
    """Which jobs of the backlog are meant. An empty filter takes any."""

    reasons: Sequence[str] = ()
    operations: Sequence[str] = ()
    names: Sequence[str] = ()
    emails: Sequence[str] = ()
    #: As stored.
    keys: Sequence[str] = ()
    sources: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingJob:
    """One job in the backlog. All times are unix seconds."""

    id: str
    operation: str
    #: The name of an event, page or screen.
    name: str | None
    #: As stored.
    keys: tuple[str, ...]
    source: str | None
    idempotency_key: str | None
    shard: int
    lane: str
    reason: str
    error: str | None
    attempts: int
    enqueued_at: float
    #: Since when it waits.
    since: float
    #: When it is tried next; None: after an earlier job of its key.
    due_at: float | None


# A job with two keys has two rows, of which the primary one counts. It is due when both are.
_JOBS = sa.text(f"""
    WITH matched AS (
        SELECT job_id, key, enqueued_at FROM trackrelay_backlog WHERE sends
        AND (CAST(:reasons AS text[]) IS NULL OR reason = ANY(CAST(:reasons AS text[])))
        AND (CAST(:operations AS text[]) IS NULL OR operation = ANY(CAST(:operations AS text[])))
        AND (CAST(:keys AS text[]) IS NULL OR keys && CAST(:keys AS text[]))
        AND (CAST(:sources AS text[]) IS NULL OR source = ANY(CAST(:sources AS text[])))
        AND (CAST(:names AS text[]) IS NULL OR {event_name()} = ANY(CAST(:names AS text[])))
        AND (CAST(:emails AS text[]) IS NULL OR {email()} = ANY(CAST(:emails AS text[])))),
    chosen AS (SELECT job_id, key FROM matched ORDER BY enqueued_at, job_id LIMIT :limit)
    SELECT job_id AS id, operation, {event_name()} AS name, keys, source, idempotency_key, shard,
        lane, reason, error, attempts, extract(epoch FROM enqueued_at) AS enqueued_at,
        extract(epoch FROM since) AS since,
        extract(epoch FROM (SELECT max(o.due_at) FROM trackrelay_backlog o
            WHERE o.job_id = b.job_id HAVING count(o.due_at) = max(o.parts))) AS due_at,
        (SELECT count(*) FROM matched) AS total
    FROM chosen JOIN trackrelay_backlog b USING (job_id, key) ORDER BY b.enqueued_at, job_id
""")


def waiting_jobs(
    connection: sa.Connection, filters: BacklogFilters, limit: int
) -> tuple[list[WaitingJob], int]:
    """Return the first ``limit`` jobs that match, the oldest first, and how many match."""
    names = [field.name for field in fields(filters)]
    parameters = {name: list(getattr(filters, name)) or None for name in names}
    rows = connection.execute(_JOBS, {**parameters, "limit": limit}).all()
    return [_job(row) for row in rows], rows[0].total if rows else 0


def _job(row: Any) -> WaitingJob:
    return WaitingJob(
        id=row.id,
        operation=row.operation,
        name=row.name,
        keys=tuple(row.keys),
        source=row.source,
        idempotency_key=row.idempotency_key,
        shard=row.shard,
        lane=row.lane,
        reason=row.reason,
        error=row.error,
        attempts=row.attempts,
        enqueued_at=float(row.enqueued_at),
        since=float(row.since),
        due_at=None if row.due_at is None else float(row.due_at),
    )
