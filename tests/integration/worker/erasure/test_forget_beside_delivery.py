"""``trackrelay forget`` while holders deliver jobs of the person and of others."""

import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.support.command_line import CommandLine
from tests.support.forgotten_person import PERSON, VALUES, everything
from tests.support.harness import Harness
from tests.support.in_process_worker import (
    BUSY,
    FakeApi,
    Worker,
    close_breakers,
    make_due,
    refusal,
)
from tests.support.waiting import wait_until
from trackrelay import Person, Producer
from trackrelay.worker.storage import forgotten
from trackrelay.worker.track_api.responses import Answer, NoAnswer

WHO = Person(id=PERSON)


def mark(harness: Harness, worker: Worker, key: str = f"id:{PERSON}") -> None:
    """What the first step of the command does, at once."""
    hidden = worker.resources.hasher.hidden(key)
    with harness.engine.begin() as connection:
        forgotten.mark(connection, "01M8P871RS28BM9TZ8HX234KTT", "erase", {hidden: None}, {})


@pytest.mark.parametrize("answer", ["accepted", "refused", "busy", "waits"])
def test_what_a_holder_had_read_before_leaves_no_payload_and_no_name(
    harness: Harness, worker: Worker, api: FakeApi, answer: str
) -> None:
    answers: dict[str, Answer | NoAnswer | None] = {
        "accepted": None,
        "refused": refusal(f"no plan {VALUES[0]}"),
        "busy": BUSY,
        "waits": BUSY,
    }

    def sent(request: Any, documents: list[dict[str, Any]]) -> Answer | NoAnswer | None:
        mark(harness, worker)
        return answers[answer]

    api.answers = sent
    jobs = [harness.producer.track(WHO, "first", {"plan": VALUES[0]}, idempotency_key="canary-key")]
    if answer == "waits":
        jobs.append(harness.producer.track(WHO, "second", {"plan": VALUES[0]}))

    worker.work()

    text = everything(harness)
    assert [each for each in (PERSON, VALUES[0], "canary-key") if each in text] == []
    row = harness.delivered(jobs[0])
    assert row.outcome == ("delivered" if answer == "accepted" else "blocked")
    assert row.key == worker.resources.hasher.hidden(f"id:{PERSON}")
    assert harness.backlog_size() == 0
    assert harness.rows("SELECT * FROM trackrelay_dead_letters") == []


def test_a_job_that_was_erased_while_a_holder_sent_it_counts_as_delivered(
    harness: Harness, worker: Worker, api: FakeApi, run: CommandLine
) -> None:
    def sent(request: Any, documents: list[dict[str, Any]]) -> None:
        assert run("forget", PERSON, "--yes", "--json").code == 0

    api.answers = sent
    job = harness.producer.track(WHO, "first")

    worker.work()

    assert harness.delivered(job).outcome == "delivered"
    assert PERSON not in everything(harness)
    assert harness.stream_length() == 0


def test_a_replay_on_its_way_is_dropped_and_its_dead_letter_loses_its_content(
    harness: Harness, worker: Worker, api: FakeApi, run: CommandLine
) -> None:
    api.answers = lambda request, documents: refusal("no")
    job = harness.producer.track(WHO, "first", {"plan": VALUES[0]})
    worker.work_off(lambda: harness.dead(job))
    assert run("replay", "--id", job, "--yes").code == 0
    mark(harness, worker)
    api.answers = lambda request, documents: None
    api.sent.clear()

    worker.work_off(lambda: not harness.backlog_size())

    assert api.taken == []
    assert VALUES[0] not in everything(harness)
    assert harness.dead(job).state == "discarded"


def test_a_new_shard_knows_the_block(
    harness: Harness, worker: Worker, api: FakeApi, run: CommandLine
) -> None:
    mark(harness, worker)
    assert run("reshard", "7", "--yes").code == 0
    versions = harness.rows("SELECT DISTINCT block_version FROM trackrelay_shards")
    assert len(versions) == 1
    job = harness.producer.track(WHO, "first")

    for shard in range(7):
        worker.run_shard(shard)

    assert harness.delivered(job).outcome == "blocked"
    assert api.taken == []


