"""What is wrong with the data that applications send, and what to do about it."""

from __future__ import annotations

import re
import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta

from starlette.responses import Response

from trackrelay.configuration.console_values import Role
from trackrelay.worker.cli.status.snapshot import Snapshot
from trackrelay.worker.console.page import Page, get, post
from trackrelay.worker.console.page_request import BadRequestError, PageRequest
from trackrelay.worker.quality.all_rules import RULES
from trackrelay.worker.quality.rules import EXAMPLES, Finding, Severity
from trackrelay.worker.reasons import Act
from trackrelay.worker.storage import finding_records

#: Findings that are listed.
LIMIT = 200
#: The age of a check in seconds that the page mentions.
SHOWN_AGE_S = 15.0
TONES = {Severity.ERROR: "bad", Severity.WARNING: "warn", Severity.INFO: "dim"}
_JOB_ID = re.compile(r"\b([0-9A-HJKMNP-TV-Z]{26})\b")
#: For how long somebody can acknowledge a finding, and for how long the form proposes.
MAX_DAYS, PROPOSED_DAYS = 365, 30


def show(page: PageRequest) -> Response:
    """List what is wrong, the worst first."""
    now = time.time()
    latest = page.parts.data_check.current()
    with page.stores.engine.connect() as connection:
        check = latest.renewed(connection)
    reported = check.reported(now)
    shows_all = bool(page.param("all"))
    listed = check.findings if shows_all else reported
    today = datetime.fromtimestamp(now, UTC).date()
    return page.render(
        "quality.html",
        findings=[(each, check.records[each.key], _evidence(each)) for each in listed[:LIMIT]],
        counts=Counter(str(each.severity) for each in reported),
        left=len(listed) - LIMIT,
        hidden=len(check.findings) - len(reported),
        shows_all=shows_all,
        has_catalog=check.has_catalog,
        checked_at=check.at,
        is_old=now - check.at > SHOWN_AGE_S,
        tones=TONES,
        first_day=today + timedelta(days=1),
        last_day=today + timedelta(days=MAX_DAYS),
        proposed=today + timedelta(days=PROPOSED_DAYS),
        now_s=now,
    )


def _evidence(finding: Finding) -> list[list[str]]:
    """Return the lines of evidence, each as texts and ids of jobs in turn."""
    return [_JOB_ID.split(line.replace(EXAMPLES, "such as ")) for line in finding.evidence]


def acknowledge(page: PageRequest) -> Response:
    """Acknowledge a finding until the beginning of a day."""
    key, until = page.field("key", limit=5_000), page.field("until")
    now = datetime.now(UTC)
    try:
        day = date.fromisoformat(until)
    except ValueError:
        raise BadRequestError(f"until must be a day such as {now.date()}.") from None
    left = datetime(day.year, day.month, day.day, tzinfo=UTC) - now
    if not timedelta() < left <= timedelta(days=MAX_DAYS):
        raise BadRequestError(f"until must be a day within {MAX_DAYS} days from tomorrow on.")
    with page.stores.engine.begin() as connection:
        done = finding_records.acknowledge(connection, key, left, page.who)
        if done:
            page.record(connection, Act.FINDING_ACKNOWLEDGED, key, until=str(day))
    page.parts.facts.renew()
    text = f"{key[:200]} is acknowledged until {day}." if done else "This finding is not open."
    return page.redirect("/quality", text)


def _badge(snapshot: Snapshot) -> int:
    found = snapshot.postgres.findings if snapshot.postgres else {}
    return sum(
        number
        for rule, number in found.items()
        if rule not in RULES or RULES[rule].severity != Severity.INFO
    )


PAGE = Page(
    title="Quality",
    paths=(
        get("/quality", show),
        post("/quality/acknowledge", acknowledge, role=Role.OPERATE),
    ),
    badge=_badge,
)
