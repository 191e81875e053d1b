"""Verdicts on deliveries: one open row for each item of a subject, and a history."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from trackrelay.worker.reasons import VerdictKind

from .pg_values import sanitize_text, text_array

#: Verdicts that say that something is not right.
BAD = (VerdictKind.IGNORED, VerdictKind.MISSING, VerdictKind.DIFFERENT)
#: Days for which what was verified is counted.
COUNTED_DAYS = 30
PRUNE_CHUNK = 5_000
MAX_REASON = 500

# Of one job the complaint of Customer.io tells more than a comparison.
_SAME = sa.text("""
    UPDATE trackrelay_verdicts SET checked_at = now()
    WHERE state = 'open' AND key = :key AND item = :item AND job_id IS NOT DISTINCT FROM :job_id
        AND (verdict = :verdict OR verdict = 'ignored') AND CAST(:activity_id AS text) IS NULL
    RETURNING id
""")
_KNOWN = sa.text(
    "SELECT activity_id FROM trackrelay_verdicts WHERE activity_id = ANY(CAST(:ids AS text[]))"
)
_REPLACE = sa.text("""
    UPDATE trackrelay_verdicts SET state = 'resolved', resolved_by = 'a newer verdict'
    WHERE state = 'open' AND key = :key AND item = :item
""")
_INSERT = sa.text("""
    INSERT INTO trackrelay_verdicts
        (job_id, key, operation, item, verdict, reason, activity_id, checked_at, state)
    VALUES (:job_id, :key, :operation, :item, :verdict, :reason, :activity_id, now(), 'open')
    RETURNING id
""")
_VERIFIED = sa.text("""
    UPDATE trackrelay_verdicts SET state = 'resolved', resolved_by = 'verified', checked_at = now()
    WHERE state = 'open' AND key = :key AND item = ANY(CAST(:items AS text[]))
""")
_RESOLVE = sa.text("""
    UPDATE trackrelay_verdicts SET state = 'resolved', resolved_by = :who
    WHERE id = ANY(CAST(:ids AS bigint[])) AND state = 'open' RETURNING id
""")
_COUNT_VERIFIED = sa.text("""
    INSERT INTO trackrelay_state (name, value)
    VALUES ('verified', jsonb_build_object(CAST(:day AS text), CAST(:count AS bigint)))
    ON CONFLICT (name) DO UPDATE SET updated_at = now(), value = (
        SELECT coalesce(jsonb_object_agg(day, number), '{}') FROM (
            SELECT day, sum(number) AS number FROM (
                SELECT key AS day, CAST(value AS bigint) AS number
                FROM jsonb_each_text(trackrelay_state.value)
                UNION ALL SELECT CAST(:day AS text), CAST(:count AS bigint)) AS days
            GROUP BY day ORDER BY day DESC LIMIT :days) AS latest)
""")
# A complaint that became a dead letter is settled with it; see `complaints.letter_key`.
_RESOLVE_LETTERS = sa.text("""
    UPDATE trackrelay_verdicts v SET state = 'resolved',
        resolved_by = CASE d.state WHEN 'delivered' THEN 'replayed' ELSE 'discarded' END
    FROM trackrelay_dead_letters d
    WHERE v.state = 'open' AND v.verdict = 'ignored' AND v.activity_id IS NOT NULL
        AND d.idempotency_key = left('activity:' || v.activity_id, 255) AND d.reason = 'ignored'
        AND d.state IN ('delivered', 'discarded')
""")
_COLUMNS = """
    id, job_id, key, operation, item, verdict, reason, activity_id, state, resolved_by,
    CAST(extract(epoch FROM checked_at) AS float8) AS checked_at
"""
_SELECT = sa.text(f"""
    SELECT {_COLUMNS} FROM trackrelay_verdicts
    WHERE (:all OR state = 'open')
        AND (CAST(:verdicts AS text[]) IS NULL OR verdict = ANY(CAST(:verdicts AS text[])))
        AND (CAST(:keys AS text[]) IS NULL OR key = ANY(CAST(:keys AS text[])))
    ORDER BY checked_at DESC, id DESC LIMIT :limit
""")
_OF_JOBS = sa.text(f"""
    SELECT {_COLUMNS} FROM trackrelay_verdicts WHERE job_id = ANY(CAST(:ids AS text[])) ORDER BY id
