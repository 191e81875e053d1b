"""Found jobs as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from trackrelay.worker.cli.common.output import moment
from trackrelay.worker.storage.queries.job_search import Match

from .job_query import FoundJob

#: What all matches of a job have in common.
_COMMON = {"id", "operation", "keys", "source", "idempotency_key", "enqueued_at"}


def job_document(job: FoundJob) -> dict[str, Any]:
    """Return a job, and every place in which it was found."""
    first = job.first
    return {
        "id": job.id,
        "where": job.where,
        "operation": first.operation,
        "keys": list(first.keys),
        "source": first.source,
        "idempotency_key": first.idempotency_key,
        "enqueued_at": moment(first.enqueued_at),
        "found_in": [_place(match) for match in job.matches],
    }


def _place(match: Match) -> dict[str, Any]:
    values = {
        name: value
        for name, value in asdict(match).items()
        if name not in _COMMON and value not in (None, ())
    }
    if not match.deliveries:
        del values["deliveries"]
    return values | {name: moment(values[name]) for name in ("at", "due_at") if name in values}
