"""The console's pages about data: findings, the backlog, verdicts, the catalog and the plan."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.console_browser import XSS, ConsoleBrowser
from tests.support.harness import Harness
from tests.support.retention_traffic import NOW, Call
from tests.support.waiting import wait_until
from trackrelay.plan.plan_loader import parse_plan
from trackrelay.worker.console.pages import backlog_page
from trackrelay.worker.quality.catalog_observer import OBSERVED, CatalogObserver
from trackrelay.worker.reasons import VerdictKind
from trackrelay.worker.settings import load
from trackrelay.worker.storage import catalog_rows, plan_violations, plans, verdicts
from trackrelay.worker.storage.plan_violations import ViolationCount
from trackrelay.worker.storage.plans import NewPlan
from trackrelay.worker.storage.verdicts import NewVerdict

Visit = Callable[[str], ConsoleBrowser]
JOB = "01HB4HBDKTFWYZCK01DMRSWRFD"
PAGES = ("/quality", "/backlog", "/verification", "/catalog", "/plan")


def observe(harness: Harness) -> None:
    """Fill the catalog: the total of an event with a hostile name has two types."""
    observer = CatalogObserver(
        lambda observations: catalog_rows.add(harness.engine, observations, OBSERVED)
    )
    calls = [Call(XSS, "person.event", XSS, {"total": total}) for total in [12.5] * 29 + ["12.50"]]
    observer.note([call.job() for call in calls], NOW)
    observer.flush()


def check_is_text(body: str) -> None:
    """Check that the canary is on the page, and only as text."""
    assert "&lt;script&gt;alert" in body
    assert "<script>alert" not in body
    assert "<img src=x" not in body


def test_pages_without_data_say_so_and_are_never_green_without_a_store(
    harness: Harness, console: Visit, make_console: Callable[..., ConsoleBrowser]
) -> None:
    eve = console("eve")
    texts = [
        "Nothing was observed yet",
        "The backlog is empty.",
        "No verdict is open.",
        "Nothing was observed yet",
        "No plan was ever applied",
    ]
    for path, text in zip(PAGES, texts, strict=True):
        page = eve.get(path)
        assert (page.status, text in page.text) == (200, True), page.text
        assert 'class="chip good"' not in page.body
    for name, away in (
        ("TRACKRELAY_REDIS_URL", "redis://127.0.0.1:1/0"),
        ("TRACKRELAY_DATABASE_URL", "postgresql://127.0.0.1:1/x"),
    ):
        visitor = make_console(settings=load({**harness.settings, name: away}))
        visitor.sign_in(visitor.app.state.parts.console_settings.user("eve"))
        for path in PAGES:
            page = visitor.get(path)
            assert page.status == (503 if "DATABASE" in name or path == "/quality" else 200), path
            assert 'class="chip good"' not in page.body
            if page.status == 503:
                assert "No finding" not in page.text
                assert "is empty" not in page.text


def test_a_finding_is_explained_and_acknowledged_by_those_who_may(
    harness: Harness, console: Visit
) -> None:
    observe(harness)
    ada, eve = console("ada"), console("eve")
    seen = eve.get("/quality")
    check_is_text(seen.body)
    for part in ("Q101 error", "one attribute, several types", "matches only the people"):
        assert part in seen.text
    assert "Acknowledge" not in seen.text
    key = f"Q101 {XSS}.total"
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    assert eve.post("/quality/acknowledge", key=key, until=tomorrow).status == 403
    for until in ("", "soon", "2020-01-01", str(tomorrow + timedelta(days=400))):
        assert ada.post("/quality/acknowledge", key=key, until=until).status == 400
    assert harness.rows("SELECT * FROM trackrelay_acts") == []

    assert ada.post("/quality/acknowledge", key=key, until=tomorrow).location == "/quality"
    page = ada.get("/quality")
    check_is_text(page.body)
    assert f"is acknowledged until {tomorrow}" in page.text
    assert "Q101" not in ada.get("/quality").text
    everything = ada.get("/quality?all=1").text
    assert re.search(rf"Acknowledged until {tomorrow}.* by ada \(console\)", everything)
    (act,) = harness.rows("SELECT author, act, subject FROM trackrelay_acts")
    assert (act.author, act.act, act.subject) == ("ada", "finding_acknowledged", key)
    ada.post("/quality/acknowledge", key="Q101 nothing", until=tomorrow)
    assert "This finding is not open." in ada.get("/quality").text


def test_jobs_that_wait_are_listed_with_their_reasons(
    refusing: Harness, console: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    with refusing.sandbox.outage():
        first = refusing.producer.track("42", XSS, {"total": 5})
        second = refusing.producer.track("42", "order_placed", {"total": 5})
        refusing.wait_waiting(first)
        refusing.wait_waiting(second)
        eve = console("eve")
        page = eve.get("/backlog")
        check_is_text(page.body)
        assert page.text.index(first) < page.text.index(second)
        assert "2 jobs" in page.text
        assert "failed its request failed; it is tried again" in page.text
        assert "after an earlier job of its key" in page.text
        one = eve.get("/backlog?name=order_placed")
        assert (second in one.text, first in one.text) == (True, False)
        assert first not in eve.get("/backlog?limit=1&reason=replayed").text
        more = eve.get("/backlog?limit=1").text
        assert "The oldest 1 are shown. Show up to 500" in more
        assert second not in more
        assert eve.get("/backlog?limit=501").status == 400

        # A large backlog is not counted for each viewer, and not searched for longer than a moment.
        monkeypatch.setattr(backlog_page, "MANY", 1)
        visitor = console("vera")
        page = wait_until(
            lambda: (found := visitor.get("/backlog")) and "2 jobs" in found.text and found,
            30,
            "the console to know both jobs",
        )
        assert "the first of each key, the oldest first" in page.text
        assert (first in page.text, second in page.text) == (True, False)
        assert first in visitor.get("/backlog?reason=failed").text
        assert "No job matches." in visitor.get("/backlog?reason=replayed").text
        assert second in visitor.get("/backlog?name=order_placed").text
        with refusing.engine.begin() as connection:
            connection.exec_driver_sql("LOCK TABLE trackrelay_backlog IN ACCESS EXCLUSIVE MODE")
            assert "Too many jobs wait" in visitor.get("/backlog?name=order_placed").text
    refusing.wait_delivered([first, second], timeout=60)


def test_verdicts_are_listed_by_kind_and_resolved_by_those_who_may(
    harness: Harness, console: Visit
) -> None:
    with harness.engine.begin() as connection:
        for kind, key in (("missing", "id:42"), ("unknown", "id:43")):
            verdict = NewVerdict(
                job_id=JOB,
                key=key,
                operation="person.identify",
                item=f"attribute:{XSS}",
                verdict=VerdictKind(kind),
                reason=XSS,
            )
            number = verdicts.record(connection, verdict)
    ada, eve = console("ada"), console("eve")
    page = eve.get("/verification")
    check_is_text(page.body)
    assert "id:42" in page.text
    assert "Resolve" not in page.text
    assert "id:42" not in eve.get("/verification?kind=unknown").text
    assert "id:42" not in eve.get("/verification?key=id:43").text
    assert eve.post("/verification/resolve", number=number).status == 403
    assert ada.post("/verification/resolve", number=number).location == "/verification"
    assert "id:43" not in eve.get("/verification").text
    assert "resolved: ada (console)" in eve.get("/verification?all=1").text
    assert ada.post("/verification/resolve", number="x").status == 400
    (act,) = harness.rows("SELECT author, act, subject FROM trackrelay_acts")
    assert (act.author, act.act, act.subject) == ("ada", "verdict_resolved", str(number))


def violation(**values: Any) -> ViolationCount:
    """A violation of the plan's first version."""
    given = {"kind": "type", "action": "dead_letter", "expected": "a number", "actual": XSS}
    names = {"version": 1, "source": "web", "subject": XSS, "path": "total", "count": 7}
    return ViolationCount(jobs=(JOB,), **(names | given | values))


