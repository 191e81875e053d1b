"""Calls refused in the application are dead letters: repaired, replayed and delivered."""

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

import trackrelay
from tests.support.canaries import CANARY_EMAIL
from tests.support.command_line import CommandLine
from tests.support.fixtures.dead_letter_fixtures import SECRET
from tests.support.harness import Harness
from tests.support.in_process_worker import Worker
from tests.support.waiting import wait_until
from trackrelay import Person, Producer, operations
from trackrelay.operations.coercion import NOT_ENCODED
from trackrelay.operations.ids import new_id
from trackrelay.outbox import Outbox, create_table
from trackrelay.worker.dead_letters import refused_calls
from trackrelay.worker.dead_letters.refused_calls import keep_refused
from trackrelay.worker.failpoints import FailpointError


@pytest.fixture
def shop(harness: Harness) -> Iterator[Producer]:
    """An application that keeps what is refused."""
    trackrelay.configure(
        redis_url=harness.settings["TRACKRELAY_REDIS_URL"], source="shop", on_invalid="dead_letter"
    )
    producer = trackrelay.default.default_producer()
    yield producer
    producer.close()


@pytest.fixture
def worker(harness: Harness) -> Iterator[Worker]:
    """A worker in this process, which ticks when the test asks."""
    worker = Worker({**harness.settings, "TRACKRELAY_KEY_HASH_SECRET": SECRET})
    yield worker
    worker.close()


def ordered(shop: Producer, **more: Any) -> str:
    return shop.track("42", "ordered", {"total": float("nan"), "plan": "pro"}, **more)


def invalid(harness: Harness) -> list[str]:
    return [
        row.job_id
        for row in harness.rows(
            "SELECT job_id FROM trackrelay_dead_letters WHERE reason = 'invalid'"
        )
    ]


def test_a_worker_makes_dead_letters_of_them(
    shop: Producer, harness: Harness, start_worker: Any
) -> None:
    job = ordered(shop, idempotency_key="A-1")
    start_worker(harness.settings, pool="threads", concurrency=4)
    letter = harness.wait_dead(job)
    assert (letter.reason, letter.state, letter.operation, letter.key) == (
        "invalid",
        "open",
        "person.event",
        "id:42",
    )
    assert (letter.source, letter.idempotency_key, letter.attempts) == ("shop", "A-1", 0)
    assert letter.field == "attributes.total"
    assert "which JSON does not have" in letter.error
    assert letter.body["attributes"] == {"total": {NOT_ENCODED: "the number nan"}, "plan": "pro"}
    wait_until(lambda: harness.redis.xlen("trackrelay:invalid") == 0, 30)


def test_keys_of_emails_are_stored_as_hashes(
    shop: Producer, harness: Harness, worker: Worker
) -> None:
    job = shop.track(Person(email=CANARY_EMAIL), "", {})
    assert keep_refused(worker.resources) == 1
    assert harness.dead(job).key.startswith("email:#")


