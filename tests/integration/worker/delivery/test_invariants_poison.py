"""One poison job harms only itself, and finding it costs few requests."""

import os
import signal
from contextlib import suppress
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from tests.support.harness import Harness
from tests.support.in_process_worker import (
    BUSY,
    FakeApi,
    Worker,
    close_breakers,
    hold_with_mortals,
    make_due,
    people_of,
    probe_now,
    refusal,
    shard_of_person,
)
from trackrelay import Person
from trackrelay.worker.delivery import cycle
from trackrelay.worker.delivery.batching import pack
from trackrelay.worker.track_api.responses import Answer, NoAnswer

SHARD = shard_of_person("42")


def enqueue(harness: Harness, people: list[str], bad: str) -> dict[str, str]:
    """A job for each, in one round trip; `bad`'s is poison."""
    with harness.producer.pipeline() as pipeline:
        return {
            person: pipeline.track(person, "bad" if person == bad else "fine", {})
            for person in people
        }


def test_a_refused_batch_finds_its_poison_in_two_requests_for_each_halving(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    api.answers = lambda request, documents: refusal("no") if "bad" in str(documents) else None
    people = people_of(SHARD, 200)
    jobs = enqueue(harness, people, people[77])
    worker.run_shard(SHARD)
    assert harness.dead_ids() == {jobs[people[77]]}
    assert harness.ledger_ids() == set(jobs.values()) - harness.dead_ids()
    assert len(api.sent) <= 1 + 2 * 8
    assert harness.backlog_size() == 0


def test_a_batch_that_times_out_is_halved_as_others_succeed_until_the_poison_is_alone(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    api.answers = lambda request, documents: (
        NoAnswer("timeout") if "bad" in str(documents) else None
    )
    people = people_of(SHARD, 200)
    jobs = enqueue(harness, people, people[77])
    poison = jobs[people[77]]

    def only_the_poison_is_left() -> bool:
        probe_now(harness.redis)
        return harness.ledger_ids() == set(jobs.values()) - {poison}

    worker.work_off(only_the_poison_is_left)
    # Eight halvings; the rest are probes, more of them on a slow machine.
    assert len(api.sent) <= 10 * 8
    assert not harness.dead_ids()


def test_attempts_count_only_once_the_job_fails_alone_and_end_in_a_dead_letter(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    api.answers = lambda request, documents: BUSY if "bad" in str(documents) else None
    bad, good = people_of(SHARD, 2)
    poison = harness.producer.track(bad, "bad", {})
    follower = harness.producer.track(bad, "follower", {})

    def is_dead() -> Any:
        harness.producer.track(good, "fine", {})
        make_due(harness.engine)
        probe_now(harness.redis)
        return harness.dead(poison)

    worker.work_off(is_dead)
    letter = harness.dead(poison)
    assert (letter.reason, letter.status, letter.attempts) == ("exhausted", 503, 10)
    worker.work_off(lambda: follower in harness.ledger_ids())
    assert harness.dead_ids() == {poison}


def test_what_kills_its_worker_ends_as_a_dead_letter_and_its_neighbours_are_delivered(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pack_or_die(jobs: Any) -> Any:
        if any(b'"deadly"' in job.body for job in jobs):
            os.kill(os.getpid(), signal.SIGKILL)
        return pack(jobs)

    monkeypatch.setattr(cycle, "pack", pack_or_die)
    people = people_of(SHARD, 30)
    with harness.producer.pipeline() as pipeline:
        jobs = [
            pipeline.track(person, "deadly" if person == people[11] else "fine", {})
            for person in people
        ]
    after = harness.producer.track(people[11], "after", {})
    hold_with_mortals(
        harness.settings, harness.redis, SHARD, lambda: not harness.stream_length(), 15
    )
    assert harness.stream_length() == 0
    letter = harness.dead(jobs[11])
    assert letter.reason == "crashed"
    assert harness.dead_ids() == {jobs[11]}
    assert harness.ledger_ids() == {*jobs, after} - {jobs[11]}


def test_what_kills_its_worker_out_of_the_backlog_ends_as_a_dead_letter_too(
    harness: Harness, api: FakeApi, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = people_of(SHARD, 30)
    api.answers = lambda request, documents: BUSY
    with harness.producer.pipeline() as pipeline:
        jobs = [
            pipeline.track(person, "deadly" if person == people[11] else "fine", {})
            for person in people
        ]
    after = harness.producer.track(people[11], "after", {})
    worker.run_shard(SHARD)
    assert harness.backlog_size() == len(people) + 1
    api.answers = lambda request, documents: None
    probe_now(harness.redis)
    close_breakers(harness.redis)

    class Killed(BaseException):
        pass

    def pack_or_die(jobs: Any) -> Any:
        if any(b'"deadly"' in job.body for job in jobs):
            raise Killed
        return pack(jobs)

    monkeypatch.setattr(cycle, "pack", pack_or_die)
    for _ in range(25):
        with suppress(Killed):
            worker.run_shard(SHARD)
    assert harness.dead(jobs[11]).reason == "crashed"
    assert harness.dead_ids() == {jobs[11]}
    assert harness.ledger_ids() == {*jobs, after} - {jobs[11]}
    assert not harness.redis.exists(f"trackrelay:{SHARD}:live:handed")


def test_a_store_that_fails_again_and_again_is_not_counted_against_what_came_out_of_the_backlog(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    api.answers = lambda request, documents: BUSY
    job = harness.producer.track("42", "seen", {})
    worker.run_shard(SHARD)
    api.answers = lambda request, documents: None
    with harness.engine.connect() as somebody:
        somebody.execute(sa.text("LOCK TABLE trackrelay_ledger IN ACCESS EXCLUSIVE MODE"))
        for _ in range(15):
            probe_now(harness.redis)
            with suppress(OperationalError):
                worker.run_shard(SHARD)
    probe_now(harness.redis)
    worker.work_off(lambda: harness.ledger_ids() == {job})
    assert not harness.dead_ids()


ID = "01ARZ3NDEKTSV4RRFFQ69G5FA"
#: `#` stands for the last digit of the id.
MALFORMED = {
    "not UTF-8": b'[{"id":"#","operation":"person.event","keys":["id:1"],"body":{"a":"\xff"}}]',
    "NUL in a key": b'[{"id":"#","operation":"person.event","keys":["id:1\\u0000"],"body":{}}]',
    "NUL in the source": b'[{"id":"#","operation":"person.event","keys":["id:1"],"body":{},'
    b'"source":"\\u0000"}]',
    "no ULID": b'[{"id":"#XXXX","operation":"person.event","keys":["id:1"],"body":{}}]',
    "too deep": b'[{"id":"#","operation":"person.event","keys":["id:1"],"body":%s}]'
    % (b"[" * 3000 + b"]" * 3000),
    "no keys": b'[{"id":"#","operation":"person.event","keys":[],"body":{}}]',
    "nothing": b"[]",
    "no segment": b'[{"id":"#","operation":"segment.add","keys":["id:1"],'
    b'"body":{"type":"segment"}}]',
    "no such operation": b'[{"id":"#","operation":"form.shred","keys":["id:1"],"body":{}}]',
}


def test_foreign_entries_do_no_harm(harness: Harness, worker: Worker) -> None:
    for number, entry in enumerate(MALFORMED.values()):
        harness.redis.xadd(
            "trackrelay:0:live", {"v": "1", "j": entry.replace(b"#", f"{ID}{number}".encode())}
        )
    fine = harness.producer.track(people_of(0, 1)[0], "fine", {})
    worker.run_shard(0)
    assert harness.ledger_ids() == {fine}
    letters = harness.rows("SELECT reason, error FROM trackrelay_dead_letters")
    assert sorted(letter.reason for letter in letters) == ["rejected"] * 2 + ["undecodable"] * 7
    assert harness.stream_length() == harness.backlog_size() == 0


def test_a_job_whose_time_is_beyond_every_calendar_is_delivered(
    harness: Harness, worker: Worker
) -> None:
    job = f"{ID}V"
    entry = (
        f'[{{"id":"{job}","operation":"person.event","keys":["id:1"],"body":{{"name":"x"}},'
        f'"accepted_ms":{10**17}}}]'
    )
    harness.redis.xadd("trackrelay:0:live", {"v": "1", "j": entry})
    worker.run_shard(0)
    assert harness.ledger_ids() == {job}


def test_an_error_message_with_a_nul_is_kept_without_it(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    words = b'{"errors":[{"reason":"x","message":"a\\u0000b\\\\u0000c"}]}'
    api.answers = lambda request, documents: Answer(503, words)
    waits = harness.producer.track("42", "seen", {})
    worker.run_shard(SHARD)
    assert "a\ufffdb" in harness.waiting(waits).error
    api.answers = lambda request, documents: Answer(400, words)
    probe_now(harness.redis)
    worker.run_shard(SHARD)
    letter = harness.dead(waits)
    assert "a\ufffdb" in letter.error
    assert "a\ufffdb" in letter.history[0]["error"]


def test_a_segment_that_customer_io_does_not_take_stops_nobody_and_costs_few_requests(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    words = Answer(400, b'{"meta":{"errors":["segment 7 is not a manual segment"]}}')
    api.answers = lambda request, documents: words if "/segments/7/" in request.path else None
    people = people_of(SHARD, 50)
    bad = harness.producer.add_to_segment(7, people)
    good = harness.producer.add_to_segment(8, people)
    worker.run_shard(SHARD)
    assert harness.dead_ids() == set(bad)
    assert harness.ledger_ids() == set(good)
    assert len(api.sent) == 5
    assert harness.breaker().get("state", "closed") == "closed"


@pytest.mark.parametrize("position", [0, 20, 49])
def test_one_person_whom_a_segment_does_not_take_is_found(
    harness: Harness, api: FakeApi, worker: Worker, position: int
) -> None:
    people = people_of(SHARD, 50)
    words = Answer(400, b'{"meta":{"errors":["no"]}}')
    api.answers = lambda request, documents: (
        words if f'"{people[position]}"' in request.body.decode() else None
    )
    jobs = harness.producer.add_to_segment(7, people)
    worker.run_shard(SHARD)
    assert harness.dead_ids() == {jobs[position]}
    assert harness.ledger_ids() == set(jobs) - harness.dead_ids()


def test_a_broken_document_in_the_backlog_does_not_stop_its_shard(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    """A dead letter is repaired by hand, and wrongly."""
    api.answers = lambda request, documents: BUSY
    (bad,) = harness.producer.add_to_segment(7, ["42"])
    fine = harness.producer.track(people_of(SHARD, 1)[0], "fine", {})
    worker.run_shard(SHARD)
    with harness.engine.begin() as connection:
        connection.execute(
            sa.text("UPDATE trackrelay_backlog SET body = '{}' WHERE job_id = :id"), {"id": bad}
        )
    api.answers = lambda request, documents: None
    close_breakers(harness.redis)
    worker.run_shard(SHARD)
    assert harness.ledger_ids() == {fine}
    assert harness.dead(bad).reason == "rejected"


def test_a_poison_form_harms_no_other_of_the_same_person(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    words = Answer(400, b'{"meta":{"errors":["no email"]}}')
    api.answers = lambda request, documents: words if "/forms/bad/" in request.path else None
    bad = harness.producer.submit_form("bad", Person(id="42"), {"a": "b"})
    good = harness.producer.submit_form("good", Person(id="42"), {"a": "b"})
    worker.run_shard(SHARD)
    assert harness.dead_ids() == {bad}
    assert harness.ledger_ids() == {good}


def test_several_errors_of_one_operation_are_one_dead_letter_with_all_of_them_and_no_outage(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    first = {"reason": "invalid", "field": "attributes.a", "message": "too long"}
    second = {"reason": "required", "field": "attributes.b", "message": "is missing"}

    def refuse_bad(request: Any, documents: list[Any]) -> Answer | None:
        bad = [index for index, document in enumerate(documents) if document["name"] == "bad"]
        errors = [{"batch_index": index, **error} for error in (first, second) for index in bad]
        return (
            Answer(207, msgspec.json.encode({"errors": errors}))
            if bad and request.kind == "batch"
            else None
        )

    api.answers = refuse_bad
    people = people_of(SHARD, 20)
    jobs = enqueue(harness, people, people[7])
    worker.run_shard(SHARD)
    assert harness.ledger_ids() == set(jobs.values()) - {jobs[people[7]]}
    letter = harness.dead(jobs[people[7]])
    assert (letter.reason, letter.status, letter.field) == ("rejected", 207, "attributes.a")
    assert letter.error == "attributes.a: too long; attributes.b: is missing"
    assert letter.history[0]["errors"] == [first, second]
    assert len(api.sent) == 1
    assert harness.breaker().get("state", "closed") == "closed"
    assert harness.breaker().get("failures", "0") == "0"


def test_an_answer_of_a_thousand_brackets_is_an_outage_and_harms_no_job(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    api.answers = lambda request, documents: Answer(200, b"[" * 1_500)
    job = harness.producer.track("42", "seen", {})
    for _ in range(12):
        probe_now(harness.redis)
        worker.run_shard(SHARD)
    assert harness.waiting(job).reason in ("failed", "breaker")
    assert harness.breaker()["state"] == "open"
    api.answers = lambda request, documents: None

    def is_delivered() -> bool:
        probe_now(harness.redis)
        make_due(harness.engine)
        return job in harness.ledger_ids()

    worker.work_off(is_delivered)
    assert not harness.dead_ids()
