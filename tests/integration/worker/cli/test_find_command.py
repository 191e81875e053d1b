"""``trackrelay find``."""

import time

import pytest

from tests.support import canaries
from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from trackrelay import Person, operations
from trackrelay.queue.shared_entries import ENTRY_JOBS
from trackrelay.worker.storage.key_hasher import KeyHasher, generated_secret

EMAIL = canaries.CANARY_EMAIL


def test_a_delivered_job_is_found_by_its_id(working_harness: Harness, run: CommandLine) -> None:
    job = working_harness.producer.track("42", "greeted", idempotency_key="A-1")
    working_harness.wait_settled()

    answer = run("find", job.lower(), "--json")

    (found,) = answer.json["jobs"]
    assert (found["id"], found["where"], found["operation"], found["keys"]) == (
        job,
        "delivered",
        "person.event",
        ["id:42"],
    )
    assert (found["source"], found["idempotency_key"]) == ("tests", "A-1")
    assert [each["place"] for each in found["found_in"]] == ["ledger"]
    assert (
        f"delivered {job} person.event id:42  from tests  idempotency key A-1"
        in run("find", job).out
    )


def test_an_event_brings_the_identify_that_went_with_it(
    working_harness: Harness, run: CommandLine
) -> None:
    job = working_harness.producer.track("42", "ordered", person_attributes={"orders": 1})
    working_harness.wait_settled()

    operations = {each["operation"] for each in run("find", job, "--json").json["jobs"]}

    assert operations == {"person.event", "person.identify"}


def test_a_job_is_found_in_the_stream_with_its_place_in_line(
    harness: Harness, run: CommandLine
) -> None:
    for _ in range(3):
        harness.producer.track("42", "before")
    job = harness.producer.track("42", "greeted")

    (found,) = run("find", job, "--json").json["jobs"]

    assert found["where"] == "queued"
    assert found["found_in"][0]["ahead"] == 3
    assert "not read yet, 3 jobs before it" in run("find", job).out


def test_in_an_entry_that_several_share_each_has_its_own_place(
    harness: Harness, run: CommandLine
) -> None:
    made = [
        operations.track("42", "bought", {"n": n}, person_attributes={"n": n})
        for n in range(ENTRY_JOBS + 5)
    ]
    harness.producer.enqueue_many(made)
    for index in (0, 3, ENTRY_JOBS, ENTRY_JOBS + 4):
        found = run("find", made[index].id, "--json").json["jobs"]
        assert {each["found_in"][0]["ahead"] for each in found} == {index}


def test_the_first_of_many_waiting_jobs_is_shown_and_all_are_counted(
    working_harness: Harness, run: CommandLine
) -> None:
    with working_harness.sandbox.outage():
        jobs = []
        for _ in range(12):
            jobs.append(working_harness.producer.track("42", "waits"))
            time.sleep(0.002)  # the latest is whoever came in a later millisecond
        working_harness.wait_waiting(jobs[-1])
        told, found = (
            run("find", "--person", "42", "--limit", "3").out,
            run("find", "--person", "42", "--limit", "3", "--json"),
        )

    assert told.startswith("id:42: 12 in the backlog\n")
    assert "The latest 3 are shown, and the jobs that others wait for; --limit shows more." in told
    assert [each["id"] for each in found.json["jobs"]] == [*reversed(jobs[-3:]), jobs[0]]
    assert found.json["totals"]["backlog"] == 12
    working_harness.wait_settled()
    told = run("find", "--person", "42", "--limit", "3").out
    assert told.startswith("id:42: 12 delivered\n")
    assert "The latest 3 are shown; --limit shows more." in told


def test_jobs_that_wait_are_reported_with_the_reason(
    working_harness: Harness, run: CommandLine
) -> None:
    with working_harness.sandbox.outage():
        first = working_harness.producer.track("42", "first")
        working_harness.wait_waiting(first)
        second = working_harness.producer.track("42", "second")
        working_harness.wait_waiting(second)
        jobs = {each["id"]: each for each in run("find", "--person", "42", "--json").json["jobs"]}
        told = run("find", second).out

    assert {jobs[first]["where"], jobs[second]["where"]} == {"waiting"}
    assert jobs[first]["found_in"][0]["status"] == 503
    assert jobs[second]["found_in"][0]["ahead"] == 1
    assert "key_waits, behind 1 earlier job of its key" in told


def test_a_dead_letter_is_shown_with_its_error_and_a_remedy(
    working_harness: Harness, run: CommandLine
) -> None:
    working_harness.sandbox.add_fault(
        kind="reject", match={"name": "odd"}, message="odd is odd", field="name"
    )
    job = working_harness.producer.track("42", "odd")
    working_harness.wait_dead(job)

    answer = run("find", job)

    assert f"dead {job}" in answer.out
    assert "name: odd is odd" in answer.out
    assert f"trackrelay dead-letters show {job}" in answer.out
    assert "history" in answer.out


