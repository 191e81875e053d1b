"""Who did what: the history of operators' acts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from trackrelay.worker.console.page import Page, get
from trackrelay.worker.console.page_request import PageRequest
from trackrelay.worker.reasons import Act
from trackrelay.worker.storage import acts
from trackrelay.worker.storage.acts import ActFilters

#: Acts on one part of the list.
LIMIT = 50


def show(page: PageRequest) -> Response:
    """List the acts, the newest first."""
    author, kinds = page.param("author"), page.params("act")
    before = page.number("before", 0, 0, 2**63 - 1)
    filters = ActFilters(author=author or None, acts=tuple(kinds), before=before or None)
    with page.stores.engine.connect() as connection:
        found = acts.latest(connection, filters, LIMIT + 1)
    rows = found[:LIMIT]
    return page.render(
        "activity.html",
        rows=[(each, _details(each.details)) for each in rows],
        author=author,
        kinds=kinds,
        all_kinds=list(Act),
        newer=page.here(before=None) if before else None,
        older=page.here(before=rows[-1].id) if len(found) > LIMIT else None,
    )


def _details(details: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in details.items())


PAGE = Page(title="Activity", paths=(get("/activity", show),))
