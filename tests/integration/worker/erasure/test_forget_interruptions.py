"""``trackrelay forget`` killed at every step, run twice at once, and with stores that are away."""

import json
import threading
from typing import Any

import pytest
import sqlalchemy as sa

from tests.support.command_line import CommandLine
from tests.support.forgotten_person import (
    ARGUMENTS,
    NAMES,
    PERSON,
    VALUES,
    everything,
    left,
    scatter,
)
from tests.support.harness import Harness
from tests.support.in_process_worker import FakeApi, Worker, close_breakers, make_due
from tests.support.outbox import Application
from trackrelay import Person, Producer
from trackrelay.queue.redis_keys import MOVING
from trackrelay.worker.erasure import forget_run

STEPS = [
    "forget_marked",
    "forget_counted",
    "forget_outbox_recorded",
    "forget_outbox",
    "forget_refused_calls",
    "forget_entries_recorded",
    "forget_streams",
    "forget_backlog_chunk",
    "forget_backlog",
    "forget_dead_letters",
    "forget_ledger",
    "forget_verification",
    "forget_identities",
    "forget_breakers",
    "forget_names",
    "forget_holders_left",
    "forget_enqueued",
    "forget_told",
    "forget_completed",
]
DELETE = ("forget", *ARGUMENTS, "--delete", "--yes", "--json", "--no-wait")


def remember(harness: Harness) -> None:
    """Rows of verification that hold what was sent to the person, and what became of it."""
    with harness.engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO trackrelay_sent (key, address, items, last_sent_at)"
                " VALUES (:key, CAST(:address AS jsonb), '{}', now())"
            ),
            {"key": f"id:{PERSON}", "address": json.dumps({"id": PERSON})},
        )
        connection.execute(
            sa.text(
                "INSERT INTO trackrelay_verdicts (key, item, verdict, reason, checked_at, state)"
                " VALUES (:key, 'attribute:plan', 'missing', :reason, now(), 'open')"
            ),
            {"key": f"id:{PERSON}", "reason": f"no {VALUES[0]}"},
        )


def refuse(harness: Harness) -> None:
    """A refused call of the person that no worker has kept yet."""
    options = {"on_invalid": "dead_letter", "enqueue_timeout": 30}
    producer = Producer(redis_url=harness.settings["TRACKRELAY_REDIS_URL"], **options)
    producer.track(Person(id=PERSON), "", {"plan": VALUES[0]})
    producer.close()


def test_every_step_is_interrupted_here() -> None:
    import re
    from pathlib import Path

    root = Path(__file__).parents[4] / "worker" / "erasure"
    code = "".join(path.read_text() for path in root.glob("*.py"))
    points = set(re.findall(r'failpoint\("(\w+)"\)', code))
    steps = (root / "store_erasure.py").read_text()
    stores = set(re.findall(r'^            "(\w+)": ', steps, re.MULTILINE))
    assert points | {f"forget_{store}" for store in stores} == set(STEPS)


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_it_is_completed_by_running_it_again(
    harness: Harness,
    worker: Worker,
    api: FakeApi,
    run: CommandLine,
    postgres_application: Application,
    step: str,
) -> None:
    scattered = scatter(harness, worker, api)
    remember(harness)
    refuse(harness)
    in_outbox = postgres_application.track(PERSON, plan=VALUES[0])
    command = CommandLine(harness.settings)
    killed = command.process(*DELETE, TRACKRELAY_FAILPOINT=f"{step}=kill")
    assert killed.code == -9, killed

    later = harness.producer.track(Person(id=PERSON), "later", {"plan": VALUES[0]})
    again = command(*DELETE)

    assert again.code == 0, again
    api.answers = lambda request, documents: None
    api.sent.clear()
    close_breakers(harness.redis)
    told = {each["job"] for each in again.json["customerio"]}

    def is_done() -> bool:
        make_due(harness.engine)
        return harness.ledger_ids() >= {*told, later, *scattered["others"]}

    worker.work_off(is_done)
    receipt = command(*DELETE)

    assert receipt.code == 0, receipt
    # A killed last step had completed the request. Then the last run is another one.
    if step != "forget_completed":
        assert receipt.json["complete"]
        stores = receipt.json["stores"]
        uncertain = ("breakers", "identities")
        assert {name: each["before"] for name, each in stores.items() if name not in uncertain} == {
            "outbox": 1,
            "refused_calls": 1,
            # Killed before it had counted, it counts also what came meanwhile.
            "streams": 2 if step == "forget_marked" else 1,
            "backlog": 5,
            "dead_letters": 1,
            "ledger": 2,
            "verification": 2,
            "names": 0,
        }
        assert not any(each["after"] for each in stores.values())
    assert left(harness) == []
    assert not any(postgres_application.rows())
    assert not [value for value in (*NAMES, *VALUES) if value in json.dumps(receipt.json)]
    taken = [label for label in api.taken if not label.startswith("delete")]
    assert taken == ["waits", "queued"]
    assert len(api.taken) == 2 + len(told)
    assert harness.delivered(later).outcome in ("blocked", "erased")
    for job in (*scattered["backlog"], *scattered["streams"], in_outbox):
        assert harness.delivered(job).outcome == "erased"


