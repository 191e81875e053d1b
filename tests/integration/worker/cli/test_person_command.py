"""``trackrelay person``: both sides of a person in one view, as far as they can be asked."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from tests.support.scripted_app_api import Asked, Reply, ScriptedAppApi, scripted
from trackrelay import Person
from trackrelay.app_api import request_budget
from trackrelay.worker.cli.person import customerio_side
from trackrelay.worker.reasons import VerdictKind
from trackrelay.worker.storage.key_hasher import KeyHasher, generated_secret
from trackrelay.worker.storage.verdicts import NewVerdict, record

EVIL = "\x1b[2J\u202eevil"
EMAIL = "ada@example.com"


@pytest.fixture(autouse=True)
def no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_budget, "WINDOW_S", 0.001)


def profile(**attributes: Any) -> dict[str, Any]:
    return {
        "customer": {
            "id": "42",
            "identifiers": {"id": "42", "email": EMAIL, "cio_id": "a3"},
            "attributes": {"id": "42", "email": EMAIL, "cio_id": "a3", **attributes},
            "unsubscribed": True,
            "devices": [{"id": "token-1", "platform": "ios", "last_used": 1}],
        }
    }


class Customerio:
    """What the App API answers about the person 42."""

    def __init__(self) -> None:
        self.profile: dict[str, Any] | None = profile(plan="pro", note=EVIL)
        self.activities: list[dict[str, Any]] = []

    def answer(self, asked: Asked) -> Reply:
        match asked.path.split("/")[2:]:
            case ["customers", _, "attributes"]:
                return Reply(self.profile) if self.profile else Reply(status=404)
            case ["customers", _, "segments"]:
                return Reply({"segments": [{"id": 7, "name": EVIL}]})
            case ["customers", _, "relationships"]:
                related = {"object_type_id": 1, "identifiers": {"object_id": "acme"}}
                return Reply({"cio_relationships": [related]})
            case ["customers", _, "activities"] | ["activities"]:
                return Reply({"activities": self.activities})
        return Reply(status=404)


@pytest.fixture
def customerio() -> Customerio:
    return Customerio()


@pytest.fixture
def server(customerio: Customerio) -> Iterator[ScriptedAppApi]:
    with scripted(customerio.answer) as server:
        yield server


@pytest.fixture
def look(run: CommandLine, server: ScriptedAppApi, harness: Harness) -> CommandLine:
    return CommandLine(run.settings | {"CUSTOMERIO_APP_URL": server.url})


def test_both_sides_are_shown_beside_each_other(
    look: CommandLine, working_harness: Harness, customerio: Customerio
) -> None:
    producer = working_harness.producer
    identified = producer.identify("42", {"plan": "pro"})
    by_email = producer.track(Person(email=EMAIL), "seen")
    working_harness.wait_settled()
    customerio.activities = [
        {
            "id": "1",
            "type": "failed_attribute_change",
            "timestamp": int(time.time()) - 60,
            "data": {"phone": {"from": "", "to": "12"}},
        },
        {"id": "2", "type": "event", "timestamp": int(time.time()), "name": EVIL},
    ]

    answer = look("person", "42")

    assert (answer.code, answer.err) == (0, "")
    for text in (identified, by_email, "2 delivered", "has the profile", "pro", "token-1", "acme"):
        assert text in answer.out
    assert f"also email:{EMAIL}, cio_id:a3" in answer.out
    assert "unsubscribed from everything" in answer.out
    assert "Where they disagree" in answer.out
    assert "failed_attribute_change" in answer.out
    assert "phone: – → 12" in answer.out
    assert "\x1b" not in answer.out
    assert "\u202e" not in answer.out

    document = look("person", "--email", EMAIL, "--json").json
    assert {each["id"] for each in document["jobs"]} == {identified, by_email}
    assert document["customerio"]["profile"]["attributes"]["plan"] == "pro"
    assert [each["kind"] for each in document["disagreements"]] == ["ignored"]
    assert document["problems"] == []


def test_what_waits_and_what_died_comes_first(
    look: CommandLine, harness: Harness, customerio: Customerio
) -> None:
    waiting = harness.producer.track("42", "seen")
    answer = look("person", "42")
    assert "1 queued" in answer.out
    assert waiting in answer.out
    assert "No disagreement found." in answer.out


def test_verdicts_are_shown(look: CommandLine, harness: Harness) -> None:
    with harness.engine.begin() as connection:
        hasher = KeyHasher(generated_secret(connection))
        record(
            connection,
            NewVerdict(
                job_id=None,
                key=hasher.stored(f"email:{EMAIL}"),
                operation="person.identify",
                item="attribute:phone",
                verdict=VerdictKind.MISSING,
                reason="Customer.io has no phone",
            ),
        )
    answer = look("person", "42")
    assert "attribute:phone: Customer.io has no phone" in answer.out
    assert look("person", "42", "--json").json["verdicts"][0]["verdict"] == "missing"


def test_without_a_key_our_side_is_shown_and_customer_io_is_not_asked(
    look: CommandLine, harness: Harness, server: ScriptedAppApi
) -> None:
    waiting = harness.producer.track("42", "seen")
    answer = look("person", "42", CUSTOMERIO_APP_API_KEY=None)
    assert (answer.code, answer.err) == (0, "")
    assert waiting in answer.out
    assert "not asked: CUSTOMERIO_APP_API_KEY is not set" in answer.out
    document = look("person", "42", "--json", CUSTOMERIO_APP_API_KEY=None).json
    assert document["customerio"] is None
    assert document["problems"] == ["Customer.io was not asked: CUSTOMERIO_APP_API_KEY is not set"]
    assert server.asked == []


def test_while_customer_io_is_away_our_side_is_shown(
    look: CommandLine, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(customerio_side, "RETRY_FOR_S", 0.0)
    waiting = harness.producer.track("42", "seen")
    answer = look("person", "42", CUSTOMERIO_APP_URL="http://127.0.0.1:1")
    assert answer.code == 1
    assert waiting in answer.out
    assert "not known" in answer.out
    (line,) = answer.lines
    assert line.startswith("http://127.0.0.1:1 cannot be reached")


@pytest.mark.parametrize(
    ("setting", "url", "words"),
    [
        ("TRACKRELAY_REDIS_URL", "redis://127.0.0.1:1/0", "Redis at 127.0.0.1:1"),
        ("TRACKRELAY_DATABASE_URL", "postgresql://127.0.0.1:1/x", "Postgres at 127.0.0.1:1"),
    ],
)
def test_while_a_store_is_away_the_rest_is_shown(
    look: CommandLine, setting: str, url: str, words: str
) -> None:
    answer = look("person", "42", **{setting: url})
    assert answer.code == 1
    assert "has the profile" in answer.out
    assert len(answer.lines) == 1
    assert answer.lines[0].startswith(words)


def test_a_person_whom_nobody_knows_is_one_line(look: CommandLine, customerio: Customerio) -> None:
    customerio.profile = None
    line = look("person", "42").only_line()
    assert line == "no trace of id:42 here and by Customer.io"


def test_a_deleted_person_has_the_activities_of_before(
    look: CommandLine, customerio: Customerio, server: ScriptedAppApi
) -> None:
    customerio.profile = None
    customerio.activities = [{"id": "1", "type": "profile_delete", "timestamp": int(time.time())}]
    answer = look("person", "--phone", "+14155552671")
    assert answer.code == 0
    assert "no such person" in answer.out
    assert "profile_delete" in answer.out
    assert server.asked[-1].query["deleted"] == "true"
    assert server.asked[-1].query["customer_id"] == "+14155552671"


def test_a_database_that_was_not_migrated_is_one_line(
    look: CommandLine, empty_database_url: str
) -> None:
    answer = look("person", "42", TRACKRELAY_DATABASE_URL=empty_database_url)
    assert answer.code == 1
    assert len(answer.lines) == 1
    assert "run `trackrelay migrate`" in answer.lines[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name one person"),
        (["42", "--email", EMAIL], "name one person"),
        ([EMAIL], "email:…"),
        (["--email", "no address"], "email"),
        (["anonymous:a", "--id", "3"], "name one person"),
    ],
)
def test_exactly_one_person_is_named(look: CommandLine, arguments: list[str], words: str) -> None:
    answer = look("person", *arguments)
    assert answer.code == 2
    assert words in " ".join(answer.err.split())


def test_an_anonymous_visitor_has_only_our_side(look: CommandLine, harness: Harness) -> None:
    waiting = harness.producer.track_anonymous("visitor-1", "seen")
    answer = look("person", "anonymous:visitor-1")
    assert waiting in answer.out
    assert answer.lines == ["Customer.io cannot be asked about anonymous visitors"]
