"""The admin shows, exports and refuses documents that no parser takes, without a 500."""

from __future__ import annotations

import json

import pytest
from django.test import Client

from tests.support.admin_dead_letters import LIST, content, copies
from tests.support.harness import Harness

#: Documents that a hostile stream entry leaves behind; Postgres keeps them as text.
BODIES = {
    "deep": '{"name":' + "[" * 5_000 + "]" * 5_000 + "}",
    "infinite": '{"attributes":{"n":1e400}}',
    "surrogate": '{"attributes":{"note":"\\ud800"}}',
    "nul": '{"attributes":{"note":"\\u0000"}}',
    "digits": '{"attributes":{"n":' + "9" * 5_000 + "}}",
    "list": "[1, 2]",
    "null": "null",
    "text": '"</pre><script>alert(1)</script>"',
    "large": json.dumps({"attributes": {"note": "x" * 300_000}}),
}


@pytest.fixture
def hostile(refusing: Harness, letter: str) -> list[str]:
    """Ids of dead letters with these documents."""
    return copies(refusing.engine, letter, [{"body": body} for body in BODIES.values()])


def test_every_page_of_a_hostile_dead_letter_can_be_read(hostile: list[str], admin: Client) -> None:
    for id in hostile:
        for page in ("change", "repair", "history"):
            answer = admin.get(f"{LIST}{id}/{page}/", follow=True)
            assert answer.status_code == 200, (id, page)
            assert "<script>alert" not in content(answer)


def test_a_document_that_json_cannot_hold_is_shown_as_it_is(
    hostile: list[str], admin: Client
) -> None:
    pages = {
        name: content(admin.get(f"{LIST}{id}/change/"))
        for name, id in zip(BODIES, hostile, strict=False)
    }
    assert "[" * 100 in pages["deep"]
    assert "1e400" in pages["infinite"]
    assert "\\ud800" in pages["surrogate"]
    assert "9" * 100 in pages["digits"]


def test_hostile_dead_letters_are_listed_replayed_and_exported_like_others(
    hostile: list[str], admin: Client
) -> None:
    listed = admin.get(LIST)
    assert listed.status_code == 200
    assert {str(each) for each in listed.context["cl"].result_list} >= set(hostile)
    asked = admin.post(LIST, {"action": "replay", "_selected_action": hostile}, follow=True)
    assert asked.status_code == 200
    exported = admin.post(LIST, {"action": "export", "_selected_action": hostile}, follow=True)
    lines = [json.loads(line) for line in content(exported).splitlines()]
    assert sorted(each["dead_letter"]["id"] for each in lines) == sorted(hostile)


DOCUMENTS = [
    "[" * 100_000,
    '{"attributes":' + "[" * 100_000 + "]" * 100_000 + "}",
    '{"attributes":{"n":1e400}}',
    '{"attributes":{"n":' + "9" * 5_000 + "}}",
    '{"attributes":{"note":"\\ud800"}}',
    '{"attributes":{"note":"\\u0000"}}',
    "\x00",
]


def test_a_hostile_repair_is_refused_in_the_form(
    refusing: Harness, letter: str, admin: Client
) -> None:
    for document in DOCUMENTS:
        answer = admin.post(f"{LIST}{letter}/repair/", {"document": document, "replay": "1"})
        assert answer.status_code == 200
        assert "This document cannot be replayed." in content(answer)
        assert refusing.dead(letter).state == "open"
