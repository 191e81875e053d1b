"""Which events and attributes applications send, with their types, and on which days."""

from __future__ import annotations

import time

from starlette.responses import Response

from trackrelay.worker.cli.catalog_command import lateness_text, total_text, types_text
from trackrelay.worker.console.page import Page, get
from trackrelay.worker.console.page_request import PageRequest, checked
from trackrelay.worker.quality.catalog import Catalog, catalog_of
from trackrelay.worker.quality.catalog_observer import OBSERVED
from trackrelay.worker.quality.lateness import quantile_s
from trackrelay.worker.quality.type_rules import is_mixed
from trackrelay.worker.storage.queries.catalog_query import MAX_DAYS, catalog_days, catalog_rows

#: Names, and attributes of one name, that are listed.
LIMIT = 500
DAY_S = 86_400


def show(page: PageRequest) -> Response:
    """List the names, or show what is known of one."""
    # A name may begin or end with a blank.
    name = checked(page.request.query_params.get("name", ""), "name")
    source = page.param("source")
    now = time.time()
    with page.stores.engine.connect() as connection:
        rows = catalog_rows(connection, source or None)
        found = catalog_of(rows, catalog_days(connection, OBSERVED, name) if name else ())
    if name:
        return _details(page, found, name, now)
    text = page.param("text").casefold()
    listed = [
        stats
        for stats in found.subjects.values()
        if text in (stats.subject.name or stats.subject.operation).casefold()
    ]
    late = {stats.subject: quantile_s(stats.lateness, 0.95) for stats in listed}
    return page.render(
        "catalog.html",
        listed=[
            (stats, "–" if (bound := late[stats.subject]) is None else lateness_text(bound))
            for stats in listed[:LIMIT]
        ],
        left=len(listed) - LIMIT,
        total=total_text(found, listed),
        overflow=found.overflow,
        is_empty=not found.subjects,
        text=page.param("text"),
        source=source,
        now_s=now,
    )


def _details(page: PageRequest, found: Catalog, name: str, now: float) -> Response:
    today = int(now // DAY_S)
    days = range(today - MAX_DAYS + 1, today + 1)
    subjects = [
        (
            stats,
            [stats.days.get(day, 0) for day in days] if stats.days else [],
            [
                (
                    attribute,
                    types_text(attribute),
                    is_mixed(each.type for each in attribute.types),
                    [attribute.days.get(day, 0) for day in days] if attribute.days else [],
                )
                for attribute in list(stats.attributes.values())[:LIMIT]
            ],
        )
        for stats in found.named(name)
    ]
    return page.render(
        "catalog_name.html",
        name=name,
        subjects=subjects,
        first_day=days[0] * DAY_S,
        day_s=DAY_S,
        limit=LIMIT,
        now_s=now,
    )


PAGE = Page(title="Catalog", paths=(get("/catalog", show),))