def test_the_catalog_shows_types_presence_and_days_of_a_name(
    harness: Harness, console: Visit
) -> None:
    observe(harness)
    eve = console("eve")
    page = eve.get("/catalog")
    check_is_text(page.body)
    assert "1 name, 30 jobs observed" in page.text
    assert "Nothing matches." in eve.get("/catalog?text=nothing").text
    link = re.search(r'href="(/catalog\?name=[^"]+)"', page.body)
    assert link
    details = eve.get(link[1].replace("&amp;", "&"))
    check_is_text(details.body)
    assert "number 96.67 %, number in a string 3.33 %" in details.text
    assert 'class="fold warn" data-label="types"' in details.body
    assert f"{datetime.now(UTC).date()} 30" in details.text
    assert 'aria-label="jobs by day: 0, ' in details.body
    assert "12.5" not in details.text
    assert "Nothing of that name" in eve.get("/catalog?name=nothing").text


def test_the_plan_shows_what_does_not_keep_to_it(harness: Harness, console: Visit) -> None:
    observe(harness)
    text = "plan: 1\nname: shop\nadditional_events: false\nevents:\n  order_placed: {}\n"
    plan = parse_plan(text)
    with harness.engine.begin() as connection:
        new = NewPlan(XSS, plan.text, plan.digest)
        assert plans.apply(connection, new, timedelta(0), XSS) == 1
    eve = console("eve")
    assert "No job has violated it" in eve.get("/plan").text
    plan_violations.add(harness.engine, [violation()])
    page = eve.get("/plan")
    check_is_text(page.body)
    for part in (f"7 × {XSS} from web; expected a number", "dead letter", "no application sends"):
        assert part in page.text
    assert f"/catalog?name={quote(XSS, safe='')}" in page.body
    assert f'href="/jobs/{JOB}"' in eve.get("/quality").body

    unreadable = violation(subject="web-1", path="", kind="unreadable", action="", actual="too new")
    with harness.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM trackrelay_plan_violations")
        connection.exec_driver_sql("UPDATE trackrelay_plans SET text = 'plan: 99'")
    plan_violations.add(harness.engine, [unreadable])
    broken = eve.get("/plan").text
    assert "The plan cannot be read here" in broken
    assert "A worker on web-1 cannot read version 1: too new" in broken
    assert "No job has violated it" not in broken
    assert "keeps to the plan" not in broken
    with harness.engine.begin() as connection:
        plans.withdraw(connection)
    assert "No plan is in force" in eve.get("/plan").text
