"""Odd addresses, forms and rows: the admin refuses or shows them, and never answers 500."""

from __future__ import annotations

import json
import logging
import random
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from django.test import Client

from tests.support.admin_dead_letters import LIST, ROWS, content, copies
from tests.support.harness import Harness

BACKLOG = "/admin/trackrelay_ops/waiting/"
#: How many requests the fuzzer makes.
REQUESTS = 500


@pytest.fixture
def hostile(refusing: Harness, letter: str) -> list[str]:
    """Ids of dead letters whose columns hold what is odd."""
    return copies(refusing.engine, letter, ROWS)


def test_odd_times_and_long_texts_are_listed_shown_and_exported(
    hostile: list[str], admin: Client
) -> None:
    listed = admin.get(LIST)
    assert {str(each) for each in listed.context["cl"].result_list} >= set(hostile)
    for id in hostile:
        for page in ("change", "repair", "history"):
            answer = admin.get(f"{LIST}{id}/{page}/")
            assert answer.status_code == 200, (id, page)
            assert "<b><b>" not in content(answer)
    exported = admin.post(LIST, {"action": "export", "_selected_action": hostile})
    lines = [json.loads(line) for line in content(exported).splitlines()]
    assert {each["dead_letter"]["id"] for each in lines} == set(hostile)


QUERIES: list[dict[str, str]] = [
    {"raw": "1"},
    {"raw__contains": "x"},
    {"body__a__b": "1"},
    {"history__0__at__gt": "x"},
    {"error__regex": "("},
    {"reason": "\x00"},
    {"reason__in": "a,\x00"},
    {"died_at__gte": "soon"},
    {"died_at__year": "99999999999"},
    {"died_at__date": "0000-00-00"},
    {"state": "\x00"},
    {"q": "\x00"},
    {"q": "%" * 5_000},
    {"p": "-1"},
    {"p": "9" * 30},
    {"o": "1.-99.x." + "9" * 30},
    {"_to_field": "raw"},
    {"attempts": "9" * 30},
]
IDS = ["%00", "a%00b", "x" * 5_000, "%0A", "..", "%2F%2F", "_5F_00", "%F0%9F%92%A9"]
PAGES = ["", "change/", "repair/", "history/", "delete/"]


def test_filters_and_ids_that_mean_nothing_are_no_errors_of_the_server(
    letter: str, admin: Client
) -> None:
    for place in (LIST, BACKLOG):
        for query in QUERIES:
            assert admin.get(place, query, follow=True).status_code in (200, 400), query
        for page in (f"{place}{id}/{page}" for id in IDS for page in PAGES):
            for answer in (admin.get(page), admin.post(page, {"document": "{}"})):
                assert answer.status_code < 500, page


def test_ids_that_nothing_has_are_acted_on_like_none(letter: str, admin: Client) -> None:
    for ids in ("", "\x00", "a\nb", "a/b", "x" * 50_000, ",".join(["y"] * 20_000), "é"):
        for what in ("replay", "discard"):
            assert admin.get(f"{LIST}{what}/", {"ids": ids}, follow=True).status_code == 200
            assert admin.post(f"{LIST}{what}/", {"ids": ids}, follow=True).status_code == 200
        for action in ("replay", "discard", "export"):
            chosen = {"action": action, "_selected_action": [ids], "index": "x"}
            assert admin.post(LIST, chosen, follow=True).status_code == 200


def test_an_id_with_signs_that_addresses_escape_has_its_own_pages(
    refusing: Harness, letter: str, admin: Client
) -> None:
    odd = "a/b?c=_5F #%41"
    with refusing.engine.begin() as connection:
        renamed = "UPDATE trackrelay_dead_letters SET job_id = :odd WHERE job_id = :letter"
        connection.execute(sa.text(renamed), {"odd": odd, "letter": letter})
    (page,) = set(re.findall(rf'"({LIST}[^"]*/change/)', content(admin.get(LIST))))
    shown = content(admin.get(page))
    assert "platinum" in shown
    (repair,) = re.findall(rf'"({LIST}[^"]*/repair/)"', shown)
    assert "platinum" in content(admin.get(repair))
    admin.post(f"{LIST}discard/", {"ids": odd})
    assert refusing.dead(odd).state == "discarded"


