"""The console in a real browser (`make browser`): Chromium, scripts, and real stores."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.support import screenshots
from tests.support.browser import Browser
from tests.support.console_browser import XSS, ConsoleBrowser
from tests.support.fixtures.console_fixtures import PASSWORD
from tests.support.fixtures.dead_letter_fixtures import copy_letters
from tests.support.harness import Harness
from tests.support.picture_data import DataSeed
from tests.support.screenshots import GUIDE_PICTURES, SHOTS, WORDS, Photographer, Shot
from tests.support.waiting import patient, wait_until
from trackrelay.worker.console.console_server import console_server

pytestmark = pytest.mark.browser
AXE = (Path(__file__).parents[2] / "support" / "vendor" / "axe-4.14.1.min.js").read_text()
LOOKS = ((1280, "light"), (375, "dark"))
#: Pages that show no name.
WITHOUT_NAMES = {"sign-in", "sign-in-refused", "jobs", "replay", "not-found"}
#: Pages that the journeys show to axe.
SEEN_BY_AXE = {"job", "person", "dead-letters", "dead-letter", "repair", "replay"}
#: What a first visit may transfer.
MAX_BYTES, MAX_REQUESTS = 200_000, 12


class Site:
    """A console that is served, until it is stopped."""

    def __init__(self, visitor: ConsoleBrowser) -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        self._server = console_server(visitor.app)
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._server.serve(sockets=[listening])), daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(patient(20))


@pytest.fixture
def site(make_console: Callable[..., ConsoleBrowser]) -> Iterator[Site]:
    site = Site(make_console())
    yield site
    site.stop()


@pytest.fixture
def browser() -> Iterator[Browser]:
    with Browser() as browser:
        yield browser


@pytest.fixture
def see(browser: Browser) -> Callable[..., None]:
    """Take a picture into the folder that SCREENSHOTS names, if it does, and ask axe."""
    folder = os.environ.get("SCREENSHOTS")

    def look(name: str, *, ask_axe: bool = True) -> None:
        if folder:
            browser.screenshot(Path(folder) / f"{name}.png")
        if ask_axe:
            assert complaints(browser) == [], name
        width = browser.run("return document.documentElement.scrollWidth - window.innerWidth")
        assert width <= 0, f"{name} is {width} pixels too wide"

    return look


def complaints(browser: Browser) -> list[str]:
    """What axe finds that is serious."""
    browser.run(AXE)
    found: list[Any] = browser.run_async(
        "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'best-practice'],"
        " resultTypes: ['violations'], preload: false})"
        ".then((found) => arguments[arguments.length - 1](found.violations))"
    )
    return [
        f"{each['id']} ({each['impact']}): {each['nodes'][0]['html'][:200]}"
        for each in found
        if each["impact"] in ("serious", "critical", "moderate")
    ]


def sign_in(browser: Browser, site: Site, name: str, password: str = PASSWORD) -> None:
    browser.open(f"{site.url}/sign-in")
    browser.type("#name", name)
    browser.type("#password", password)
    browser.click(".sign-in button")


def test_an_operator_sees_an_outage_come_and_go_and_finds_a_job(
    refusing: Harness,
    letter: str,
    site: Site,
    browser: Browser,
    see: Callable[..., None],
) -> None:
    sign_in(browser, site, "ada", "wrong")
    browser.wait_for("or the password is wrong")
    see("1-sign-in", ask_axe=False)
    sign_in(browser, site, "ada")
    browser.wait_for("1 open dead letter")
    assert is_light(browser)
    see("2-overview", ask_axe=False)

    # The page stays open: nothing is loaded again.
    browser.run("window.stayed = true")
    with refusing.sandbox.outage():
        job = refusing.producer.track("42", XSS, {"total": 5})
        browser.wait_for("Customer.io does not answer as it should")
        assert browser.run("return document.title").startswith("✗ ")
        see("3-outage")
        browser.click("details summary")
    refusing.wait_delivered([job], timeout=60)
    wait_until(lambda: "does not answer as it should" not in browser.text, 30)
    assert browser.run("return window.stayed === true")
    assert browser.run("return document.querySelector('details').open")

    browser.follow("Jobs")
    browser.type("input[name=text]", job.lower())
    browser.click(".search button")
    browser.wait_for("What happened")
    browser.wait_for("Delivered")
    see("4-job")
    browser.open(f"{site.url}/jobs/{letter}?content=1")
    browser.wait_for("platinum")
    see("5-dead", ask_axe=False)
    browser.follow("Person")
    browser.type("input[name=who]", "42")
    browser.click(".search button")
    browser.wait_for("Where the two disagree")
    see("6-person")
    browser.follow("Activity")
    browser.wait_for("looked at the content of a job")
    see("7-activity", ask_axe=False)

    browser.follow("Overview")
    browser.wait_for("What to do")
    site.stop()
    browser.wait_for("Not live since")
    see("8-not-live")


def is_light(browser: Browser) -> bool:
    """Whether a first visit is small, and asks nobody else for anything."""
    entries: list[Any] = browser.run(
        "return performance.getEntriesByType('resource')"
        ".map((each) => [each.name, each.transferSize])"
    )
    here = str(browser.run("return location.origin"))
    assert [name for name, _ in entries if not name.startswith(here)] == []
    size = sum(size for _, size in entries)
    assert len(entries) <= MAX_REQUESTS, entries
    assert size <= MAX_BYTES, entries
    return True


def test_a_dead_letter_is_repaired_and_another_is_replayed_with_progress(
    refusing: Harness,
    letter: str,
    site: Site,
    browser: Browser,
    see: Callable[..., None],
) -> None:
    other = refusing.producer.track("43", "bought", {"plan": "platinum", "total": 6})
    refusing.wait_dead(other)
    sign_in(browser, site, "ada")
    browser.wait_for("What to do")
    browser.click("nav a[href='/dead-letters']")
    browser.wait_for(other)
    see("9-dead-letters")
    browser.click(f"a[href='/dead-letters/{letter}']")
    browser.wait_for("What to do")
    see("10-dead-letter")
    browser.follow("Repair and replay …")
    browser.wait_for("Document")
    browser.run(
        "const box = document.querySelector('textarea');"
        "box.value = box.value.replace('platinum', 'gold')"
    )
    browser.click("button[value=check]")
    browser.wait_for("It can be replayed like this")
    see("11-repair")
    browser.click("button[value=replay]")
    browser.wait_for("Repaired and replayed.")
    refusing.wait_delivered([letter])

    refusing.sandbox.clear_faults()
    replay_with_progress(refusing, other, browser, see)
    look_as_a_viewer(refusing, site, browser)


def replay_with_progress(
    refusing: Harness, other: str, browser: Browser, see: Callable[..., None]
) -> None:
    """Replay two thousand, one of which somebody else works on for a while."""
    with refusing.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM trackrelay_dead_letters WHERE state <> 'open'")
    copy_letters(refusing.engine, 2_000, "a copy")
    browser.click("nav a[href='/dead-letters']")
    browser.wait_for("2,001")
    # All filters are in the address: the page can be shared.
    browser.open(f"{browser.url}/ask?what=replay")
    browser.wait_for("2,001 would be replayed")
    see("12-ask")
    with refusing.engine.connect() as connection:
        locked = sa.text("SELECT FROM trackrelay_dead_letters WHERE job_id = :id FOR UPDATE")
        connection.execute(locked, {"id": f"{other[:22]}1400"})
        browser.click("form.search button")
        wait_until(
            lambda: re.search(r"\b[1-9][\d,]* of 2,001 …", browser.text),
            what=lambda: f"progress on the page, which reads:\n{browser.text}",
        )
        browser.run("window.stayed = true")
        see("13-run", ask_axe=False)
    browser.wait_for("Done.")
    assert "2,001 replayed" in browser.text
    assert browser.run("return window.stayed === true")
    see("14-done")
    refusing.wait_delivered([other])


def look_as_a_viewer(refusing: Harness, site: Site, browser: Browser) -> None:
    """See no button that replays, and no content; and be refused without the buttons too."""
    refusing.sandbox.add_fault(kind="reject", match={"contains": "platinum"}, message="again")
    dead = refusing.producer.track("44", "bought", {"plan": "platinum", "secret": "s3cret"})
    refusing.wait_dead(dead)
    browser.click(".who button")
    browser.wait_for("Password")
    sign_in(browser, site, "eve")
    browser.wait_for("What to do")
    allowed = {"Find", "Filter", "Dead letters", "Copy"}
    for path in ("/dead-letters", f"/dead-letters/{dead}", f"/jobs/{dead}", "/"):
        browser.open(site.url + path)
        browser.wait_for("eve")
        buttons: list[str] = browser.run(
            "return [...document.querySelectorAll('main button, main .button, main input"
            "[type=checkbox]')].map((each) => each.textContent.trim() || each.type)"
        )
        assert set(buttons) <= allowed, path
        assert "s3cret" not in browser.run("return document.documentElement.outerHTML")

    def status(path: str, **fields: str) -> int:
        return int(
            browser.run_async(
                "const [path, fields, done] = arguments;"
                "const headers = JSON.parse(document.body.getAttribute('hx-headers'));"
                "const body = fields && new URLSearchParams(fields);"
                "fetch(path, body && {method: 'POST', headers, body})"
                ".then((answer) => done(answer.status))",
                path,
                fields or None,
            )
        )

    assert status(f"/jobs/{dead}") == 200
    assert status(f"/jobs/{dead}?content=1") == 403
    assert status(f"/dead-letters/{dead}?content=1") == 403
    assert status(f"/dead-letters/ask?what=replay&ids={dead}") == 403
    assert status("/dead-letters/act", what="replay", ids=dead) == 403
    assert status(f"/dead-letters/{dead}/repair", document="{}", what="replay") == 403
    assert refusing.dead(dead).state == "open"


def test_foreign_text_stays_text_on_every_page_that_axe_and_the_guides_know(
    delivering: Harness, site: Site, browser: Browser
) -> None:
    pictured = DataSeed(delivering, XSS).fill()
    sign_in(browser, site, "ada")
    browser.wait_for("What to do")
    photographer = Photographer(browser, site.url, pictured)
    problems = [
        problem
        for number, shot in enumerate(SHOTS)
        # Each page once, half of them as on a phone at night.
        for problem in _problems(photographer, browser, shot, *LOOKS[number % len(LOOKS)])
    ]
    assert not problems, "\n".join(problems)

    png, _ = photographer.guide_picture(GUIDE_PICTURES[0])
    assert len(png) < screenshots.MAX_BYTES
    for title in ("Waiting", "Dead letters", "Findings", "Plan violations"):
        browser.open(site.url)
        browser.wait_for("What to do")
        path = browser.run(
            "return [...document.querySelectorAll('.tile a')]"
            ".find((each) => each.textContent === arguments[0]).pathname",
            title,
        )
        browser.click(f".tile a[href='{path}']")
        wait_until(lambda path=path: browser.url == site.url + path, what=path)


def _problems(
    photographer: Photographer, browser: Browser, shot: Shot, width: int, scheme: str
) -> Iterator[str]:
    photographer.open(shot, width, scheme)
    if shot.name not in WITHOUT_NAMES and XSS not in browser.text:
        yield f"{shot.name}: the canary is not there"
    if browser.run("return document.querySelectorAll('img[src=x], main script').length"):
        yield f"{shot.name}: the canary is an element"
    too_wide = browser.run("return document.documentElement.scrollWidth - innerWidth")
    if too_wide > 0:
        yield f"{shot.name}: {too_wide} pixels too wide"
    if shot.name not in SEEN_BY_AXE:
        yield from (f"{shot.name}: {each}" for each in complaints(browser))
    written = json.loads(WORDS.read_text())
    words = {word.replace(XSS, "") for word in photographer.words()}
    for guide in GUIDE_PICTURES:
        if guide.shot == shot.name and (other := words ^ set(written[guide.file])):
            # Make it anew: python -m tests.support.screenshots --docs
            yield f"{guide.file}: the page has, or the picture had, {sorted(other)}"
