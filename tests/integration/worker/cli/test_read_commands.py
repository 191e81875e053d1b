"""``trackrelay people``, ``objects``, ``segments`` and ``activities``."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import CommandLine
from tests.support.sandbox_api import Api
from tests.support.scripted_app_api import Asked, Reply, scripted
from tests.support.waiting import patient
from tests.support.worker_process import clean_environment
from trackrelay.app_api import request_budget
from trackrelay.sandbox import SandboxProcess

EVIL = "\x1b[2J‮evil"
SHOWN_EVIL = "\\u001b[2J\\u202eevil"


@pytest.fixture(autouse=True)
def no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_budget, "WINDOW_S", 0.001)


@pytest.fixture
def sandbox(start_sandbox: Callable[..., SandboxProcess]) -> SandboxProcess:
    """A sandbox that limits no reads."""
    return start_sandbox(app_rate_limit=0)


@pytest.fixture
def run(sandbox: SandboxProcess) -> CommandLine:
    return reading(sandbox.url, sandbox.app_api_key)


def reading(url: str, key: str = "an-app-api-key") -> CommandLine:
    return CommandLine({"CUSTOMERIO_APP_URL": url, "CUSTOMERIO_APP_API_KEY": key})


@pytest.fixture
def people(sandbox: SandboxProcess) -> None:
    track = Api(sandbox)
    for number, attributes in enumerate(
        [
            {"plan": "pro", "email": "ada@example.com"},
            {"plan": "pro", "churned": True},
            {"plan": "free", "note": EVIL},
        ],
        1,
    ):
        document = {
            "type": "person",
            "action": "identify",
            "identifiers": {"id": str(number)},
            "attributes": attributes,
        }
        assert track.call("POST", "/api/v2/entity", document).status == 200
    added = track.call("POST", "/api/v1/segments/7/add_customers", {"ids": ["1", "3"]})
    assert added.status == 200


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (["--email", "ada@example.com"], ["1"]),
        (["--where", "plan=pro"], ["1", "2"]),
        (["--where", "plan=pro", "--without", "churned"], ["1"]),
        (["--where", "plan!=pro"], ["3"]),
        (["--where", "plan=pro", "--has", "churned"], ["2"]),
        (["--in-segment", "7", "--where", "plan=free"], ["3"]),
        (["--filter", '{"or": [{"segment": {"id": 7}}]}'], ["1", "3"]),
        (["--where", "plan=a=b"], []),
    ],
)
def test_people_are_found_by_conditions(
    run: CommandLine, options: list[str], ids: list[str]
) -> None:
    document = run("people", *options, "--json").json
    assert [each["id"] for each in document["people"]] == ids
    assert document["has_more"] is False
    shown = run("people", *options)
    assert (shown.code, shown.err) == (0, "")
    assert len(shown.out.splitlines()) == (len(ids) + 3 if ids else 1)


@pytest.mark.usefixtures("people")
def test_a_list_is_cut_and_says_so(run: CommandLine) -> None:
    cut = run("people", "--has", "plan", "--limit", "2")
    assert cut.out.splitlines()[-1] == "2 people."
    assert cut.lines == ["there are more; --limit 20 shows more"]
    assert run("people", "--has", "plan", "--limit", "2", "--json").json["has_more"] is True
    everybody = run("people", "--has", "plan", "--limit", "0")
    assert (everybody.out.splitlines()[-1], everybody.err) == ("3 people.", "")


def test_csv_can_be_read_and_runs_no_formula() -> None:
    cells = ['a "b", c', "=HYPERLINK(1)", "+14155552671", "line\nbreak", EVIL]
    entries = [{"id": each, "email": None, "cio_id": f"c{n}"} for n, each in enumerate(cells)]
    with scripted([Reply({"identifiers": entries})]) as server:
        answer = reading(server.url)("people", "--has", "plan", "--csv")
    assert answer.code == 0
    header, *rows = csv.reader(answer.out.splitlines(keepends=True))
    assert header == ["id", "email", "cio_id"]
    assert [row[0] for row in rows] == [
        cells[0],
        "'=HYPERLINK(1)",
        cells[2],
        cells[3],
        SHOWN_EVIL,
    ]
    with scripted([Reply({"identifiers": []})]) as server:
        assert reading(server.url)("people", "--has", "plan", "--csv").out == "id,email,cio_id\n"


def test_attributes_are_shown_beside_people_a_hundred_in_a_request() -> None:
    def answer(asked: Asked) -> Reply:
        if asked.path == "/v1/customers":
            entries = [{"id": str(number), "cio_id": f"c{number}"} for number in range(150)]
            return Reply({"identifiers": entries})
        ids = asked.json["ids"]
        assert asked.query == {}
        return Reply(
            {
                "customers": [
                    {"customer": {"id": each, "attributes": {"plan": f"p-{each}"}}}
                    for each in ids[1:]
                ]
            }
        )

    with scripted(answer) as server:
        arguments = ["people", "--has", "x", "--show", "plan", "--show", "n", "--limit", "0"]
        found = reading(server.url)(*arguments, "--json").json["people"]
    assert len(found) == 150
    assert found[0]["attributes"] == {"plan": None, "n": None}
    assert found[149]["attributes"] == {"plan": "p-149", "n": None}
    assert [len(each.json["ids"]) for each in server.asked[1:]] == [100, 50]


def test_foreign_text_cannot_steer_the_terminal() -> None:
    replies = [
        Reply({"identifiers": [{"id": EVIL, "cio_id": "c"}]}),
        Reply({"segments": [{"id": 7, "name": EVIL, "description": EVIL}]}),
        Reply({"segment": {"id": 7, "name": EVIL, "state": EVIL, "type": EVIL}}),
        Reply({"count": 3}),
        Reply(
            {
                "activities": [
                    {
                        "id": "1",
                        "type": EVIL,
                        "timestamp": 1397566226,
                        "name": EVIL,
                        "data": {EVIL: {"from": EVIL, "to": {EVIL: [EVIL]}}},
                    }
                ]
            }
        ),
        Reply({"meta": {"errors": [EVIL]}}, 400),
    ]
    with scripted(replies) as server:
        run = reading(server.url)
        answers = [
            run("people", "--has", "a"),
            run("segments"),
            run("segments", "7"),
            run("activities"),
            run("activities", "--name", EVIL),
        ]
    for answer in answers:
        assert "\x1b" not in answer.out + answer.err
        assert "\u202e" not in answer.out + answer.err
        assert "evil" in answer.out + answer.err


def test_objects_and_their_types_are_listed(run: CommandLine, sandbox: SandboxProcess) -> None:
    track = Api(sandbox)
    for name in ("Acme", "Other"):
        document = {
            "type": "object",
            "action": "identify",
            "identifiers": {"object_type_id": "1", "object_id": name.lower()},
            "attributes": {"name": name},
        }
        assert track.call("POST", "/api/v2/entity", document).status == 200
    found = run("objects", "1", "--where", "name=Acme", "--json").json["objects"]
    assert [each["object_id"] for each in found] == ["acme"]
    assert run("objects", "1").out.splitlines()[-1] == "2 objects."
    named = run("objects", "company", "--json", TRACKRELAY_OBJECT_TYPES="company=1").json
    assert len(named["objects"]) == 2
    with scripted([Reply({"types": [{"id": 1, "name": "Companies"}]})]) as server:
        types = reading(server.url)("objects", "--json").json["object_types"]
    assert [(each["id"], each["name"]) for each in types] == [("1", "Companies")]


def test_segments_are_listed_shown_and_read() -> None:
    segment = {"id": 7, "name": "VIP", "type": "manual", "state": "build", "progress": 40}

    def answer(asked: Asked) -> Reply:
        match asked.path:
            case "/v1/segments" | "/v1/customers/42/segments":
                return Reply({"segments": [segment]})
            case "/v1/segments/7":
                return Reply({"segment": segment})
            case "/v1/segments/7/customer_count":
                return Reply({"count": 1})
            case "/v1/segments/7/membership":
                return Reply({"identifiers": [{"id": "42", "cio_id": "c"}], "next": ""})
        return Reply(status=404)

    with scripted(answer) as server:
        run = reading(server.url)
        assert "build (40 %)" in run("segments").out
        assert run("segments", "--person", "42", "--json").json["segments"][0]["id"] == 7
        assert "1 person" in run("segments", "7").out
        assert run("segments", "7", "--json").json["count"] == 1
        assert run("segments", "7", "--members", "--csv").out == "id,email,cio_id\n42,,c\n"
        assert run("segments", "8").only_line() == "Customer.io has no such segment (404)"


def test_activities_say_what_changed() -> None:
    activities = [
        {
            "id": "1",
            "type": "attribute_change",
            "timestamp": 1397566226,
            "customer_identifiers": {"id": "42", "email": None, "cio_id": "c"},
            "data": {"plan": {"from": "", "to": "pro"}},
        },
        {"id": "2", "type": "event", "timestamp": 1397566225, "name": "seen", "customer_id": "42"},
    ]
    with scripted([Reply({"activities": activities, "next": ""})]) as server:
        answer = reading(server.url)("activities", "--person", "phone:+14155552671")
        document = reading(server.url)("activities", "--type", "event", "--json").json
    assert "plan: – → pro" in answer.out
    assert "2014-04-15T12:50:26Z" in answer.out
    assert server.asked[0].target.startswith(
        "/v1/customers/%2B14155552671/activities?id_type=phone"
    )
    assert document["activities"][1]["name"] == "seen"


@pytest.mark.parametrize(
    "command", [["people", "--has", "a"], ["objects"], ["segments"], ["activities"]]
)
def test_without_a_key_the_setting_is_named(command: list[str]) -> None:
    line = reading("http://127.0.0.1:1")(*command, CUSTOMERIO_APP_API_KEY=None).only_line()
    assert line.startswith("CUSTOMERIO_APP_API_KEY is not set: ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["people"], "give either --email, or conditions"),
        (["people", "--email", "a@b.c", "--has", "x"], "give either --email, or conditions"),
        (["people", "--where", "plan"], "--where needs NAME=VALUE"),
        (["people", "--where", "=x"], "--where needs NAME=VALUE"),
        (["people", "--filter", "{"], "--filter is no JSON"),
        (["people", "--filter", "[]"], "--filter needs an object"),
        (["people", "--filter", "{}"], "one key of and, or, not, attribute, segment"),
        (["people", "--filter", "{}", "--has", "x"], "--filter stands instead"),
        (["people", "--has", "x", "--json", "--csv"], "--json and --csv exclude each other"),
        (["objects", "--has", "x"], "need the type of the objects"),
        (["objects", "companies"], "TRACKRELAY_OBJECT_TYPES"),
        (["segments", "--members"], "--members needs the number of a segment"),
        (["segments", "7", "--person", "42"], "either SEGMENT or --person"),
        (["activities", "--person", "ada@example.com"], "id:…, email:…, phone:…, cio_id:…"),
        (["activities", "--person", "anonymous:a"], "no anonymous visitors"),
    ],
)
def test_wrong_options_are_errors_of_usage(arguments: list[str], words: str) -> None:
    answer = reading("http://127.0.0.1:1")(*arguments)
    assert answer.code == 2
    assert words in " ".join(answer.err.split())
    assert "Traceback" not in answer.err


def test_a_customer_io_that_is_away_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from trackrelay.worker.cli.reads import read_options

    monkeypatch.setattr(read_options, "RETRY_FOR_S", 0.0)
    line = reading("http://127.0.0.1:1")("people", "--has", "a").only_line()
    assert line.startswith("http://127.0.0.1:1 cannot be reached")


def test_a_filter_is_sent_as_it_was_given(sandbox: SandboxProcess) -> None:
    document: dict[str, Any] = {"not": {"and": [{"segment": {"id": 7}}]}}
    with scripted([Reply({"identifiers": []})]) as server:
        reading(server.url)("people", "--filter", json.dumps(document))
    assert server.asked[0].json == {"filter": document}


def test_an_interrupted_command_ends_at_once_and_quietly() -> None:
    arrived, over = threading.Event(), threading.Event()

    def answer(_: Asked) -> Reply:
        arrived.set()
        over.wait(patient(60))
        return Reply({"identifiers": []})

    with scripted(answer) as server:
        command = subprocess.Popen(
            [str(Path(sys.executable).with_name("trackrelay")), "people", "--has", "a"],
            env=clean_environment() | reading(server.url).settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert arrived.wait(patient(60))
        command.send_signal(signal.SIGINT)
        out, err = command.communicate(timeout=patient(30))
        over.set()
    assert command.returncode == 1
    assert (out, "Traceback" in err) == ("", False)
