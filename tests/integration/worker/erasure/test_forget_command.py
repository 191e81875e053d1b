"""``trackrelay forget``: what is erased, what stays, and what comes later."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.command_line import CommandLine
from tests.support.forgotten_person import (
    ARGUMENTS,
    EMAIL,
    NAMES,
    PERSON,
    VALUES,
    VISITOR,
    everything,
    left,
    scatter,
)
from tests.support.harness import Harness
from tests.support.in_process_worker import BUSY, FakeApi, Worker, close_breakers, make_due
from tests.support.outbox import Application
from trackrelay import Person, Producer, operations
from trackrelay.operations.ids import id_for
from trackrelay.worker.dead_letters.refused_calls import keep_refused


@pytest.fixture
def scattered(harness: Harness, worker: Worker, api: FakeApi) -> dict[str, list[str]]:
    """Jobs of the person in every store, each beside another person's."""
    return scatter(harness, worker, api)


@pytest.fixture
def forget(run: CommandLine) -> Callable[..., Any]:
    """Forget a person, and return the receipt."""

    def command(*arguments: str) -> Any:
        answer = run("forget", *(arguments or ARGUMENTS), "--yes", "--json")
        assert answer.code == 0, answer
        return answer.json

    return command


def deliver(harness: Harness, worker: Worker, api: FakeApi) -> None:
    """Let Customer.io answer, and work everything off."""
    api.answers = lambda request, documents: None
    close_breakers(harness.redis)

    def is_done() -> bool:
        make_due(harness.engine)
        return not harness.stream_length() and not harness.backlog_size()

    worker.work_off(is_done)


def test_nothing_of_the_person_is_left_and_the_receipt_says_what_was_where(
    harness: Harness, forget: Callable[..., Any], scattered: dict[str, list[str]]
) -> None:
    assert set(left(harness)) == {*NAMES, *VALUES}

    receipt = forget()

    assert left(harness) == []
    assert receipt["complete"]
    stores = {store: (each["before"], each["after"]) for store, each in receipt["stores"].items()}
    assert stores == {
        "outbox": (None, None),
        "refused_calls": (0, 0),
        "streams": (1, 0),
        "backlog": (5, 0),
        "dead_letters": (1, 0),
        "ledger": (2, 0),
        "verification": (0, 0),
        # What the worker had written down until then.
        "identities": (stores["identities"][0], 0),
        "breakers": (stores["breakers"][0], 0),
        "names": (0, 0),
    }
    assert not [value for value in (*NAMES, *VALUES) if value in json.dumps(receipt)]
    assert "TRACKRELAY_OUTBOX_URL is not set here" in receipt["outbox"]


def test_jobs_of_others_are_delivered_and_the_person_s_are_not(
    harness: Harness,
    worker: Worker,
    api: FakeApi,
    forget: Callable[..., Any],
    scattered: dict[str, list[str]],
) -> None:
    forget()
    api.sent.clear()

    deliver(harness, worker, api)

    assert api.taken == ["waits", "queued"]
    assert all(harness.delivered(job).outcome == "delivered" for job in scattered["others"])


def test_the_ids_stay_known_so_that_nothing_is_sent_twice(
    harness: Harness,
    worker: Worker,
    api: FakeApi,
    forget: Callable[..., Any],
    run: CommandLine,
    scattered: dict[str, list[str]],
) -> None:
    forget()

    outcomes = {job: harness.delivered(job).outcome for job in scattered["ledger"]}
    assert set(outcomes.values()) == {"delivered"}
    for store in ("backlog", "streams"):
        assert {harness.delivered(job).outcome for job in scattered[store]} == {"erased"}
    letter = harness.dead(scattered["dead_letters"][0])
    assert (letter.state, letter.reason, letter.body, letter.error) == (
        "discarded", "rejected", None, None,
    )  # fmt: skip
    assert letter.history[0]["what"] == "erased"
    run("forget", *ARGUMENTS, "--allow-again")
    same = harness.producer.track(Person(id=PERSON), "first", idempotency_key=VALUES[1])
    assert same == scattered["ledger"][0]
    deliver(harness, worker, api)
    assert "first" not in api.taken[1:]


def test_find_still_finds_them_by_the_name(
    forget: Callable[..., Any], run: CommandLine, scattered: dict[str, list[str]]
) -> None:
    forget()

    found = run("find", "--person", PERSON, "--json").json["jobs"]

    where = {job["id"]: job["where"] for job in found}
    assert where[scattered["ledger"][0]] == "delivered"
    assert where[scattered["backlog"][0]] == "erased"
    assert where[scattered["dead_letters"][0]] == "discarded"
    assert "erased" in run("find", scattered["streams"][0]).out