""")
_PRUNE = sa.text("""
    WITH old AS (SELECT id FROM trackrelay_verdicts
        WHERE checked_at < now() - make_interval(secs => :retention_s)
        LIMIT :chunk FOR UPDATE SKIP LOCKED)
    DELETE FROM trackrelay_verdicts v USING old WHERE v.id = old.id
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVerdict:
    """A verdict to be written down."""

    job_id: str | None
    key: str
    operation: str | None
    item: str
    verdict: VerdictKind
    reason: str
    #: Customer.io's id of the complaint that says it.
    activity_id: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verdict as it was written down. Times are unix seconds."""

    id: int
    job_id: str | None
    key: str
    operation: str | None
    item: str
    verdict: str
    reason: str
    activity_id: str | None
    state: str
    resolved_by: str | None
    checked_at: float


def known_activities(connection: sa.Connection, ids: Collection[str]) -> frozenset[str]:
    """Return those of the complaints ``ids`` that were counted."""
    rows = connection.execute(_KNOWN, {"ids": text_array(sorted(ids))})
    return frozenset(row.activity_id for row in rows)


def record(connection: sa.Connection, verdict: NewVerdict) -> int | None:
    """Write a verdict down, in place of an older one on the same item.

    Returns:
        the number of the new row; None if it only repeats what is open.
    """
    values = {
        "job_id": verdict.job_id,
        "key": verdict.key,
        "operation": verdict.operation,
        "item": sanitize_text(verdict.item),
        "verdict": str(verdict.verdict),
        "reason": (sanitize_text(verdict.reason) or "")[:MAX_REASON],
        "activity_id": sanitize_text(verdict.activity_id),
    }
    if connection.execute(_SAME, values).first() is not None:
        return None
    connection.execute(_REPLACE, values)
    return int(connection.execute(_INSERT, values).scalar_one())


def resolve_verified(connection: sa.Connection, key: str, items: Collection[str]) -> int:
    """Resolve what was open on items that are right now; return how many verdicts those were."""
    values = {"key": key, "items": text_array(sorted(items))}
    return connection.execute(_VERIFIED, values).rowcount


def resolve(connection: sa.Connection, ids: Collection[int], who: str) -> list[int]:
    """Resolve verdicts by hand; return the numbers of those that were open."""
    rows = connection.execute(_RESOLVE, {"ids": sorted(ids), "who": who})
    return sorted(row.id for row in rows)


def resolve_replayed(connection: sa.Connection) -> int:
    """Resolve complaints whose dead letters were replayed or discarded; return how many."""
    return connection.execute(_RESOLVE_LETTERS).rowcount


def count_verified(connection: sa.Connection, day: str, count: int) -> None:
    """Add to what was verified on a day."""
    connection.execute(_COUNT_VERIFIED, {"day": day, "count": count, "days": COUNTED_DAYS})


def select(
    connection: sa.Connection,
    *,
    limit: int | None = None,
    include_resolved: bool = False,
    verdicts: Sequence[str] | None = None,
    keys: Sequence[str] | None = None,
) -> list[Verdict]:
    """Return verdicts, the latest first.

    Args:
        connection: of the workers' database.
        limit: how many at most; None: all.
        include_resolved: not only the open ones.
        verdicts: only these kinds.
        keys: only of these subjects, by their stored keys.
    """
    values = {
        "all": include_resolved,
        "verdicts": None if verdicts is None else text_array(verdicts),
        "keys": None if keys is None else text_array(keys),
        "limit": limit,
    }
    return [_verdict(row) for row in connection.execute(_SELECT, values)]


def of_jobs(connection: sa.Connection, ids: Collection[str]) -> list[Verdict]:
    """Return the verdicts on jobs, the oldest first."""
    if not ids:
        return []
    rows = connection.execute(_OF_JOBS, {"ids": text_array(sorted(ids))})
    return [_verdict(row) for row in rows]


def prune(connection: sa.Connection, retention: timedelta) -> int:
    """Delete one chunk of verdicts older than ``retention``; return how many."""
    values = {"retention_s": retention.total_seconds(), "chunk": PRUNE_CHUNK}
    return connection.execute(_PRUNE, values).rowcount


def _verdict(row: Any) -> Verdict:
    return Verdict(**row._mapping)
