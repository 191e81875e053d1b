"""The table of forgotten people's keys: who is blocked, and how far each request has come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from . import shards

_FIND = sa.text("""
    SELECT key, request, mode, blocked, blocked_jobs, job_id, steps, receipt,
        extract(epoch FROM requested_at) AS requested_at
    FROM trackrelay_forgotten
    WHERE key = ANY(CAST(:keys AS text[])) OR request IN (
        SELECT request FROM trackrelay_forgotten WHERE key = ANY(CAST(:keys AS text[])))
    ORDER BY key
""")
_MARK = sa.text("""
    INSERT INTO trackrelay_forgotten AS stored (key, request, mode, job_id, steps)
    SELECT key, CAST(:request AS text), CAST(:mode AS text), job_id, :steps
    FROM unnest(CAST(:keys AS text[]), CAST(:jobs AS text[])) AS row (key, job_id)
    ON CONFLICT (key) DO UPDATE SET
        request = excluded.request, mode = excluded.mode, blocked = true,
        requested_at =
            CASE stored.request WHEN excluded.request THEN stored.requested_at ELSE now() END,
        blocked_jobs =
            CASE stored.request WHEN excluded.request THEN stored.blocked_jobs ELSE 0 END,
        job_id = excluded.job_id, steps = excluded.steps, receipt = NULL, allowed_at = NULL
""").bindparams(sa.bindparam("steps", type_=JSONB))
_STEP = sa.text("""
    UPDATE trackrelay_forgotten SET steps = steps || :step WHERE request = :request
""").bindparams(sa.bindparam("step", type_=JSONB))
_COMPLETE = sa.text("""
    UPDATE trackrelay_forgotten SET receipt = :receipt WHERE request = :request
""").bindparams(sa.bindparam("receipt", type_=JSONB))
_ALLOW = sa.text("""
    UPDATE trackrelay_forgotten SET blocked = false, allowed_at = now()
    WHERE key = ANY(CAST(:keys AS text[])) AND blocked RETURNING key
""")
# In one order, so that no two holders wait for each other.
_COUNT_BLOCKED = sa.text("""
    WITH counted AS (
        SELECT key, jobs
        FROM unnest(CAST(:keys AS text[]), CAST(:jobs AS int[])) AS row (key, jobs)),
    locked AS (
        SELECT stored.key FROM trackrelay_forgotten stored JOIN counted ON counted.key = stored.key
        ORDER BY stored.key FOR UPDATE OF stored)
    UPDATE trackrelay_forgotten stored SET blocked_jobs = stored.blocked_jobs + counted.jobs
    FROM counted JOIN locked ON locked.key = counted.key WHERE stored.key = counted.key
""")
_SUMMARY = sa.text("""
    SELECT count(*) FILTER (WHERE blocked) AS keys,
        count(DISTINCT request) FILTER (WHERE receipt IS NULL) AS unfinished,
        coalesce(sum(blocked_jobs), 0) AS jobs
    FROM trackrelay_forgotten
""")

# A request is deleted as a whole, and not before it is complete.
_PRUNE = sa.text("""
    WITH old AS (
        SELECT request FROM trackrelay_forgotten GROUP BY request
        HAVING bool_and(receipt IS NOT NULL)
            AND max(greatest(requested_at, allowed_at)) < now() - make_interval(secs => :kept_s))
    DELETE FROM trackrelay_forgotten stored USING old WHERE stored.request = old.request
""")


@dataclass(frozen=True, slots=True)
class Request:
    """A request to forget a person, as it is stored. Times are unix seconds."""

    id: str
    mode: str
    requested_at: float
    #: The keys that it named last, as keyed hashes, each with the job that tells Customer.io.
    jobs: Mapping[str, str | None]
    blocked: bool
    #: How many jobs came since, and were dropped.
    blocked_jobs: int
    steps: Mapping[str, Any]
    receipt: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Summary:
    """What ``status`` shows."""

    #: Keys that are blocked.
    keys: int = 0
    #: Requests that were begun and are not complete.
    unfinished: int = 0
    #: Jobs that came for a forgotten person and were dropped.
    jobs: int = 0


def requests_of(connection: sa.Connection, keys: Sequence[str]) -> list[Request]:
    """Return the requests that named any of ``keys``, with all their keys."""
    rows: dict[str, list[Any]] = {}
    for row in connection.execute(_FIND, {"keys": list(keys)}):
        rows.setdefault(row.request, []).append(row)
    return [
        Request(
            id=request,
            mode=found[0].mode,
            requested_at=float(found[0].requested_at),
            jobs={row.key: row.job_id for row in found},
            blocked=any(row.blocked for row in found),
            blocked_jobs=sum(row.blocked_jobs for row in found),
            steps=found[0].steps,
            receipt=found[0].receipt,
        )
        for request, found in rows.items()
    ]


def mark(
    connection: sa.Connection,
    request: str,
    mode: str,
    jobs: Mapping[str, str | None],
    steps: Mapping[str, Any],
) -> None:
    """Block the keys of ``jobs``. After the commit, no settlement writes a payload of theirs.

    Args:
        connection: the caller commits.
        request: the id of the request.
        mode: ``erase``, ``suppress`` or ``delete``.
        jobs: for each key, as a keyed hash, the job that is delivered all the same.
        steps: what is recorded of the request so far.
    """
    values = {
        "request": request,
        "mode": mode,
        "keys": list(jobs),
        "jobs": list(jobs.values()),
        "steps": dict(steps),
    }
    connection.execute(_MARK, values)
    shards.announce(connection, "block_version")


def allow_again(connection: sa.Connection, keys: Sequence[str]) -> list[str]:
    """Lift the block of ``keys``. Return those that were blocked. The caller commits."""
    lifted = [row.key for row in connection.execute(_ALLOW, {"keys": list(keys)})]
    if lifted:
        shards.announce(connection, "block_version")
    return sorted(lifted)


def record_step(connection: sa.Connection, request: str, name: str, value: Any) -> None:
    """Record what a step of ``request`` did. The caller commits."""
    connection.execute(_STEP, {"request": request, "step": {name: value}})


def complete(connection: sa.Connection, request: str, receipt: Mapping[str, Any]) -> None:
    """Record the receipt of ``request``. The caller commits."""
    connection.execute(_COMPLETE, {"request": request, "receipt": dict(receipt)})


def count_blocked(connection: sa.Connection, jobs_by_key: Mapping[str, int]) -> None:
    """Count dropped jobs by their keys. Keys that nobody asked to forget are passed over."""
    if jobs_by_key:
        values = {"keys": list(jobs_by_key), "jobs": list(jobs_by_key.values())}
        connection.execute(_COUNT_BLOCKED, values)


def summary(connection: sa.Connection) -> Summary:
    """Return what ``status`` shows."""
    row = connection.execute(_SUMMARY).one()
    return Summary(row.keys, row.unfinished, int(row.jobs))


def prune(connection: sa.Connection, retention: timedelta) -> int:
    """Delete complete requests older than ``retention``; return how many keys they had."""
    deleted = connection.execute(_PRUNE, {"kept_s": retention.total_seconds()}).rowcount
    if deleted:
        shards.announce(connection, "block_version")
    return deleted