def test_a_dead_letter_without_content_is_not_replayed(
    forget: Callable[..., Any], run: CommandLine, scattered: dict[str, list[str]]
) -> None:
    forget()

    answer = run("replay", "--id", scattered["dead_letters"][0], "--state", "discarded", "--yes")

    assert answer.code == 1
    assert "its content was erased" in answer.out + answer.err


def test_what_comes_later_is_accepted_dropped_and_counted_until_it_is_allowed_again(
    harness: Harness,
    worker: Worker,
    api: FakeApi,
    forget: Callable[..., Any],
    run: CommandLine,
) -> None:
    forget()
    producer = harness.producer
    blocked = [
        producer.track(Person(id=PERSON), "later", {"plan": VALUES[0]}),
        producer.identify(Person(email=EMAIL), {"plan": VALUES[0]}),
        producer.identify("other", {"seen": 1}, anonymous_id=VISITOR),
    ]
    other = producer.track("other", "later")

    deliver(harness, worker, api)

    assert api.taken == ["later"]
    assert harness.delivered(other).outcome == "delivered"
    outcomes = [harness.delivered(job) for job in blocked]
    assert {each and each.outcome for each in outcomes} == {"blocked"}, outcomes
    assert left(harness) == []
    assert run("status", "--json").json["forgotten"] == {
        "keys": 3, "blocked_jobs": 3, "unfinished": 0,
    }  # fmt: skip
    assert "3 keys of people blocked, 3 jobs of theirs dropped since" in run("status").out

    answer = run("forget", *ARGUMENTS, "--allow-again")

    assert "3 jobs came meanwhile and were dropped" in answer.out
    allowed = producer.track(Person(id=PERSON), "back")
    deliver(harness, worker, api)
    assert api.taken == ["later", "back"]
    assert harness.delivered(allowed).key == f"id:{PERSON}"


def test_a_neighbour_whose_id_begins_alike_is_not_touched_and_mentions_are_counted(
    harness: Harness, worker: Worker, api: FakeApi, forget: Callable[..., Any]
) -> None:
    api.answers = lambda request, documents: BUSY
    producer = harness.producer
    neighbours = [producer.track(each, "waits") for each in ("4", "420", "042")]
    mentions = [
        producer.identify("4", {"boss": "42"}),
        producer.identify("5", {"boss": 42}),
        producer.identify("6", {"floor": 420}),
    ]
    theirs = [producer.track("42", "waits"), producer.merge(primary="42", secondary="43")]
    waiting = [*neighbours, *mentions, *theirs]
    worker.work_off(lambda: all(harness.waiting(job) for job in waiting))
    queued = [producer.track(each, "queued") for each in ("4", "42", "420")]

    receipt = forget("42")

    assert receipt["mentions"]["backlog"] == 2
    assert set(receipt["mentions"]["jobs"]) == set(mentions[:2])
    assert [each["jobs"] for each in receipt["linked"]] == [1]
    deliver(harness, worker, api)
    for job in (*neighbours, *mentions, queued[0], queued[2]):
        assert harness.delivered(job).outcome == "delivered"
    for job in (*theirs, queued[1]):
        assert harness.delivered(job).outcome == "erased"


def test_what_waited_behind_a_merge_with_the_person_becomes_due(
    harness: Harness, worker: Worker, api: FakeApi, forget: Callable[..., Any]
) -> None:
    api.answers = lambda request, documents: BUSY
    merge = harness.producer.merge(primary="43", secondary="42")
    behind = harness.producer.track("43", "behind")
    worker.work_off(lambda: harness.waiting(merge) and harness.waiting(behind))
    assert harness.waiting(behind).due_at is None

    forget("42")

    assert harness.waiting(behind).due_at is not None


@pytest.mark.parametrize("paused", [False, True])
def test_an_entry_that_others_share_is_split_and_their_order_holds(
    harness: Harness,
    worker: Worker,
    api: FakeApi,
    run: CommandLine,
    forget: Callable[..., Any],
    paused: bool,
) -> None:
    if paused:
        run("pause")
    jobs = harness.producer.enqueue_many(
        [
            operation
            for turn in range(3)
            for person in ("one", PERSON, "two")
            for operation in [_event(person, f"{person}-{turn}", {"plan": VALUES[0]})]
        ]
    )
    assert jobs
    entries = sum(harness.redis.xlen(f"trackrelay:{shard}:bulk") for shard in range(4))
    assert entries < 9

    receipt = forget(PERSON)

    assert receipt["stores"]["streams"] == {"before": 3, "after": 0}
    assert PERSON not in everything(harness)
    run("resume")
    deliver(harness, worker, api)
    assert [name for name in api.taken if name.startswith("one")] == ["one-0", "one-1", "one-2"]
    assert [name for name in api.taken if name.startswith("two")] == ["two-0", "two-1", "two-2"]
    assert len(api.taken) == 6


