"""The jobs that could not be delivered yet: how many, where, why, and since when."""

from __future__ import annotations

import time

from starlette.responses import Response

from trackrelay.worker.console.page import Page, get
from trackrelay.worker.console.page_request import PageRequest
from trackrelay.worker.reasons import DeferReason
from trackrelay.worker.storage.queries import backlog_overview
from trackrelay.worker.storage.queries.job_search import BacklogFilters, waiting_jobs

LIMIT, MAX_LIMIT = 50, 500


def show(page: PageRequest) -> Response:
    """List the jobs that wait, the oldest first, and how many wait in each shard for what."""
    filters = BacklogFilters(
        reasons=page.params("reason"),
        names=page.params("name"),
        sources=page.params("source"),
        keys=page.params("key"),
    )
    limit = page.number("limit", LIMIT, 1, MAX_LIMIT)
    with page.stores.engine.connect() as connection:
        jobs, total = waiting_jobs(connection, filters, limit)
        groups = backlog_overview.waits(connection)
    return page.render(
        "backlog.html",
        jobs=jobs,
        total=total,
        max_limit=MAX_LIMIT if len(jobs) < min(total, MAX_LIMIT) else None,
        groups=sorted(groups, key=lambda row: (row.shard, -row.jobs)),
        filters=filters,
        is_narrowed=filters != BacklogFilters(reasons=[], names=[], sources=[], keys=[]),
        reasons=list(DeferReason),
        explanations={str(each): each.explanation for each in DeferReason},
        now_s=time.time(),
    )


PAGE = Page(title="Backlog", paths=(get("/backlog", show),))
