"""The jobs that could not be delivered yet: how many, where, why, and since when."""

from __future__ import annotations

import time
from collections.abc import Sequence

import sqlalchemy as sa
from starlette.responses import Response

from trackrelay.worker.console.page import Page, get
from trackrelay.worker.console.page_request import PageRequest
from trackrelay.worker.reasons import DeferReason
from trackrelay.worker.storage.queries import backlog_overview
from trackrelay.worker.storage.queries.backlog_overview import Waits
from trackrelay.worker.storage.queries.job_search import (
    BacklogFilters,
    WaitingJob,
    next_jobs,
    waiting_jobs,
    waiting_jobs_in_time,
)

LIMIT, MAX_LIMIT = 50, 500
#: In a larger backlog the page shows what is tried next, and the latest counts of `status`. To
#: count a million jobs takes a second.
MANY = 20_000
#: A search in a larger backlog may take this long.
SEARCH_MS = 400


def show(page: PageRequest) -> Response:
    """List the jobs that wait, the oldest first, and how many wait in each shard for what."""
    filters = BacklogFilters(
        reasons=page.params("reason"),
        names=page.params("name"),
        sources=page.params("source"),
        keys=page.params("key"),
    )
    limit = page.number("limit", LIMIT, 1, MAX_LIMIT)
    known = page.parts.facts.current().postgres
    with page.stores.engine.connect() as connection:
        if known is not None and known.waiting > MANY:
            groups, found = known.backlog, _of_many(connection, filters, limit, known.backlog)
        else:
            found = waiting_jobs(connection, filters, limit)
            groups = backlog_overview.waits(connection)
    jobs, total = found or ([], sum(each.jobs for each in groups))
    return page.render(
        "backlog.html",
        jobs=jobs,
        total=total,
        max_limit=MAX_LIMIT if len(jobs) < min(total, MAX_LIMIT) else None,
        groups=sorted(groups, key=lambda row: (row.shard, -row.jobs)),
        filters=filters,
        is_narrowed=filters != _filters(),
        is_searched=found is not None,
        is_large=known is not None and known.waiting > MANY,
        reasons=list(DeferReason),
        explanations={str(each): each.explanation for each in DeferReason},
        now_s=time.time(),
    )


def _of_many(
    connection: sa.Connection, filters: BacklogFilters, limit: int, counts: Sequence[Waits]
) -> tuple[list[WaitingJob], int] | None:
    """Return jobs and their number; None if that takes too long."""
    if filters != _filters(filters.reasons):
        return waiting_jobs_in_time(connection, filters, limit, SEARCH_MS)
    total = sum(each.jobs for each in counts if each.reason in (filters.reasons or (each.reason,)))
    return next_jobs(connection, limit, filters.reasons), total


def _filters(reasons: Sequence[str] = ()) -> BacklogFilters:
    return BacklogFilters(reasons=list(reasons), names=[], sources=[], keys=[])


PAGE = Page(title="Backlog", paths=(get("/backlog", show),))
