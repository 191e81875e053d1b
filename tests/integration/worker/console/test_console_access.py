"""Who gets into the console, and what they may do there."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.support.console_browser import HOST, ConsoleBrowser
from tests.support.fixtures.console_fixtures import PASSWORD
from tests.support.harness import Harness
from trackrelay.worker.console import sign_in_limits
from trackrelay.worker.console.console_settings import load_console_settings
from trackrelay.worker.console.identity import OneTimeLink
from trackrelay.worker.console.page import Path
from trackrelay.worker.console.page_table import PAGES
from trackrelay.worker.console.security_headers import HEADERS

Make = Callable[..., ConsoleBrowser]
Visit = Callable[[str], ConsoleBrowser]
PATHS = [path for page in PAGES for path in page.paths]


def address(path: Path) -> str:
    return re.sub(r"\{(\w+)\}", "01ARZ3NDEKTSV4RRFFQ69G5FAV", path.path)


def method(path: Path) -> str:
    return "POST" if path.kind == "post" else "GET"


def test_nobody_gets_in_without_a_session(make_console: Make) -> None:
    stranger = make_console()
    for path in PATHS:
        page = stranger.send(method(path), address(path), {} if path.kind == "post" else None)
        assert page.status == 303, path
        assert page.location.startswith("/sign-in"), path
        assert page.text == "", path
    assert stranger.get("/nothing-here").status == 404


def test_a_form_is_taken_only_from_a_page_of_this_console(console: Visit, harness: Harness) -> None:
    ada, eve = console("ada"), console("eve")
    token = ada.csrf
    for path in PATHS:
        if path.kind == "post":
            for fields, headers in (
                ({}, {}),
                ({"csrf": "guessed"}, {}),
                ({"csrf": eve.csrf}, {}),
                ({"csrf": token}, {"sec_fetch_site": "cross-site"}),
                ({"csrf": token}, {"origin": "https://evil.test"}),
            ):
                page = ada.send("POST", address(path), fields, headers=headers)
                assert page.status == 403, (path, fields, headers)
    assert harness.rows("SELECT * FROM trackrelay_acts") == []
    assert harness.rows("SELECT * FROM trackrelay_shards WHERE paused_at IS NOT NULL") == []
    kept = ada.send(
        "POST", "/delivery/pause", {"csrf": token}, headers={"origin": f"http://{HOST}"}
    )
    assert kept.status == 303


def test_a_role_is_needed_for_what_changes_something_and_for_content(
    console: Visit, harness: Harness
) -> None:
    eve, vera = console("eve"), console("vera")
    for path in PATHS:
        for visitor in (eve, vera):
            fields = {"csrf": visitor.csrf} if path.kind == "post" else None
            page = visitor.send(method(path), address(path), fields)
            allowed = path.role in visitor_roles(visitor)
            assert (page.status == 403) is not allowed, (path, page.text)
    assert harness.rows("SELECT * FROM trackrelay_shards WHERE paused_at IS NOT NULL") == []
    assert "Pause delivery" not in eve.get("/").text
    assert "Pause delivery" in console("ada").get("/").text


def visitor_roles(visitor: ConsoleBrowser) -> frozenset[object]:
    name = re.search(r'<span title="[^"]*">(\w+)</span>', visitor.get("/jobs").body)
    assert name
    found = visitor.app.state.parts.console_settings.user(name[1])
    return frozenset(found.roles)


def test_a_password_signs_in_and_leads_to_the_page_that_was_asked_for(
    make_console: Make, harness: Harness
) -> None:
    visitor = make_console()
    asked = visitor.get("/jobs?key=id:42")
    assert asked.location == "/sign-in?next=%2Fjobs%3Fkey%3Did%3A42"
    wrong = visitor.send("POST", "/sign-in", {"name": "ada", "password": "wrong"})
    assert (wrong.status, "or the password is wrong" in wrong.text) == (403, True)
    right = visitor.send(
        "POST", "/sign-in", {"name": "ada", "password": PASSWORD, "next": "/jobs?key=id:42"}
    )
    assert (right.status, right.location) == (303, "/jobs?key=id:42")
    cookie = right.set_cookies["trackrelay_session"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert PASSWORD not in str(right)
    assert visitor.get("/").status == 200
    (act,) = harness.rows("SELECT author, act FROM trackrelay_acts")
    assert (act.author, act.act) == ("ada", "signed_in")
    assert visitor.send("POST", "/sign-out", {}).location == "/sign-in"
    assert visitor.get("/").status == 200
    visitor.post("/sign-out")
    assert visitor.get("/").status == 303


@pytest.mark.parametrize("redis_counts", [True, False])
def test_the_eleventh_wrong_password_is_not_checked(
    make_console: Make,
    harness: Harness,
    monkeypatch: pytest.MonkeyPatch,
    redis_counts: bool,
) -> None:
    if not redis_counts:
        harness.redis.config_set("maxmemory", "1")
    first, second = make_console(), make_console()
    visitors = [first, second] if redis_counts else [first, first]
    for attempt in range(sign_in_limits.MAX_ATTEMPTS):
        page = visitors[attempt % 2].send("POST", "/sign-in", {"name": "ada", "password": "no"})
        assert page.status == 403
    refused = visitors[1].send("POST", "/sign-in", {"name": "ada", "password": PASSWORD})
    assert refused.status == 429
    assert "Too many attempts. Try again in" in refused.text
    assert int(refused.header("retry-after") or 0) > 0
    # Nobody else is locked out: neither another name nor another place.
    other = visitors[1].send("POST", "/sign-in", {"name": "vera", "password": PASSWORD})
    assert other.status == 303
    first.address = "203.0.113.1"
    assert first.send("POST", "/sign-in", {"name": "ada", "password": PASSWORD}).status == 303
    assert not list(harness.redis.scan_iter("*ada*"))


def test_a_link_signs_in_the_user_who_started_the_console(make_console: Make) -> None:
    link = OneTimeLink("root@web-1")
    options = {"console_settings": load_console_settings({}), "link": link}
    visitor = make_console(**options)
    assert "trackrelay console" in visitor.get("/sign-in").text
    assert visitor.get("/sign-in?token=guessed").status == 403
    assert visitor.get("/").status == 303
    assert visitor.get(f"/sign-in?token={link.token}").location == "/"
    assert "root@web-1" in visitor.get("/").text
    password = visitor.send("POST", "/sign-in", {"name": "root@web-1", "password": link.token})
    assert password.status == 403


def test_a_proxy_signs_in_from_its_own_address_only(make_console: Make) -> None:
    settings = load_console_settings(
        {
            "TRACKRELAY_CONSOLE_USERS": "ada:operate *:view",
            "TRACKRELAY_CONSOLE_PROXY_HEADER": "X-User",
            "TRACKRELAY_CONSOLE_PROXY_ADDRESSES": "10.0.0.0/8",
        }
    )
    visitor = make_console(console_settings=settings)
    visitor.headers["x-user"] = "ada"
    assert visitor.get("/").status == 303
    visitor.address = "10.1.1.1"
    assert "Pause delivery" in visitor.get("/").text
    assert visitor.post("/delivery/pause").status == 303
    visitor.headers["x-user"] = "mallory"
    assert "Pause delivery" not in visitor.get("/").text
    assert visitor.post("/delivery/resume").status == 403
    assert visitor.send("POST", "/sign-in", {"name": "ada", "password": PASSWORD}).status == 403


def test_every_answer_forbids_scripts_frames_and_caches(console: Visit) -> None:
    ada = console("ada")
    for path in ("/", "/jobs", "/nothing", "/sign-in", "/live/overview?once=1"):
        page = ada.get(path)
        for name, value in HEADERS.items():
            assert page.header(name) == value, path
        assert page.header("cache-control") == "no-store", path
        assert not re.search(r"<script(?! src=)|\son\w+=|\sstyle=|javascript:", page.body), path
    style = re.search(r'href="(/static/[^"]+console\.css)"', ada.get("/").body)
    assert style
    assert "immutable" in (ada.get(style[1]).header("cache-control") or "")
    assert ada.get("/static/old/console.css").location == style[1]
    for outside in ("/static/x/../page.py", "/static/x/%2e%2e/page.py", "/static/x/nothing"):
        assert ada.get(outside).status == 404


def test_below_a_path_every_address_begins_with_it(make_console: Make) -> None:
    visitor = make_console(root_path="/ops")
    settings = visitor.app.state.parts.console_settings
    assert visitor.get("/jobs").location == "/ops/sign-in?next=%2Fjobs"
    ada = visitor.sign_in(settings.user("ada"))
    for path in ("/", "/jobs?key=id:42", "/person", "/activity"):
        page = ada.get(path)
        assert page.status == 200
        found = re.findall(r'(?:href|src|action|data-live|data-chart)="([^"]+)"', page.body)
        assert found
        assert [each for each in found if not each.startswith(("/ops/", "#"))] == []
    assert ada.post("/delivery/pause").location == "/ops/"


def test_a_form_that_is_too_large_or_no_form_is_refused_with_a_message(console: Visit) -> None:
    ada = console("ada")
    large = ada.send("POST", "/delivery/pause", body=b"x=" + b"y" * 2_100_000)
    assert (large.status, "too large" in large.text) == (413, True)
    odd = ada.send(
        "POST", "/delivery/pause", body=b"{}", headers={"content-type": "application/json"}
    )
    assert (odd.status, "cannot be read" in odd.text) == (400, True)
    leave = ada.send("POST", "/sign-out", body=b"{}", headers={"content-type": "text/plain"})
    assert (leave.status, ada.get("/").status) == (303, 200)
    assert ada.get("/jobs?key=%00").status == 400
    assert ada.get("/jobs/%00").status == 400
    assert ada.get("/jobs?limit=-1").status == 400
    assert ada.get("/activity?before=" + "9" * 30).status == 400