def test_a_persons_jobs_are_found_by_an_email_that_is_stored_only_as_a_hash(
    working_harness: Harness, run: CommandLine
) -> None:
    job = working_harness.producer.track(Person(email=EMAIL), "greeted")
    working_harness.producer.track("42", "somebody else's")
    working_harness.wait_settled()

    answer = run("find", "--person", f"email: {EMAIL.upper()}", "--json")

    assert [each["id"] for each in answer.json["jobs"]] == [job]
    (key,) = answer.json["jobs"][0]["keys"]
    assert key.startswith("email:#")
    for named in (key, f"email:{EMAIL.upper()}"):
        assert run("find", "--key", named, "--json").json["jobs"] == answer.json["jobs"]


def test_a_hashed_key_is_found_in_the_streams_too(harness: Harness, run: CommandLine) -> None:
    job = harness.producer.track(Person(email=EMAIL), "greeted")
    with harness.engine.connect() as connection:
        key = KeyHasher(generated_secret(connection)).stored(f"email:{EMAIL}")

    assert [each["id"] for each in run("find", "--key", key, "--json").json["jobs"]] == [job]


def test_a_secret_from_the_settings_hashes_as_the_workers_do(
    harness: Harness, run: CommandLine, start_worker: object
) -> None:
    secret = {"TRACKRELAY_KEY_HASH_SECRET": canaries.CANARY_KEY_HASH_SECRET}
    start_worker(harness.settings | secret, pool="threads")  # type: ignore[operator]
    job = harness.producer.track(Person(email=EMAIL), "greeted")
    harness.wait_settled()

    assert [
        each["id"]
        for each in run("find", "--person", f"email:{EMAIL}", "--json", **secret).json["jobs"]
    ] == [job]
    assert run("find", "--person", f"email:{EMAIL}").code == 1


def test_an_objects_and_a_merges_jobs_are_found_by_each_key(
    working_harness: Harness, run: CommandLine
) -> None:
    from trackrelay import ObjectRef

    company = working_harness.producer.identify_object(ObjectRef(1, "acme"), {"plan": "pro"})
    merge = working_harness.producer.merge(primary="1", secondary="2")
    working_harness.wait_settled()

    assert run("find", "--key", "object:1:acme", "--json").json["jobs"][0]["id"] == company
    for person in ("1", "2"):
        assert [each["id"] for each in run("find", "--person", person, "--json").json["jobs"]] == [
            merge
        ]


def test_a_calls_jobs_are_found_by_its_idempotency_key_wherever_they_are(
    harness: Harness, run: CommandLine
) -> None:
    job = harness.producer.track("42", "ordered", idempotency_key='A "1"')

    assert [
        each["id"] for each in run("find", "--idempotency-key", 'A "1"', "--json").json["jobs"]
    ] == [job]


def test_looking_through_the_streams_is_bounded_and_says_so(
    harness: Harness, run: CommandLine
) -> None:
    jobs = [harness.producer.track("42", "greeted") for _ in range(30)]

    answer = run("find", jobs[-1], "--scan", "20")

    assert answer.code == 1
    assert "read 20 stream entries of 30; --scan 0 reads all of them" in answer.lines
    assert run("find", jobs[-1], "--scan", "0").code == 0


def test_no_trace_says_how_long_traces_are_kept(harness: Harness, run: CommandLine) -> None:
    line = run("find", "01HZZZZZZZZZZZZZZZZZZZZZZZ").only_line()
    assert line.startswith("no trace of 01HZZZZZZZZZZZZZZZZZZZZZZZ: it was never enqueued here")
    assert "30 d ago" in line


def test_many_jobs_are_a_list_of_the_latest(working_harness: Harness, run: CommandLine) -> None:
    for number in range(8):
        working_harness.producer.track("42", f"event-{number}")
    working_harness.wait_settled()

    answer = run("find", "--person", "42", "--limit", "5")

    assert answer.out.count("person.event") == 5
    assert "The latest 5 are shown" in answer.out


def test_it_finds_what_it_can_when_postgres_is_away(harness: Harness, run: CommandLine) -> None:
    job = harness.producer.track(Person(email=EMAIL), "greeted")

    answer = run("find", job, TRACKRELAY_DATABASE_URL="postgresql://x@127.0.0.1:1/x")

    assert answer.code == 1
    assert "queued" in answer.out
    assert "cannot be reached" in answer.lines[0]
    assert EMAIL not in answer.out + answer.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name what to find"),
        (["42"], "--person finds a person's jobs"),
        (["--person", "42", "--key", "id:42"], "name what to find"),
        (["--person", "ada@example.com"], "email:…"),
        (["--person", "email:nobody"], "no @ in it"),
        (["--key", "acme"], "object:1:acme"),
    ],
)
def test_options_that_cannot_be_meant_are_wrong_usage(
    run: CommandLine, arguments: list[str], words: str
) -> None:
    answer = run("find", *arguments)
    assert answer.code == 2
    assert words in answer.err.replace("\n", " ")
