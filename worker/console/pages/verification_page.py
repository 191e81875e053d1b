"""What became of what was delivered: the verdicts on it."""

from __future__ import annotations

from starlette.responses import Response

from trackrelay.worker.cli.status.snapshot import Snapshot
from trackrelay.worker.cli.verification.verdict_items import item_text
from trackrelay.worker.console.page import Page, get, post
from trackrelay.worker.console.page_request import PageRequest
from trackrelay.worker.reasons import Act, VerdictKind
from trackrelay.worker.storage import verdicts
from trackrelay.worker.storage.queries.verification_overview import verification_overview

LIMIT, MAX_LIMIT = 50, 500
TONES = {"ignored": "bad", "missing": "bad", "different": "warn"}
KINDS = [kind for kind in VerdictKind if kind != VerdictKind.VERIFIED]


def show(page: PageRequest) -> Response:
    """List the verdicts, the latest first, and how many of each kind are open."""
    kinds, keys = page.params("kind"), page.params("key")
    shows_all = bool(page.param("all"))
    limit = page.number("limit", LIMIT, 1, MAX_LIMIT)
    with page.stores.engine.connect() as connection:
        overview = verification_overview(connection)
        found = verdicts.select(
            connection,
            limit=limit + 1,
            include_resolved=shows_all,
            verdicts=kinds or None,
            keys=keys or None,
        )
    return page.render(
        "verification.html",
        overview=overview,
        is_on=page.stores.settings.verify != "off",
        rows=[(each, item_text(each.item)) for each in found[:limit]],
        max_limit=MAX_LIMIT if len(found) > limit and limit < MAX_LIMIT else None,
        kinds=KINDS,
        chosen=kinds,
        keys=keys,
        shows_all=shows_all,
        tones=TONES,
    )


def resolve(page: PageRequest) -> Response:
    """Close a verdict that needs nothing."""
    number = page.number("number", 0, 1, 2**63 - 1)
    with page.stores.engine.begin() as connection:
        done = verdicts.resolve(connection, [number], page.who)
        if done:
            page.record(connection, Act.VERDICT_RESOLVED, str(number))
    page.parts.facts.renew()
    text = f"Verdict {number} is resolved." if done else f"There is no open verdict {number}."
    return page.redirect("/verification", text)


def _badge(snapshot: Snapshot) -> int:
    if snapshot.postgres is None:
        return 0
    return sum(snapshot.postgres.verification.count(kind) for kind in verdicts.BAD)


PAGE = Page(
    title="Verification",
    paths=(get("/verification", show), post("/verification/resolve", resolve)),
    badge=_badge,
)
