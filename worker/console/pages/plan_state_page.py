"""The tracking plan in force, what does not keep to it, and how it differs from what is sent."""

from __future__ import annotations

import time
from datetime import timedelta

from starlette.responses import Response

from trackrelay.worker.cli.plan.plan_status import (
    DONE,
    MAX_VERSIONS,
    plan_problem,
    violation_text,
)
from trackrelay.worker.console.page import Page, get
from trackrelay.worker.console.page_request import PageRequest
from trackrelay.worker.quality.catalog import catalog_of
from trackrelay.worker.quality.plan_differences import Difference, DifferenceKind, differences
from trackrelay.worker.quality.plan_enforcer import read
from trackrelay.worker.storage import plan_violations, plans
from trackrelay.worker.storage.plan_violations import NO_ROOM
from trackrelay.worker.storage.queries.catalog_query import catalog_rows
from trackrelay.worker.storage.queries.plan_overview import UNREADABLE

#: Violations, and differences, that are listed.
LIMIT = 200
SINCE = timedelta(days=7)
ACTION_TONES = {"warn": "warn", "fix": "", "dead_letter": "bad"}
KIND_TONES = {
    DifferenceKind.OTHER_TYPE: "bad",
    DifferenceKind.SOMETIMES_MISSING: "bad",
    DifferenceKind.OTHER_SOURCE: "bad",
    DifferenceKind.OTHER_NAME: "warn",
    DifferenceKind.NOT_PLANNED: "warn",
}


def show(page: PageRequest) -> Response:
    """Show the versions, the violations of the last week, and the differences."""
    with page.stores.engine.connect() as connection:
        known = plans.latest(connection, MAX_VERSIONS)
        in_force = plans.in_force(connection)
        versions = [each.version for each in in_force]
        counts = plan_violations.recent(connection, versions, SINCE)
        rows = catalog_rows(connection) if in_force else []
    problem = plan_problem(in_force)
    drift: list[Difference] = []
    if in_force and not problem:
        drift = differences(read(in_force[0])[0], catalog_of(rows))
    violations = [each for each in counts if each.kind not in (UNREADABLE, NO_ROOM)]
    return page.render(
        "plan.html",
        known=known,
        versions=versions,
        problem=problem,
        unreadable=[each for each in counts if each.kind == UNREADABLE],
        uncounted=sum(each.count for each in counts if each.kind == NO_ROOM),
        violations=[(each, violation_text(each)) for each in violations[:LIMIT]],
        more_violations=len(violations) - LIMIT,
        drift=drift[:LIMIT],
        more_drift=len(drift) - LIMIT,
        has_catalog=bool(rows),
        done=DONE,
        action_tones=ACTION_TONES,
        kind_tones=KIND_TONES,
        now_s=time.time(),
    )


PAGE = Page(title="Plan", paths=(get("/plan", show),))
