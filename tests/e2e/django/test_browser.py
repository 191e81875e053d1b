"""The admin in a real browser (`make browser`): Chromium, styles, scripts, and real stores."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.db import connections
from django.test import Client
from django.test.testcases import LiveServerThread

from tests.support.browser import Browser
from tests.support.harness import Harness
from tests.support.waiting import patient, wait_until

pytestmark = pytest.mark.browser


@pytest.fixture
def site(admin_project: None) -> Iterator[str]:
    """The project's address."""
    server = LiveServerThread("127.0.0.1", StaticFilesHandler)
    server.daemon = True
    server.start()
    server.is_ready.wait(patient(20))
    if server.error:
        raise server.error
    yield f"http://127.0.0.1:{server.port}"
    server.terminate()
    connections.close_all()


@pytest.fixture
def browser() -> Iterator[Browser]:
    with Browser() as browser:
        yield browser


@pytest.fixture
def looker(log_in: Callable[..., Client]) -> Client:
    """A user with the permission to view."""
    return log_in("view")


@pytest.fixture
def see(browser: Browser, tmp_path: Path) -> Callable[[str], None]:
    """Takes a picture, into the folder that SCREENSHOTS names."""
    folder = Path(os.environ.get("SCREENSHOTS", tmp_path))
    return lambda name: browser.screenshot(folder / f"{name}.png")


def fits(browser: Browser) -> bool:
    """Whether nothing of the page, or of its list, is beyond the right edge of the window."""
    return bool(
        browser.run(
            "const list = document.querySelector('.results');"
            "return document.documentElement.scrollWidth <= window.innerWidth"
            " && list.scrollWidth <= list.clientWidth"
        )
    )


def log_in(browser: Browser, site: str) -> None:
    browser.open(f"{site}/admin/")
    browser.type("#id_username", "ada")
    browser.type("#id_password", "secret")
    browser.click("input[type=submit]")
    # The index is on its way until then, and would replace a page that is opened next.
    browser.wait_for("LOG OUT")


def test_a_dead_letter_is_found_repaired_replayed_and_delivered(
    refusing: Harness,
    letter: str,
    admin: Client,
    site: str,
    browser: Browser,
    see: Callable[[str], None],
) -> None:
    for number in range(3):
        refusing.wait_dead(refusing.producer.add_device(str(number), "token", "ios"))
    log_in(browser, site)
    see("1-index")
    browser.follow("Dead letters")
    see("2-list")
    assert fits(browser)
    browser.type("#searchbar", "id:42")
    browser.click("#changelist-search input[type=submit]")
    browser.wait_for(letter)
    assert "add_device" not in browser.run(
        "return document.querySelector('#result_list').innerText"
    )
    browser.click(f"#result_list a[href*='{letter}']")
    browser.wait_for("platinum")
    see("3-letter")
    browser.follow("REPAIR AND REPLAY")  # as it is seen
    document = json.loads(browser.run("return document.querySelector('#id_document').value"))
    see("4-repair")

    document["attributes"]["plan"] = "x" * 100_001
    browser.run(
        "document.querySelector('#id_document').value = arguments[0]",
        json.dumps(document, indent=2)[:200],
    )
    browser.click("input[name=check]")
    browser.wait_for("This is not JSON")
    see("5-refused")

    document["attributes"]["plan"] = "pro"
    browser.run(
        "document.querySelector('#id_document').value = arguments[0]",
        json.dumps(document, indent=2),
    )
    browser.click("input[name=check]")
    browser.wait_for('attributes.plan: "platinum" → "pro"')
    see("6-checked")
    browser.type("#id_note", "a typo of the import")
    browser.click("input[name=replay]")
    browser.wait_for("Repaired and replayed")

    refusing.wait_delivered([letter])
    wait_until(lambda: refusing.dead(letter).state == "delivered")
    browser.open(browser.url)
    browser.wait_for("delivered")
    browser.wait_for("a typo of the import")
    see("7-delivered")
    assert refusing.effects("id:42")[0]["attributes"]["plan"] == "pro"


def test_several_are_chosen_and_replayed_after_a_look(
    refusing: Harness,
    letter: str,
    admin: Client,
    site: str,
    browser: Browser,
    see: Callable[[str], None],
) -> None:
    device = refusing.producer.add_device("42", "token", "ios")
    refusing.wait_dead(device)
    refusing.wait_delivered([refusing.producer.identify("42", {"plan": "pro"})])
    refusing.sandbox.clear_faults()
    log_in(browser, site)
    browser.open(f"{site}/admin/trackrelay_ops/deadletter/")
    browser.click("#action-toggle")
    browser.run("document.querySelector('select[name=action]').value = 'replay'")
    browser.click("button[name=index]")
    browser.wait_for("it would overwrite newer data")
    see("8-confirm")
    browser.click(".submit-row input[type=submit]")
    browser.wait_for("1 dead letter replayed")
    see("9-replayed")
    refusing.wait_delivered([letter])


def test_a_user_without_permission_can_only_view(
    refusing: Harness,
    letter: str,
    looker: Client,
    site: str,
    browser: Browser,
    see: Callable[[str], None],
) -> None:
    log_in(browser, site)
    browser.open(f"{site}/admin/trackrelay_ops/deadletter/{letter}/change/")
    browser.wait_for("platinum")
    assert "REPLAY" not in browser.text
    see("10-only-looking")
    browser.open(f"{site}/admin/trackrelay_ops/deadletter/{letter}/repair/")
    browser.wait_for("403")
    assert refusing.dead(letter).state == "open"


def test_the_backlog_is_shown(
    harness: Harness,
    delivering: Harness,
    admin: Client,
    site: str,
    browser: Browser,
    see: Callable[[str], None],
) -> None:
    harness.sandbox.add_fault(kind="status", status=503)
    job = harness.producer.identify("42", {"plan": "pro"})
    harness.wait_waiting(job)
    log_in(browser, site)
    browser.open(f"{site}/admin/trackrelay_ops/waiting/")
    browser.wait_for("person.identify")
    see("11-backlog")
    assert fits(browser)
    browser.open(f"{site}/admin/trackrelay_ops/waiting/{job}/change/")
    see("12-waiting")
