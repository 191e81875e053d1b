"""What the commands report of an application's outbox."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.support.command_line import Answer, CommandLine
from tests.support.harness import Harness
from tests.support.outbox import Application, make_relay, relay_once
from trackrelay.outbox import Outbox, table


@pytest.fixture(params=["its own PostgreSQL", "SQLite"])
def application(
    request: pytest.FixtureRequest, worker_settings: dict[str, str], tmp_path: Path
) -> Iterator[Application]:
    """An application with an outbox in the settings, and no relay."""
    on_sqlite = request.param == "SQLite"
    url = (
        f"sqlite:///{tmp_path / 'app.db'}"
        if on_sqlite
        else request.getfixturevalue("empty_database_url")
    )
    worker_settings["TRACKRELAY_OUTBOX_URL"] = url
    application = Application(url)
    yield application
    application.engine.dispose()


@pytest.fixture
def run(application: Application, worker_settings: dict[str, str]) -> CommandLine:
    return CommandLine(worker_settings)


def outbox_findings(answer: Answer) -> dict[str, tuple[str, str]]:
    found = [each for each in answer.json["findings"] if each["area"] == "Outbox"]
    return {each["name"]: (each["state"], each["text"]) for each in found}


def age(application: Application, seconds: int) -> None:
    """Let everything in the outbox be older."""
    with application.engine.begin() as connection:
        connection.execute(
            sa.update(table).values(accepted_ms=table.c.accepted_ms - seconds * 1000)
        )


def test_check_says_what_waits_in_the_outbox(
    harness: Harness, application: Application, run: CommandLine
) -> None:
    assert outbox_findings(run("check", "--json"))["relayed"] == (
        "ok",
        "no job waits to be relayed",
    )

    application.track("42")
    found = outbox_findings(run("check", "--json"))
    assert found["reached"][0] == "ok"
    assert found["relayed"] == ("ok", "1 job waits to be relayed")

    age(application, 600)
    state, text = outbox_findings(run("check", "--json"))["relayed"]
    assert state == "wrong"
    assert (
        "the first for 10 min, and no relay runs: start a worker with TRACKRELAY_OUTBOX_URL" in text
    )

    relay = make_relay(run.settings)
    assert relay.take_lease()
    state, text = outbox_findings(run("check", "--json"))["relayed"]
    assert state == "warning"
    assert "the first for 10 min, although a relay runs" in text


def test_rows_without_a_relay_are_a_problem_of_status(
    harness: Harness, application: Application, run: CommandLine
) -> None:
    application.track("42")
    assert run("status").code == 0, "a moment ago"
    age(application, 600)
    line = run("status").only_line()
    assert line.startswith("outbox: 1 job waits for up to 10 min, ")
    assert "and no relay runs" in line
    assert run("status", "--json").json["problems"] == [line]
    relay = make_relay(run.settings)
    assert relay.take_lease()
    assert run("status").code == 0


def test_an_outbox_without_its_table_fails_the_check(
    harness: Harness, application: Application, run: CommandLine
) -> None:
    table.drop(application.engine)

    line = run("check").only_line()

    assert "lacks the outbox" in line
    assert "run the application's migrations" in line
    assert run("status").only_line() == line
    assert run("relay", "--once").only_line() == line


def test_an_outbox_that_cannot_be_reached_fails_the_check_and_nothing_is_made(
    harness: Harness, run: CommandLine, tmp_path: Path
) -> None:
    elsewhere = {
        "postgresql://app:hidden@127.0.0.1:1/app": "127.0.0.1:1/app cannot be reached: "
        "Connection refused",
        f"sqlite:///{tmp_path / 'nowhere.db'}": "nowhere.db does not exist",
    }
    for url, words in elsewhere.items():
        line = run("check", TRACKRELAY_OUTBOX_URL=url).only_line()
        assert words in line
        assert "TRACKRELAY_OUTBOX_URL correct?" in line
        assert "hidden" not in line
        relayed = run("relay", "--once", TRACKRELAY_OUTBOX_URL=url).only_line()
        assert words in relayed
    assert not (tmp_path / "nowhere.db").exists()


def test_a_job_that_was_not_relayed_is_found_in_the_outbox(
    harness: Harness, application: Application, run: CommandLine
) -> None:
    application.track("7")
    with application.engine.begin() as connection:
        job = Outbox(connection, source="shop").track("42", "bought", idempotency_key="A-1")

    for asked in ([job], ["--idempotency-key", "A-1"], ["--person", "42"]):
        (found,) = run("find", *asked, "--json").json["jobs"]
        assert (found["id"], found["where"], found["operation"]) == (
            job,
            "unrelayed",
            "person.event",
        )
        assert (found["source"], found["idempotency_key"], found["keys"]) == (
            "shop",
            "A-1",
            ["id:42"],
        )
        assert [(each["place"], each["reason"]) for each in found["found_in"]] == [
            ("outbox", "not_relayed")
        ]
    assert "waits for a relay to move it into the queue" in run("find", job).out

    relay_once(run.settings)
    (found,) = run("find", job, "--json").json["jobs"]
    assert [each["place"] for each in found["found_in"]] == ["stream"]


def test_it_is_found_while_redis_is_away_and_after_redis_lost_it(
    harness: Harness, application: Application, run: CommandLine
) -> None:
    job = application.track("42")
    away = run("find", job, "--json", TRACKRELAY_REDIS_URL="redis://127.0.0.1:1/0")
    assert [each["where"] for each in away.json["jobs"]] == ["unrelayed"]
    assert away.code == 1

    relay_once(run.settings)
    harness.redis.flushall()
    (found,) = run("find", job, "--json").json["jobs"]
    assert found["where"] == "unrelayed"
    assert [each["reason"] for each in found["found_in"]] == ["queue_lost"]


def test_looking_through_the_outbox_is_bounded_and_says_so(
    harness: Harness, application: Application, run: CommandLine
) -> None:
    for person in ("1", "2", "42"):
        application.track(person)

    answer = run("find", "--person", "42", "--scan", "2")
    assert answer.code == 1
    assert answer.lines[0].startswith("the outbox holds more jobs than were read")
    assert run("find", "--person", "42", "--scan", "3").code == 0


def test_draining_waits_for_what_is_not_relayed(
    harness: Harness, application: Application, run: CommandLine, start_worker: Callable[..., Any]
) -> None:
    jobs = [application.track(str(person)) for person in range(30)]

    given_up = run("drain", "--timeout", "1s")
    assert given_up.code == 1
    assert (
        "0 jobs in the streams, 0 jobs in the backlog and 30 jobs in the outbox"
        in given_up.lines[-1]
    )
    assert run("drain", "--streams-only").code == 0

    start_worker(run.settings, pool="threads", concurrency=2)
    assert run("drain", "--timeout", "60s").code == 0
    assert set(jobs) <= harness.ledger_ids()


def test_draining_waits_for_what_a_lost_queue_took_with_it(
    harness: Harness, application: Application, run: CommandLine
) -> None:
    application.track("42")
    relay_once(run.settings)
    harness.redis.flushall()
    run("migrate")

    assert "1 job in the outbox" in run("drain", "--timeout", "1s").lines[-1]


def test_status_counts_what_waits_and_says_when_nobody_relays(
    harness: Harness, application: Application, run: CommandLine
) -> None:
    assert run("status", "--json").json["outbox"] == {"jobs": 0, "oldest_s": None}
    application.track("42")
    application.track("42")
    age(application, 600)

    now = run("status", "--json").json

    assert now["outbox"]["jobs"] == 2
    assert 600 <= now["outbox"]["oldest_s"] < 660
    assert now["oldest_s"] == now["outbox"]["oldest_s"]
    assert "2 jobs wait" in now["summary"]
    (hint,) = [each for each in now["what_to_do"] if each["command"] == "trackrelay relay"]
    assert hint["severity"] == "wrong"
    assert hint["text"].startswith("Outbox: 2 jobs wait for up to 10 min, and no relay runs")
    assert "2 jobs to relay into the queue, the first for 10 min" in run("status").out
    assert run("status", "-q", "--fail-if", "oldest>5m").code == 1