def test_the_lock_of_a_process_that_was_killed_is_waited_for(
    harness: Harness, run: CommandLine
) -> None:
    with harness.engine.connect() as connection:
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7403911262)")
        noticed = threading.Timer(1.0, connection.invalidate)
        noticed.start()
        answer = run("forget", "42", "--yes", "--json")
        noticed.join()
    assert answer.code == 0, answer


def test_two_at_once_are_one(
    harness: Harness, run: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forget_run, "ENDED_S", 0.0)
    with harness.engine.connect() as connection:
        connection.exec_driver_sql("SELECT pg_advisory_lock(7403911262)")
        answer = run("forget", "42", "--yes", "--json")
    assert "another `trackrelay forget` is running" in answer.only_line()
    assert harness.rows("SELECT * FROM trackrelay_forgotten") == []


def test_both_of_two_requests_for_one_person_end_well(harness: Harness, run: CommandLine) -> None:
    harness.producer.track("42", "first")
    command, codes = CommandLine(harness.settings), []

    def forget() -> None:
        codes.append(command.process("forget", "42", "--yes", "--json").code)

    threads = [threading.Thread(target=forget) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 0 in codes
    assert run("forget", "42", "--yes", "--json").json["complete"]
    assert harness.stream_length() == 0


def test_an_unfinished_request_is_completed_with_all_its_names_and_its_mode(
    harness: Harness, run: CommandLine
) -> None:
    command = CommandLine(harness.settings)
    names = ("42", "--also", "email:ada@example.com")
    killed = command.process(
        "forget", *names, "--delete", "--yes", "--json", TRACKRELAY_FAILPOINT="forget_marked=kill"
    )
    assert killed.code == -9

    missing = run("forget", "42", "--yes", "--json").only_line()
    other = run("forget", *names, "--suppress", "--yes", "--json").only_line()
    done = run("forget", *names, "--yes", "--json", "--no-wait")

    assert "name them again with --also" in missing
    assert "run the command with --delete first" in other
    assert {each["operation"] for each in done.json["customerio"]} == {"person.delete"}


def test_during_a_change_of_the_number_of_shards_it_blocks_and_waits_for_the_next_run(
    harness: Harness, worker: Worker, run: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trackrelay.worker.erasure.forget_run.RESHARD_WAIT_S", 0.0)
    job = harness.producer.track("42", "first")
    with harness.engine.connect() as connection:
        connection.exec_driver_sql("SELECT pg_advisory_lock(7403911261)")
        answer = run("forget", "42", "--yes", "--json")
        connection.exec_driver_sql("SELECT pg_advisory_unlock_all()")

    assert answer.code == 1
    assert "the number of shards is being changed" in answer.err
    assert "New jobs of the person are blocked" in answer.err
    assert harness.stream_length() == 1
    # A change that was killed halfway.
    harness.redis.set(MOVING, "layout")
    harness.redis.hset("trackrelay:config", "shards", 7)
    halfway = run("forget", "42", "--yes", "--json")
    assert halfway.code == 1
    assert "trackrelay reshard 7" in halfway.err
    harness.redis.hset("trackrelay:config", "shards", 4)
    harness.redis.delete(MOVING)
    worker.work()
    assert harness.delivered(job).outcome == "blocked"
    assert run("forget", "42", "--yes", "--json").json["complete"]


def test_redis_away_says_so_and_the_next_run_completes_it(
    harness: Harness, run: CommandLine
) -> None:
    job = harness.producer.track("42", "first")
    answer = run("forget", "42", "--yes", "--json", TRACKRELAY_REDIS_URL="redis://127.0.0.1:1/0")

    assert answer.code == 1
    assert answer.out == ""
    assert "not complete" in answer.err
    assert "TRACKRELAY_REDIS_URL" in answer.err
    assert "New jobs of the person are blocked" in answer.err
    assert run("status", "--json").json["forgotten"]["unfinished"] == 1

    assert run("forget", "42", "--yes", "--json").json["complete"]
    assert harness.delivered(job).outcome == "erased"


def test_postgres_away_says_so_and_blocks_nothing(harness: Harness, run: CommandLine) -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/nothing"
    answer = run("forget", "42", "--yes", "--json", TRACKRELAY_DATABASE_URL=nowhere)

    assert "TRACKRELAY_DATABASE_URL" in answer.only_line()
    assert "blocked" not in answer.err


def test_an_outbox_that_is_away_says_so(harness: Harness, run: CommandLine) -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/nothing"
    answer = run("forget", "42", "--yes", "--json", TRACKRELAY_OUTBOX_URL=nowhere)

    assert answer.code == 1
    assert "TRACKRELAY_OUTBOX_URL" in answer.err
    assert "not complete" in answer.err


def test_an_entry_of_a_newer_format_is_left_to_a_newer_version(
    harness: Harness, run: CommandLine
) -> None:
    entry = {"v": "99", "j": json.dumps([{"keys": ["id:42"]}]).replace(" ", "")}
    harness.redis.xadd("trackrelay:0:live", entry)

    answer = run("forget", "42", "--yes", "--json")

    assert answer.code == 1
    assert "an entry of a newer format that names the person" in answer.err
    assert harness.redis.xlen("trackrelay:0:live") == 1


def test_entries_and_dead_letters_that_cannot_be_read_and_name_the_person_are_erased(
    harness: Harness, worker: Worker, run: CommandLine
) -> None:
    garbage = {"v": "1", "j": '[{"id":"x","keys":["id:42"],"plan":"canary-plan-8123"}]'}
    harness.redis.xadd("trackrelay:0:live", garbage)
    worker.work()
    assert "canary-plan-8123" in str(harness.rows("SELECT raw FROM trackrelay_dead_letters"))
    harness.redis.xadd("trackrelay:1:live", garbage)
    harness.redis.xadd("trackrelay:1:live", {"v": "1", "j": '["id:420"]'})

    receipt = run("forget", "42", "--yes", "--json").json

    assert receipt["stores"]["streams"] == {"before": 1, "after": 0}
    assert receipt["stores"]["dead_letters"] == {"before": 1, "after": 0}
    assert "canary-plan-8123" not in everything(harness)
    assert harness.redis.xlen("trackrelay:1:live") == 1


def test_another_secret_delivers_nothing_while_a_person_is_blocked(
    harness: Harness, worker: Worker, run: CommandLine
) -> None:
    worker.work()
    assert run("forget", "42", "--yes", "--json").code == 0
    other: dict[str, Any] = {**harness.settings, "TRACKRELAY_KEY_HASH_SECRET": "another"}
    job = harness.producer.track("1", "first")
    changed = Worker(other, FakeApi())

    changed.work()

    assert harness.delivered(job) is None
    assert run("forget", "42", "--allow-again", "--json").code == 0
    changed.work_off(lambda: harness.delivered(job))
    changed.close()