def _event(person: str, name: str, data: dict[str, Any]) -> Any:
    return operations.track(person, name, data)


def test_refused_calls_are_erased_before_and_after_a_worker_has_kept_them(
    harness: Harness, worker: Worker, forget: Callable[..., Any]
) -> None:
    producer = Producer(
        redis_url=harness.settings["TRACKRELAY_REDIS_URL"],
        on_invalid="dead_letter",
        enqueue_timeout=30,
    )

    refuse_quietly(producer, PERSON)
    keep_refused(worker.resources)
    refuse_quietly(producer, PERSON)
    assert PERSON in everything(harness)

    receipt = forget(PERSON)

    assert receipt["stores"]["refused_calls"]["before"] == 1
    assert PERSON not in everything(harness)
    refuse_quietly(producer, PERSON)
    refuse_quietly(producer, "other")
    keep_refused(worker.resources)
    assert PERSON not in everything(harness)
    assert len(harness.dead_ids()) == 1
    producer.close()


def refuse_quietly(producer: Producer, person: str) -> None:
    """A call that is kept as a dead letter."""
    producer.track(Person(id=person), "", {"plan": VALUES[0]})


def test_rows_of_the_outbox_are_erased(
    application: Application,
    harness: Harness,
    forget: Callable[..., Any],
) -> None:
    theirs = application.track(PERSON, plan=VALUES[0])
    other = application.track("other")

    receipt = forget(PERSON)

    assert receipt["stores"]["outbox"] == {"before": 1, "after": 0}
    assert receipt["outbox"] == "erased"
    assert [row.job_id for row in application.rows()] == [other]
    assert harness.delivered(theirs).outcome == "erased"


def test_a_dry_run_shows_what_is_where_and_changes_nothing(
    harness: Harness, run: CommandLine, scattered: dict[str, list[str]]
) -> None:
    before = (left(harness), harness.backlog_size(), harness.stream_length())

    answer = run("forget", PERSON, "--dry-run", "--json")

    assert answer.code == 0
    assert answer.json["backlog"] == 3
    assert answer.json["streams"] == 1
    # The stores know two of the other names.
    assert len(answer.json["linked"]) == 2
    assert harness.rows("SELECT * FROM trackrelay_forgotten") == []
    assert (left(harness), harness.backlog_size(), harness.stream_length()) == before
    shown = run("forget", PERSON, "--dry-run")
    assert "also known by" in shown.out
    assert "--also" in shown.out


def test_no_answer_changes_nothing(harness: Harness, run: CommandLine) -> None:
    answer = run("forget", PERSON, input="n\n")

    assert answer.code == 1
    assert "cannot be undone" in answer.err
    assert harness.rows("SELECT * FROM trackrelay_forgotten") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((PERSON, "--suppress", "--delete"), "either --suppress or --delete"),
        ((PERSON, "--allow-again", "--delete"), "--allow-again excludes"),
        ((PERSON, "--json"), "--json cannot ask"),
        (("",), "--person"),
        (("email:nobody",), "--person"),
    ],
)
def test_what_makes_no_sense_is_refused(
    run: CommandLine, arguments: tuple[str, ...], message: str
) -> None:
    answer = run("forget", *arguments)
    assert answer.code == 2
    assert message in answer.err


def test_the_screen_of_an_erased_dead_letter_says_that_nothing_can_be_done(
    run: CommandLine, forget: Callable[..., Any], scattered: dict[str, list[str]]
) -> None:
    forget()
    shown = run("dead-letters", "show", scattered["dead_letters"][0]).out
    assert "Its content was erased by `trackrelay forget`" in shown
    assert "trackrelay replay" not in shown


def test_the_id_of_the_job_for_customerio_does_not_tell_whose_it_is(
    harness: Harness, run: CommandLine
) -> None:
    answer = run("forget", "42", "--delete", "--yes", "--json", "--no-wait")
    (row,) = harness.rows("SELECT job_id, request FROM trackrelay_forgotten")
    assert answer.json["customerio"][0]["job"] == row.job_id
    for known in (row.request, f"forget-{row.request}", ""):
        assert id_for("person.delete", "id:42", "", known) != row.job_id


def test_nobody_who_is_not_blocked_is_allowed_again(harness: Harness, run: CommandLine) -> None:
    assert "no job of this person is blocked" in run("forget", "42", "--allow-again").only_line()
