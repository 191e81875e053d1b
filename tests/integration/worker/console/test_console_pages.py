"""What the pages of the console show, and what their forms do."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.support.command_line import CommandLine
from tests.support.console_browser import XSS, ConsoleBrowser
from tests.support.harness import Harness
from trackrelay.worker.console.pages import activity_page

Visit = Callable[[str], ConsoleBrowser]
EMAIL = "ada@example.com"


def is_text(page_body: str) -> bool:
    """Whether the page has the canary only as text."""
    return "<script>alert" not in page_body and "<img src=x" not in page_body


def test_the_overview_says_what_status_says(
    refusing: Harness, letter: str, console: Visit, run: CommandLine
) -> None:
    ada = console("ada")
    page = ada.get("/")
    status = run("status", "--json").json
    start = status["summary"].partition(":")[0]
    assert start in page.text
    assert "1 open dead letter" in page.text
    assert 'class="verdict good"' not in page.body
    assert page.header("content-type") == "text/html; charset=utf-8"
    shown = ada.get("/charts/flow?show=delivered")
    assert shown.status == 200
    assert len(shown.body) > 100
    assert ada.get("/charts/flow?show=x").status == 404
    assert ada.get("/charts/flow?range=x").status == 400
    for span in ("days", "month"):
        assert ada.get(f"/?range={span}").status == 200


def test_a_store_that_is_away_is_not_known_and_never_green(
    harness: Harness, console: Visit, make_console: Callable[..., ConsoleBrowser]
) -> None:
    from trackrelay.worker.settings import load

    for name, away in (
        ("TRACKRELAY_REDIS_URL", "redis://127.0.0.1:1/0"),
        ("TRACKRELAY_DATABASE_URL", "postgresql://127.0.0.1:1/x"),
    ):
        visitor = make_console(settings=load({**harness.settings, name: away}))
        users = visitor.app.state.parts.console_settings
        page = visitor.sign_in(users.user("ada")).get("/")
        assert page.status == 200
        assert 'class="verdict bad"' in page.body
        assert "not known" in page.text.lower()
        assert 'class="chip good"' not in page.body
        if "DATABASE" in name:
            jobs = visitor.get("/jobs?text=42")
            assert "Postgres" in jobs.text
            assert "No trace" not in jobs.text
            assert visitor.get("/activity").status == 503


def test_pausing_resuming_and_probing_are_done_and_recorded(
    harness: Harness, console: Visit, run: CommandLine
) -> None:
    ada = console("ada")
    assert ada.post("/delivery/pause", shards="1 3").location == "/"
    page = ada.get("/")
    assert "Paused: 2 shards." in page.text
    assert "Paused: shard 1 and 3" in page.text
    assert "Paused: 2 shards." not in ada.get("/").text
    assert ada.post("/delivery/pause", shards="99").status == 400
    assert ada.post("/delivery/pause", shards="-1").status == 400
    ada.post("/delivery/resume")
    ada.post("/delivery/probe")
    ada.post("/incidents/acknowledge", number="7")
    assert run("pause", "--no-wait").code == 0
    rows = harness.rows("SELECT author, origin, act, subject FROM trackrelay_acts ORDER BY id")
    assert [(row.origin, row.act) for row in rows] == [
        ("console", "delivery_paused"),
        ("console", "delivery_resumed"),
        ("command", "delivery_paused"),
    ]
    assert rows[0].author == "ada"
    assert rows[0].subject == "shards 1 and 3"
    activity = console("eve").get("/activity")
    assert "paused delivery" in activity.text
    assert "shards 0, 1, 2 and 3" in activity.text
    only = console("eve").get("/activity?author=ada&act=delivery_resumed").text
    assert "resumed delivery shards 0" in only
    assert "shards 1 and 3" not in only


def test_a_history_is_listed_in_parts(
    harness: Harness, console: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trackrelay.worker.reasons import Act
    from trackrelay.worker.storage import acts

    monkeypatch.setattr(activity_page, "LIMIT", 3)
    with harness.engine.begin() as connection:
        for number in range(10):
            author = acts.Author(XSS if number == 9 else "ada", "command")
            acts.record(connection, author, Act.LETTERS_REPLAYED, f"part {number}.", {"jobs": 3})
    eve, seen, path = console("eve"), [], "/activity"
    while path and len(seen) < 20:
        page = eve.get(path)
        assert is_text(page.body)
        seen += re.findall(r"part (\d+)\.", page.text)
        older = re.search(r'href="([^"]+)" rel="next"', page.body)
        path = older[1].replace("&amp;", "&") if older else ""
    assert seen == [str(number) for number in reversed(range(10))]


def test_a_job_is_found_and_its_history_is_shown_without_content(
    refusing: Harness, console: Visit
) -> None:
    refusing.sandbox.clear_faults()
    refusing.sandbox.add_fault(
        kind="reject", match={"contains": '"plan":"platinum"'}, field=XSS[:50], message=XSS
    )
    dead = refusing.producer.track("42", XSS, {"plan": "platinum", "x": XSS}, idempotency_key=XSS)
    refusing.wait_dead(dead)
    sent = refusing.producer.identify("42", {"email": EMAIL})
    refusing.wait_delivered([sent])
    eve, vera = console("eve"), console("vera")

    assert eve.post("/jobs", text=dead.lower()).location == f"/jobs/{dead}"
    assert eve.post("/jobs", text="id:42").location == "/jobs?key=id%3A42"
    assert eve.post("/jobs", text=XSS).location.startswith("/jobs?text=")
    hidden = eve.post("/jobs", text=EMAIL).location
    assert "ada" not in hidden
    assert re.fullmatch(r"/jobs\?key=email%3A%23[0-9a-f]{24}", hidden)
    assert eve.get(hidden).status == 200
    assert eve.get("/jobs?key=email:ada@example.com").status in (200, 400)
    assert eve.get("/jobs?text=ada@example.com").status == 400

    found = eve.get("/jobs?key=id:42")
    assert dead in found.text
    assert sent in found.text
    assert is_text(found.body)
    story = eve.get(f"/jobs/{dead}")
    steps = [story.text.index(word) for word in ("Enqueued", "Rejected", "Dead letter: rejected")]
    assert steps == sorted(steps)
    assert XSS in story.text
    assert is_text(story.body)
    assert "platinum" not in story.text
    assert eve.get(f"/jobs/{dead}?content=1").status == 403
    content = vera.get(f"/jobs/{dead}?content=1")
    assert "platinum" in content.text
    assert is_text(content.body)
    (act,) = refusing.rows("SELECT author, act, subject FROM trackrelay_acts")
    assert (act.author, act.act, act.subject) == ("vera", "payload_seen", dead)

    delivered = eve.get(f"/jobs/{sent}")
    assert "Customer.io accepted it." in delivered.text
    assert "Not known whether it was applied" in delivered.text
    unknown = eve.get("/jobs/01ARZ3NDEKTSV4RRFFQ69G5FAV")
    assert (unknown.status, "no trace" in unknown.text.lower()) == (404, True)


def test_a_person_is_shown_on_both_sides_to_those_who_may(
    refusing: Harness, console: Visit
) -> None:
    refusing.wait_delivered(
        [refusing.producer.identify("42", {"email": EMAIL, "note": XSS, "plan": "pro"})]
    )
    eve, vera = console("eve"), console("vera")
    assert eve.post("/person", who="42").location == "/person?who=id%3A42"
    ours = eve.get("/person?who=id:42")
    assert "person.identify" in ours.text
    assert "Asking Customer.io" in ours.text
    assert eve.get(f"/person?who={EMAIL}").status == 400
    by_email = vera.post("/person", who=EMAIL)
    assert (by_email.status, EMAIL in by_email.text) == (200, True)
    assert EMAIL not in eve.post("/person", who=EMAIL).text

    seen = vera.send(
        "POST",
        "/person/customerio",
        {"csrf": vera.csrf, "who": "id:42"},
        headers={"hx-request": "true"},
    )
    assert "has the profile" in seen.text
    assert "No disagreement found." in seen.text
    assert XSS in seen.text
    assert is_text(seen.body)
    assert "<html" not in seen.body
    hidden = eve.post("/person/customerio", who="id:42")
    assert "has the profile" in hidden.text
    assert "needs the role view_payloads" in hidden.text
    assert EMAIL not in hidden.body
    assert XSS not in hidden.text
    assert eve.post("/person/customerio", who="nobody").status == 200
    acts = refusing.rows("SELECT author, act, subject FROM trackrelay_acts ORDER BY id")
    assert [(row.author, row.subject) for row in acts][:2] == [("vera", "id:42"), ("eve", "id:42")]
    assert eve.post("/person", who="").status == 400


def test_a_part_of_a_page_renews_itself_by_a_stream_or_when_asked(console: Visit) -> None:
    eve = console("eve")
    streamed = eve.get("/live/overview")
    assert streamed.header("content-type") == "text/event-stream; charset=utf-8"
    assert streamed.body.startswith("event: part\ndata: ")
    assert 'id="verdict"' in streamed.body
    once = eve.get("/live/overview?once=1")
    assert once.header("content-type") == "text/html; charset=utf-8"
    assert 'id="tables"' in once.body
    ids = re.findall(r'<(?:div|ul) id="([\w-]+)"', once.body)
    assert ids == ["verdict", "what-to-do", "tiles", "tables"]
    assert all(f'id="{each}"' in eve.get("/").body for each in ids)


def test_machines_get_metrics_with_a_password_and_probes_without(
    make_console: Callable[..., ConsoleBrowser],
) -> None:
    from base64 import b64encode

    from tests.support.fixtures.console_fixtures import PASSWORD

    machine = make_console()
    assert machine.get("/healthz").body == "ok\n"
    assert machine.get("/readyz").body == "ready\n"
    assert machine.get("/metrics").status == 401
    for text, status in ((f"eve:{PASSWORD}", 200), ("eve:wrong", 401), ("nobody:", 401)):
        given = "Basic " + b64encode(text.encode()).decode()
        assert machine.get("/metrics", authorization=given).status == status
    assert machine.get("/metrics", authorization="Basic ???").status == 400