def test_a_crash_after_the_commit_makes_no_second_dead_letter_and_reopens_none(
    shop: Producer,
    harness: Harness,
    worker: Worker,
    run: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = ordered(shop)

    def crash(point: str) -> None:
        raise FailpointError(point)

    with monkeypatch.context() as crashing:
        crashing.setattr(refused_calls, "failpoint", crash)
        with pytest.raises(FailpointError):
            keep_refused(worker.resources)
    assert (harness.dead(job).state, harness.redis.xlen("trackrelay:invalid")) == ("open", 1)
    assert run("dead-letters", "discard", "--id", job, "--yes").code == 0
    assert keep_refused(worker.resources) == 1
    assert [event["what"] for event in harness.dead(job).history] == ["invalid", "discarded"]
    assert harness.dead(job).state == "discarded"


def test_many_are_kept_in_several_reads(shop: Producer, harness: Harness, worker: Worker) -> None:
    with shop.pipeline() as pipeline:
        jobs = [pipeline.track(str(number), "") for number in range(2 * refused_calls.CHUNK + 1)]
    assert keep_refused(worker.resources) == len(jobs)
    assert sorted(invalid(harness)) == sorted(jobs)
    assert harness.redis.xlen("trackrelay:invalid") == 0


def refused_entry(**call: Any) -> str:
    body = {"document": {}, "error": "", **call}
    return json.dumps([{"id": new_id(), "operation": "person.event", "keys": [], "body": body}])


def test_no_entry_of_the_stream_blocks_the_others(
    shop: Producer, harness: Harness, worker: Worker
) -> None:
    nul = (
        '[{"id":"01M8NHK5SEG0000000000000AD","operation":"a\\u0000.b","keys":[],'
        '"body":{"document":1,"error":""}}]'
    )
    hostile: list[Any] = [
        {"v": 1},
        {"v": 1, "j": b"\xff"},
        {"v": 1, "j": "[]"},
        {"v": "9" * 5_000, "j": "[]"},
        {"v": 1, "j": '[{"id":"x","operation":"a.b","keys":[],"body":{}}]'},
        {"v": 1, "j": nul},
        # No index of Postgres' takes such a key.
        {"v": 1, "j": refused_entry(keys=[f"id:{random.randbytes(20_000).hex()}"])},
    ]
    for fields in hostile:
        harness.redis.xadd("trackrelay:invalid", fields)
    harness.redis.xadd("trackrelay:invalid", {"v": 2, "j": "a newer version's"})
    job = ordered(shop)
    keep_refused(worker.resources)
    assert harness.dead(job).reason == "invalid"
    assert [fields[b"v"] for _, fields in harness.redis.xrange("trackrelay:invalid")] == [b"2"]
    assert len(
        harness.rows("SELECT 1 FROM trackrelay_dead_letters WHERE reason = 'undecodable'")
    ) == len(hostile)


def test_a_dead_letter_says_what_to_do_and_is_refused_like_the_call_until_it_is_repaired(
    shop: Producer, harness: Harness, worker: Worker, run: CommandLine
) -> None:
    job = shop.identify(Person(email=""), {"plan": "pro"})
    keep_refused(worker.resources)
    listed = run("dead-letters", "list", "--reason", "invalid")
    assert (
        "invalid: identifiers.email: the email of a Person is not an email address: blank"
        in listed.out
    )
    shown = run("dead-letters", "show", job).out
    assert f"trackrelay replay --id {job} --set identifiers.email=VALUE" in shown
    assert "allowed: an email address; it was blank" in shown
    unrepaired = run("replay", "--id", job, "--yes")
    assert unrepaired.code == 1
    assert "cannot be replayed" in unrepaired.out

    wrong = run("replay", "--id", job, "--set", "identifiers.email=nobody", "--yes")
    with pytest.raises(trackrelay.InvalidOperationError) as words:
        operations.entity(
            {"type": "person", "action": "identify", "identifiers": {"email": "nobody"}}
        )
    assert str(words.value) in " ".join(wrong.out.split())
    assert harness.dead(job).state == "open"


def test_a_repaired_dead_letter_is_delivered_under_its_id(
    shop: Producer, delivering: Harness, worker: Worker, run: CommandLine
) -> None:
    job = ordered(shop)
    keep_refused(worker.resources)
    done = run("replay", "--id", job, "--set", "attributes.total=5", "--yes")
    assert done.code == 0, done
    delivering.wait_delivered([job])
    (effect,) = delivering.effects("id:42")
    assert (effect["id"], effect["attributes"]) == (job, {"total": 5, "plan": "pro"})
    row = wait_until(lambda: (row := delivering.dead(job)).state == "delivered" and row)
    assert [event["what"] for event in row.history] == ["invalid", "replayed", "delivered"]


def test_an_identify_that_is_repaired_for_another_person_takes_the_time_of_its_call(
    shop: Producer, delivering: Harness, worker: Worker, run: CommandLine
) -> None:
    job = shop.identify(Person(email=""), {"plan": "pro"})
    keep_refused(worker.resources)
    assert (
        run(
            "replay",
            "--id",
            job,
            "--unset",
            "identifiers.email",
            "--set",
            'identifiers.id="42"',
            "--yes",
        ).code
        == 0
    )
    delivering.wait_delivered([job])
    assert delivering.delivered(job).key == "id:42"
    row = delivering.dead(job)
    assert row.body["timestamp"] == int(row.enqueued_at.timestamp())


def test_what_the_same_call_has_delivered_meanwhile_is_not_sent_again(
    shop: Producer, delivering: Harness, worker: Worker, run: CommandLine
) -> None:
    refused = ordered(shop, idempotency_key="A-1")
    keep_refused(worker.resources)
    valid = shop.track("42", "ordered", {"total": 5, "plan": "pro"}, idempotency_key="A-1")
    delivering.wait_delivered([valid])
    done = run("replay", "--id", refused, "--set", "attributes.total=5", "--yes")
    assert done.code == 1
    assert "with the same id, and delivered" in " ".join(done.out.split())
    other = shop.track("42", "shipped", {"total": float("nan")}, idempotency_key="A-1")
    keep_refused(worker.resources)
    assert run("replay", "--id", other, "--set", "attributes.total=5", "--yes").code == 0
    delivering.wait_delivered([other])


def test_a_refused_call_never_hides_a_valid_one_of_its_key(
    shop: Producer, delivering: Harness, worker: Worker
) -> None:
    ordered(shop, idempotency_key="A-1")
    keep_refused(worker.resources)
    delivering.wait_delivered([shop.track("42", "ordered", {"total": 5}, idempotency_key="A-1")])


def test_an_event_with_its_own_id_is_replayed_under_the_dead_letters_id(
    shop: Producer, delivering: Harness, worker: Worker, run: CommandLine
) -> None:
    own = operations.track("42", "seen").id
    document = {
        "type": "person",
        "action": "event",
        "identifiers": {"id": "42"},
        "name": "",
        "id": own,
    }
    refused = shop.entity(document)
    keep_refused(worker.resources)
    assert run("replay", "--id", refused, "--set", "name=seen", "--yes").code == 0
    delivering.wait_delivered([refused])
    assert delivering.effects("id:42")[0]["id"] == refused


def test_an_exported_dead_letter_can_be_repaired_and_imported(
    shop: Producer, harness: Harness, worker: Worker, run: CommandLine
) -> None:
    job = shop.track("42", "ordered", {"total": float("nan")})
    keep_refused(worker.resources)
    exported = run("dead-letters", "export", "-o", "-")
    line = json.loads(exported.out)
    assert line["operation"]["name"] == "ordered"
    assert line["dead_letter"]["id"] == job
    with pytest.raises(trackrelay.InvalidOperationError):
        operations.entity(
            {name: value for name, value in line["operation"].items() if name != "idempotency_key"}
        )


# ── by way of an outbox ───────────────────────────────────────────────────────────────────────────


@pytest.fixture
def outbox(harness: Harness) -> sa.Engine:
    """The application's database, which is the worker's."""
    create_table(harness.engine)
    harness.settings["TRACKRELAY_OUTBOX_URL"] = harness.settings["TRACKRELAY_DATABASE_URL"]
    return harness.engine


def test_in_a_transaction_they_are_kept_when_it_commits(
    shop: Producer, harness: Harness, outbox: sa.Engine, start_worker: Any
) -> None:
    with outbox.connect() as connection:
        lost = Outbox(connection).track("42", "")
        connection.rollback()
    with outbox.begin() as connection:
        refused = Outbox(connection).track(Person(email=CANARY_EMAIL), "")
        good = Outbox(connection).track("42", "seen")
    start_worker(harness.settings, pool="threads", concurrency=4)
    harness.wait_delivered([good], 60)
    letter = harness.wait_dead(refused, 60)
    assert (letter.reason, letter.source) == ("invalid", "shop")
    assert letter.key.startswith("email:#")
    assert harness.dead(lost) is None
    wait_until(lambda: not harness.rows("SELECT 1 FROM trackrelay_outbox"), 60, "an empty outbox")


def test_when_redis_is_away_they_go_the_way_of_the_others(
    harness: Harness, outbox: sa.Engine, start_worker: Any
) -> None:
    away = Producer(
        redis_url="redis://127.0.0.1:1/0",
        on_invalid="dead_letter",
        on_unavailable="outbox",
        outbox_url=harness.settings["TRACKRELAY_OUTBOX_URL"],
        enqueue_timeout=5,
    )
    refused = away.track("42", "")
    good = away.track("42", "seen")
    start_worker(harness.settings, pool="threads", concurrency=4)
    assert harness.wait_dead(refused, 60).reason == "invalid"
    harness.wait_delivered([good], 60)
    away.close()