TEXTS = [
    *("", "0", "1", "-1", "9" * 30, "1e400", "NaN", "true", "None", "open", "all", "discarded"),
    *(
        "\x00",
        "a\x00b",
        "\n",
        "'",
        '"',
        "%",
        "%00",
        "(",
        "[",
        "{",
        "..",
        "/",
        "//",
        "\\",
        "é",
        "💩",
    ),
    *(
        "x" * 3_000,
        "2026-13-45",
        "9999-12-31",
        "0000-01-01",
        "infinity",
        "id:42",
        "ada@example.com",
    ),
    *("[" * 3_000, '{"a":' * 500, '{"n":1e400}', '{"s":"\\ud800"}', "{}", "null"),
]
FIELDS = ["job_id", "key", "operation", "reason", "source", "died_at", "raw", "body", "history"]
FIELDS += ["state", "status", "attempts", "enqueued_at", "shard", "lane", "position", "due_at"]
LOOKUPS = [
    "",
    "__exact",
    "__in",
    "__gte",
    "__isnull",
    "__regex",
    "__year",
    "__date",
    "__contains",
    "__x",
]
NAMES = [
    "q",
    "p",
    "o",
    "e",
    "all",
    "_to_field",
    "_popup",
    "_changelist_filters",
    "state",
    "_facets",
    "",
]


def request(chance: random.Random, ids: list[str]) -> tuple[str, str, dict[str, Any]]:
    """Make a request that no page links to: its method, place and parameters."""
    quoted = chance.choice([*ids, *map(_quoted, TEXTS)])
    place = chance.choice(
        [
            LIST,
            BACKLOG,
            f"{LIST}{chance.choice(['replay', 'discard', 'add'])}/",
            f"{LIST}{quoted}/{chance.choice(PAGES)}",
            f"{BACKLOG}{quoted}/{chance.choice(PAGES)}",
        ]
    )
    names = [*NAMES, *(field + lookup for field in FIELDS for lookup in LOOKUPS)]
    values: dict[str, Any] = {
        chance.choice(names): chance.choice(TEXTS) for _ in range(chance.randrange(3))
    }
    if chance.random() < 0.5:
        return "GET", place, values
    own = {
        "ids": ",".join(chance.choices([*ids, *TEXTS], k=2)),
        "action": chance.choice(["replay", "discard", "export", *TEXTS]),
        "_selected_action": chance.choices([*ids, *TEXTS], k=2),
        "index": chance.choice(TEXTS),
        "select_across": chance.choice(["0", "1", "x"]),
        "document": chance.choice(TEXTS),
        "note": chance.choice(TEXTS),
        "even_if_newer": chance.choice(TEXTS),
        chance.choice(["replay", "check"]): "1",
    }
    return "POST", place, {**values, **own}


def _quoted(text: str) -> str:
    return quote(text, safe="")


@pytest.fixture
def quiet() -> Iterator[None]:
    """Django logs each answer of 400 and more."""
    logger = logging.getLogger("django")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


def test_no_request_whatever_is_an_error_of_the_server(
    hostile: list[str], letter: str, admin: Client, quiet: Callable[[], None]
) -> None:
    chance = random.Random(20_100)
    for number in range(REQUESTS):
        method, place, values = request(chance, [*hostile, letter])
        try:
            answer = getattr(admin, method.lower())(place, values)
            content(answer)
        except Exception as error:
            raise AssertionError(
                f"request {number}: {method} {place!r:.300} {values!r:.600}"
            ) from error
        assert answer.status_code < 500, (
            f"request {number}: {method} {place!r:.300} {values!r:.600}"
        )
