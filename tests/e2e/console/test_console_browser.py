"""The console in a real browser (`make browser`): Chromium, scripts, and real stores."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import Browser
from tests.support.console_browser import XSS, ConsoleBrowser
from tests.support.fixtures.console_fixtures import PASSWORD
from tests.support.harness import Harness
from tests.support.waiting import patient, wait_until
from trackrelay.worker.console.console_server import console_server

pytestmark = pytest.mark.browser
AXE = (Path(__file__).parents[2] / "support" / "vendor" / "axe-4.14.1.min.js").read_text()
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
        "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'best-practice']})"
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
    browser.wait_for("do not belong together")
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
    browser.follow("Dead letters")
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
    browser.open(f"{site.url}/dead-letters/ask?what=replay&ids={other}")
    browser.wait_for("1 would be replayed")
    see("12-ask")
    browser.click("form.search button")
    browser.wait_for("Done.")
    see("13-run")
    refusing.wait_delivered([other])
