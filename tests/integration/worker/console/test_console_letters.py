"""Dead letters in the console: find, read, repair, replay and discard them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from tests.support.command_line import CommandLine
from tests.support.console_browser import XSS, ConsoleBrowser, Page
from tests.support.fixtures.dead_letter_fixtures import copy_letters
from tests.support.harness import Harness
from tests.support.waiting import wait_until

Visit = Callable[[str], ConsoleBrowser]


def hidden_fields(page: Page) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.body):
        fields.setdefault(name, []).append(value)
    return fields


def do(browser: ConsoleBrowser, address: str, **fields: Any) -> Page:
    """Confirm what the page at ``address`` asks, and wait for the end of it."""
    asked = browser.get(address)
    assert asked.status == 200, asked.text
    form = {name: value for name, value in hidden_fields(asked).items() if name != "csrf"}
    begun = browser.post("/dead-letters/act", **(form | fields))
    assert begun.status == 303, begun.text
    run = begun.location
    wait_until(lambda: "Done." in browser.get(run).text, 30, "the end of the run")
    return browser.get(run)


def test_a_letter_is_repaired_after_a_check_and_arrives(
    refusing: Harness, letter: str, console: Visit
) -> None:
    ada = console("ada")
    assert letter in ada.get("/dead-letters").body
    page = ada.get(f"/dead-letters/{letter}")
    assert "no such plan" in page.text
    assert "platinum" not in page.text
    assert "platinum" in ada.get(f"/dead-letters/{letter}?content=1").text
    form = ada.get(f"/dead-letters/{letter}/repair")
    assert "platinum" in form.text
    address = f"/dead-letters/{letter}/repair"
    document = {"name": "bought", "attributes": {"plan": "gold", "total": 5}}
    for wrong, why in (
        ("{", "This is not JSON"),
        ("[]", "must be a JSON object"),
        ('{"name": ""}', "name"),
    ):
        refused = ada.post(address, document=wrong, do="replay")
        assert refused.status == 200
        assert why in refused.text
    stored = refusing.rows("SELECT body FROM trackrelay_dead_letters")[0].body
    before = stored if isinstance(stored, dict) else json.loads(stored)
    assert "Nothing was changed" in ada.post(address, document=json.dumps(before)).text
    document = before | {"attributes": {"plan": "gold", "total": 5}}
    checked = ada.post(address, document=json.dumps(document), do="check")
    assert '"platinum" "gold"' in checked.text
    assert refusing.rows("SELECT state FROM trackrelay_dead_letters")[0].state == "open"
    done = ada.post(address, document=json.dumps(document), do="replay", note="a typo")
    assert done.location == f"/jobs/{letter}"
    refusing.wait_delivered([letter])
    (row,) = refusing.rows("SELECT state, history FROM trackrelay_dead_letters")
    assert "ada (console)" in json.dumps(row.history)
    recorded = refusing.rows("SELECT act, subject FROM trackrelay_acts ORDER BY id")
    assert ("letter_repaired", letter) in [(each.act, each.subject) for each in recorded]
    assert ("payload_seen", letter) in [(each.act, each.subject) for each in recorded]


def test_without_the_roles_content_stays_hidden_and_nothing_is_replayed(
    refusing: Harness, letter: str, console: Visit
) -> None:
    for name in ("eve", "vera"):
        browser = console(name)
        page = browser.get(f"/dead-letters/{letter}")
        assert "Repair and replay" not in page.text
        assert browser.get(f"/dead-letters/ask?what=replay&ids={letter}").status == 403
        assert browser.get(f"/dead-letters/{letter}/repair").status == 403
        assert browser.post("/dead-letters/act", what="replay", ids=letter, until=9e9).status == 403
        assert browser.post(f"/dead-letters/{letter}/repair", document="{}").status == 403
    assert console("eve").get(f"/dead-letters/{letter}?content=1").status == 403
    assert "platinum" in console("vera").get(f"/dead-letters/{letter}?content=1").text
    assert refusing.rows("SELECT state FROM trackrelay_dead_letters")[0].state == "open"


def test_many_are_found_by_group_replayed_with_progress_and_discarded(
    refusing: Harness, letter: str, console: Visit, run: CommandLine
) -> None:
    copy_letters(refusing.engine, 2_000, XSS)
    ada = console("ada")
    page = ada.get("/dead-letters?names=bought")
    assert "2,001" in page.text
    assert "<script>alert" not in page.body
    assert "<img src=x" not in page.body
    assert ada.get("/dead-letters?error=onerror&limit=500").body.count(">open<") >= 500
    assert "Nothing matches" in ada.get("/dead-letters?names=sold").text
    assert "Nothing matches" in ada.get("/dead-letters?sources=nobody").text
    assert ada.get("/dead-letters?reasons=bad").status == 400
    assert ada.get("/dead-letters?keys=email:ada@example.com").status == 400
    found = ada.post("/dead-letters/search", text="ada@example.com")
    assert "ada" not in found.location
    assert ada.get(found.location).status == 200
    assert ada.post("/dead-letters/search", text=letter).location.endswith(letter)
    refusing.sandbox.clear_faults()

    asked = ada.get("/dead-letters/ask?what=replay&error=onerror")
    assert "2,000 would be replayed" in asked.text
    ended = do(ada, "/dead-letters/ask?what=replay&error=onerror")
    assert "2,000 replayed" in ended.text
    done = do(ada, f"/dead-letters/ask?what=discard&ids={letter}", note="a test")
    assert "1 discarded" in done.text
    key = next(iter(refusing.redis.scan_iter("trackrelay:console:run:*"))).decode()
    run_now = json.loads(refusing.redis.get(key) or b"{}") | {"ended": False, "at": 1.0}
    refusing.redis.set(key, json.dumps(run_now))
    cut_off = ada.get(f"/dead-letters/runs/{key.rpartition(':')[2]}")
    assert "No progress for two minutes" in cut_off.text
    states = refusing.rows(
        "SELECT state, count(*) FROM trackrelay_dead_letters GROUP BY 1 ORDER BY 1"
    )
    assert ("discarded", 1) in [tuple(row) for row in states]
    recorded = refusing.rows("SELECT act, details FROM trackrelay_acts ORDER BY id")
    assert ("letters_replayed", {"letters": 2000}) in [tuple(each) for each in recorded]
    assert run("dead-letters", "list", "--state", "open", "--json").json["total"] == 0