def test_nothing_is_loaded_while_no_person_was_forgotten(
    harness: Harness, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trackrelay.worker.storage.blocklist._LOAD", None)
    job = harness.producer.track("42", "first")

    worker.work()

    assert harness.delivered(job).outcome == "delivered"


def test_a_holder_that_cannot_load_the_block_sends_nothing(
    harness: Harness, worker: Worker, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark(harness, worker)
    job = harness.producer.track("42", "first")
    with monkeypatch.context() as patched:
        import sqlalchemy as sa

        patched.setattr(
            "trackrelay.worker.storage.blocklist._LOAD", sa.text("SELECT 1 FROM no_such_table")
        )
        for shard in range(4):
            try:
                worker.run_shard(shard)
            except sa.exc.ProgrammingError:
                continue
    assert api.taken == []

    worker.work_off(lambda: harness.delivered(job))

    assert api.taken == ["first"]


def test_a_deleted_pending_entry_does_not_stop_the_shard(
    harness: Harness, worker: Worker, api: FakeApi, run: CommandLine
) -> None:
    theirs = harness.producer.track(WHO, "first")
    shard = next(number for number in range(4) if harness.redis.xlen(f"trackrelay:{number}:live"))
    # A holder read it and died.
    harness.redis.xgroup_create(f"trackrelay:{shard}:live", "trackrelay", id="0", mkstream=True)
    harness.redis.xreadgroup("trackrelay", "holder", {f"trackrelay:{shard}:live": ">"}, count=10)

    receipt = run("forget", PERSON, "--yes", "--json").json

    assert receipt["in_hand"] == 1
    assert harness.redis.xpending(f"trackrelay:{shard}:live", "trackrelay")["pending"] == 0
    other = harness.producer.track(WHO, "second")
    neighbour = harness.producer.track("42", "first")
    worker.work_off(lambda: harness.delivered(neighbour) and harness.delivered(other))
    assert harness.delivered(theirs).outcome == "erased"
    assert harness.delivered(other).outcome == "blocked"


def test_beside_live_traffic_nothing_else_is_touched(
    harness: Harness, run: CommandLine, start_worker: Callable[..., Any]
) -> None:
    worker = start_worker(harness.settings, pool="threads", concurrency=4)
    people = [str(number) for number in range(8)]
    stop, sent, theirs = threading.Event(), [], []

    def application() -> None:
        producer = Producer(redis_url=harness.settings["TRACKRELAY_REDIS_URL"], enqueue_timeout=30)
        turn = 0
        while not stop.is_set():
            for person in people:
                sent.append((person, f"event-{turn}", producer.track(person, f"event-{turn}")))
            theirs.append(producer.track(WHO, f"event-{turn}", {"plan": VALUES[0]}))
            turn += 1
            time.sleep(0.01)
        producer.close()

    thread = threading.Thread(target=application)
    thread.start()
    try:
        wait_until(lambda: len(harness.ledger_ids()) > 50, 30, "delivery to begin")
        answer = run("forget", PERSON, "--delete", "--yes", "--json")
        at = len(theirs)
        wait_until(lambda: len(theirs) > at + 20, 30, "more jobs")
    finally:
        stop.set()
        thread.join()

    assert answer.code == 0, answer
    assert answer.json["customerio"][0]["state"] == "delivered"
    harness.wait_delivered([job for _, _, job in sent], timeout=60)
    harness.wait_delivered(theirs, timeout=60)
    for person in people:
        names = [each["name"] for each in harness.effects(f"id:{person}")]
        assert names == [name for of, name, _ in sent if of == person]
    assert harness.sandbox.summary()["duplicates_ignored"] == 0
    effects = harness.effects(f"id:{PERSON}")
    assert effects[-1]["action"] == "delete"
    outcomes = [harness.delivered(job).outcome for job in theirs]
    delivered = outcomes.count("delivered")
    assert outcomes[:delivered] == ["delivered"] * delivered
    assert "blocked" in outcomes[at:]
    assert set(outcomes[at:]) == {"blocked"}
    assert len(effects) == delivered + 1
    text = everything(harness) + worker.output
    assert [each for each in (PERSON, VALUES[0]) if each in text] == []


def test_the_deletion_waits_in_an_outage_and_the_next_run_completes_the_request(
    harness: Harness, worker: Worker, api: FakeApi, run: CommandLine
) -> None:
    api.answers = lambda request, documents: BUSY
    harness.producer.track("other", "waits")
    worker.work()
    command = ("forget", PERSON, "--delete", "--yes", "--json")

    first = run(*command, "--timeout", "0s")

    assert first.code == 1
    assert "the job for Customer.io waits" in first.err
    assert first.json["complete"] is False
    (told,) = first.json["customerio"]
    assert told["state"] == "waiting"
    worker.work_off(lambda: harness.waiting(told["job"]))
    assert harness.waiting(told["job"]).keys == [worker.resources.hasher.hidden(f"id:{PERSON}")]
    assert "Not complete: 1 request to forget a person." in run("status").out
    assert run("status", "--fail-if", "unforgotten>0", "--quiet").code == 1
    refused = run("forget", PERSON, "--allow-again").only_line()
    assert "is not complete" in refused
    api.answers = lambda request, documents: None
    close_breakers(harness.redis)

    def is_delivered() -> Any:
        make_due(harness.engine)
        return harness.delivered(told["job"])

    worker.work_off(is_delivered)

    second = run(*command)

    assert second.code == 0, second
    assert second.json["request"] == first.json["request"]
    assert second.json["complete"]
    assert [
        document["action"] for sent in api.sent if sent.ok for document in sent.documents
    ].count("delete") == 1
    assert PERSON not in everything(harness)


def test_a_deletion_that_customerio_refuses_is_reported_and_can_be_repaired(
    harness: Harness, worker: Worker, api: FakeApi, run: CommandLine
) -> None:
    def refuse(request: Any, documents: list[dict[str, Any]]) -> Answer | None:
        return refusal("not today") if documents[0]["action"] == "delete" else None

    api.answers = refuse
    command = ("forget", PERSON, "--delete", "--yes", "--json")
    told = run(*command, "--no-wait").json["customerio"][0]["job"]
    worker.work_off(lambda: harness.dead(told))

    answer = run(*command)

    assert answer.code == 1
    assert f"trackrelay dead-letters show {told}" in answer.err
    api.answers = lambda request, documents: None
    assert run("replay", "--id", told, "--yes").code == 0
    worker.work_off(lambda: harness.delivered(told))
    assert run(*command).json["complete"]


def test_suppression_names_each_identifier_that_customerio_takes(
    harness: Harness, worker: Worker, api: FakeApi, run: CommandLine
) -> None:
    command = ("forget", "42", "--also", "email:ada@example.com", "--also", "anonymous:v-1")
    receipt = run(*command, "--suppress", "--yes", "--json", "--no-wait").json

    assert len(receipt["customerio"]) == 2
    jobs = [each["job"] for each in receipt["customerio"]]
    worker.work_off(lambda: all(harness.delivered(job) for job in jobs))
    told = [document for sent in api.sent for document in sent.documents]
    assert {msgspec.json.encode(each["identifiers"]) for each in told} == {
        b'{"id":"42"}', b'{"email":"ada@example.com"}',
    }  # fmt: skip
    assert {each["action"] for each in told} == {"suppress"}


def test_an_anonymous_visitor_cannot_be_deleted_at_customerio(
    harness: Harness, run: CommandLine
) -> None:
    answer = run("forget", "anonymous:v-1", "--delete", "--yes", "--json")
    assert "Customer.io cannot delete by these names" in answer.only_line()
    assert harness.rows("SELECT * FROM trackrelay_forgotten") == []


def test_customerio_is_told_only_after_jobs_in_flight_have_arrived(
    harness: Harness, worker: Worker, api: FakeApi, run: CommandLine
) -> None:
    # The deletion is in another shard than the job that a holder sends: order alone is no help.
    other = Person(email="ada@example.com")
    answers: list[int] = []
    command = CommandLine(harness.settings)
    arguments = ("forget", "42", "--also", "email:ada@example.com", "--delete", "--yes", "--json")

    def forget() -> None:
        answers.append(command.process(*arguments, "--no-wait").code)

    thread = threading.Thread(target=forget)

    def steps() -> Any:
        return next(
            (row.steps for row in harness.rows("SELECT steps FROM trackrelay_forgotten")), {}
        )

    def sent(request: Any, documents: list[dict[str, Any]]) -> None:
        if documents[0]["action"] != "delete":
            thread.start()
            wait_until(lambda: "breakers" in steps(), 30, "everything to be erased")
            time.sleep(0.5)  # what would be enqueued too early comes at once
            assert harness.stream_length() == 0

    api.answers = sent
    job = harness.producer.track(other, "first")
    worker.work_off(lambda: harness.delivered(job))
    thread.join()

    assert answers == [0]
    # The worker may have reached the second shard before or after the deletions came.
    worker.work_off(lambda: len(api.taken) == 3)
    assert [label.partition(" ")[0] for label in api.taken] == ["first", "delete", "delete"]
