"""``trackrelay reshard`` loses, duplicates and reorders nothing, whatever happens meanwhile."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import canaries
from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from tests.support.waiting import patient, wait_until
from tests.support.worker_process import clean_environment
from trackrelay import Person, Producer, QueueUnavailableError, operations
from trackrelay.configuration.producer_settings import load
from trackrelay.operations.keys import shard_of
from trackrelay.queue.append import Entry
from trackrelay.queue.async_queue_client import AsyncRedisQueue
from trackrelay.queue.redis_keys import MOVING, lease
from trackrelay.worker.queue import shard_migration
from trackrelay.worker.storage import settlement, shards
from trackrelay.worker.storage.key_hasher import KeyHasher, generated_secret
from trackrelay.worker.storage.settlement import Holder, Settlement

PEOPLE = [str(number) for number in range(12)]
ADA = Person(email=canaries.CANARY_EMAIL)
VISITOR = Person(anonymous_id=canaries.CANARY_ANONYMOUS_ID)
STEPS = [
    "reshard_begun",
    "reshard_emptied",
    "reshard_closed",
    "reshard_switched",
    "reshard_laid_out",
]


def fill(harness: Harness, name: str) -> list[str]:
    """Work of every kind: for many people, for hashed keys, for two keys at once, in both lanes."""
    jobs = [
        harness.producer.track(person, f"{name}-{turn}") for turn in range(3) for person in PEOPLE
    ]
    jobs += [harness.producer.track(ADA, f"{name}-{turn}") for turn in range(3)]
    jobs.append(harness.producer.track(VISITOR, f"{name}-before"))
    jobs.append(
        harness.producer.identify("1", {name: "known"}, anonymous_id=canaries.CANARY_ANONYMOUS_ID)
    )
    jobs.append(harness.producer.track(VISITOR, f"{name}-after"))
    jobs.append(harness.producer.track("1", f"{name}-after"))
    return jobs


def names_of(harness: Harness, key: str) -> list[str]:
    return [effect["name"] for effect in harness.effects(key) if effect["name"]]


def check_all(harness: Harness, jobs: list[str], names: list[str]) -> None:
    """Everything arrived, once, and in order for each key."""
    harness.wait_delivered(jobs, timeout=60)
    assert harness.sandbox.summary()["duplicates_ignored"] == 0
    for person in PEOPLE:
        wanted = [f"{name}-{turn}" for name in names for turn in range(3)]
        wanted = (
            [
                each
                for name in names
                for each in (*[f"{name}-{turn}" for turn in range(3)], f"{name}-after")
            ]
            if person == "1"
            else wanted
        )
        assert [
            each for each in names_of(harness, f"id:{person}") if not each.endswith("-before")
        ] == wanted
    assert names_of(harness, f"email:{canaries.CANARY_EMAIL}") == [
        f"{name}-{turn}" for name in names for turn in range(3)
    ]


def shards_now(harness: Harness) -> tuple[int, int]:
    """As Redis and Postgres have it."""
    (row,) = harness.rows("SELECT count(*) AS n FROM trackrelay_shards")
    return int(harness.redis.hget("trackrelay:config", "shards") or 0), row.n


@pytest.mark.parametrize("count", [7, 2, 1])
def test_what_waits_keeps_its_order_in_another_number_of_shards(
    harness: Harness, run: CommandLine, start_worker: Callable[..., Any], count: int
) -> None:
    # Half of it in the backlog before, half in the streams; a two-key job may be half in each.
    worker = start_worker(harness.settings, pool="threads", concurrency=4)
    with harness.sandbox.outage():
        first = fill(harness, "first")
        harness.wait_waiting(first[-1])
        worker.stop()
    second = fill(harness, "second")

    answer = run("reshard", str(count), "--yes")

    assert answer.code == 0
    assert answer.out.startswith(f"The queue has {count} shard")
    assert shards_now(harness) == (count, count)
    assert harness.stream_length() == 0
    third = fill(harness, "third")
    start_worker(harness.settings, pool="threads", concurrency=4)
    check_all(harness, first + second + third, ["first", "second", "third"])


def test_every_row_of_the_backlog_is_in_the_shard_of_its_key_in_the_clear(
    harness: Harness, run: CommandLine
) -> None:
    fill(harness, "first")

    run("reshard", "5", "--yes")

    with harness.engine.connect() as connection:
        hasher = KeyHasher(generated_secret(connection))
    plain = [f"id:{person}" for person in PEOPLE]
    plain += [f"email:{canaries.CANARY_EMAIL}", f"anonymous:{canaries.CANARY_ANONYMOUS_ID}"]
    expected = {hasher.stored(key): shard_of(key, 5) for key in plain}
    rows = harness.rows("SELECT key, shard, keys, shards FROM trackrelay_backlog")
    assert rows
    for row in rows:
        assert row.shard == expected[row.key]
        assert row.shards == [expected[key] for key in row.keys]


def test_applications_and_workers_go_on_meanwhile(
    harness: Harness, run: CommandLine, start_worker: Callable[..., Any]
) -> None:
    start_worker(harness.settings, pool="threads", concurrency=4)
    stop = threading.Event()
    sent: list[tuple[str, str, str]] = []

    def application() -> None:
        producer = Producer(redis_url=harness.settings["TRACKRELAY_REDIS_URL"], enqueue_timeout=20)
        turn = 0
        while not stop.is_set():
            for person in PEOPLE:
                sent.append((person, f"event-{turn}", producer.track(person, f"event-{turn}")))
            turn += 1
            time.sleep(0.01)
        producer.close()

    thread = threading.Thread(target=application)
    thread.start()
    try:
        for count in ("7", "3"):
            wait_until(lambda: len(harness.ledger_ids()) > 20, 30, "delivery to begin")
            assert run("reshard", count, "--yes").code == 0
    finally:
        stop.set()
        thread.join()

    harness.wait_delivered([job for _, _, job in sent], timeout=60)
    for person in PEOPLE:
        assert names_of(harness, f"id:{person}") == [name for of, name, _ in sent if of == person]
    assert harness.sandbox.summary()["duplicates_ignored"] == 0
    assert shards_now(harness) == (3, 3)


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_it_is_completed_by_running_it_again(
    harness: Harness, run: CommandLine, start_worker: Callable[..., Any], step: str
) -> None:
    worker = start_worker(harness.settings, pool="threads", concurrency=4)
    with harness.sandbox.outage():
        first = fill(harness, "first")
        harness.wait_waiting(first[-1])
        worker.stop()
    second = fill(harness, "second")
    done = subprocess.run(
        [str(Path(sys.executable).with_name("trackrelay")), "reshard", "6", "--yes"],
        env=clean_environment() | harness.settings | {"TRACKRELAY_FAILPOINT": f"{step}=kill"},
        capture_output=True,
        timeout=patient(60),
        check=False,
    )
    assert done.returncode == -9

    assert run("reshard", "6", "--yes").code == 0

    assert shards_now(harness) == (6, 6)
    assert not harness.redis.exists(MOVING)
    third = fill(harness, "third")
    start_worker(harness.settings, pool="threads", concurrency=4)
    check_all(harness, first + second + third, ["first", "second", "third"])


@pytest.mark.parametrize("step", ["reshard_begun", "reshard_closed"])
def test_killed_before_anything_changed_delivery_goes_on_by_itself(
    working_harness: Harness, run: CommandLine, step: str
) -> None:
    environment = {"TRACKRELAY_FAILPOINT": f"{step}=kill"}
    assert run.process("reshard", "6", "--yes", **environment).code == -9
    assert 0 < working_harness.redis.pttl(MOVING) <= 60_000
    assert "being changed" in run("status").out

    working_harness.redis.pexpire(MOVING, 1)  # as if the time had passed

    working_harness.wait_delivered([working_harness.producer.track("42", "greeted")])
    assert shards_now(working_harness) == (4, 4)


def test_killed_afterwards_status_says_what_to_run(harness: Harness, run: CommandLine) -> None:
    assert (
        run.process("reshard", "6", "--yes", TRACKRELAY_FAILPOINT="reshard_switched=kill").code
        == -9
    )
    assert harness.redis.pttl(MOVING) == -1
    assert "trackrelay reshard 6" in run("status").out


def test_while_the_queue_is_closed_callers_wait_and_then_get_an_error_that_says_so(
    harness: Harness,
) -> None:
    producer = Producer(redis_url=harness.settings["TRACKRELAY_REDIS_URL"], enqueue_timeout=0.5)
    harness.redis.set(MOVING, "closed")
    threading.Timer(0.2, lambda: harness.redis.delete(MOVING)).start()
    producer.track("42", "waited")
    assert harness.stream_length() == 1

    harness.redis.set(MOVING, "closed")
    with pytest.raises(QueueUnavailableError, match="number of shards is being changed") as raised:
        producer.track("42", "did not wait")
    assert raised.value.job_id
    harness.redis.delete(MOVING)
    producer.track("42", "at once")  # it was not away: nothing cools down
    assert harness.stream_length() == 2


async def test_coroutines_wait_too(harness: Harness) -> None:
    queue = AsyncRedisQueue(
        load({"redis_url": harness.settings["TRACKRELAY_REDIS_URL"], "enqueue_timeout": 0.5})
    )
    harness.redis.set(MOVING, "closed")
    threading.Timer(0.2, lambda: harness.redis.delete(MOVING)).start()

    await queue.append(
        [Entry.of(operations.track("42", "waited"), source=None, trace=None)], "live"
    )

    assert harness.stream_length() == 1
    await queue.aclose()


def test_a_holder_that_slept_through_it_settles_nothing(harness: Harness, run: CommandLine) -> None:
    with harness.engine.begin() as connection:
        asleep = {shard: shards.take_over(connection, shard).fence for shard in range(4)}

    for count in ("2", "4"):
        run("reshard", count, "--yes")

    for shard, fence in asleep.items():
        with harness.engine.begin() as connection, pytest.raises(shards.FenceLostError):
            settlement.settle(connection, Holder(shard, fence), Settlement(), 0)


def test_if_workers_came_back_while_it_slept_nothing_is_changed_under_them(
    harness: Harness, run: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sleep(step: str) -> None:
        if step == "reshard_emptied":
            harness.redis.delete(MOVING)  # it lasts a minute

    monkeypatch.setattr("trackrelay.worker.queue.shard_migration.failpoint", sleep)
    answer = run("reshard", "6", "--yes")
    assert answer.code == 1
    assert "lost the state of the change" in answer.lines[-1]
    assert shards_now(harness) == (4, 4)
    assert not harness.redis.exists(MOVING)


def test_while_anybody_holds_a_shard_nothing_is_changed(
    harness: Harness, run: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held(step: str) -> None:
        if step == "reshard_closed":
            # What the holder is sending is out of the backlog: the streams are empty.
            harness.redis.set(lease(2), 7, px=1_000)
        if step == "reshard_switched":
            assert not harness.redis.exists(lease(2))

    monkeypatch.setattr("trackrelay.worker.queue.shard_migration.failpoint", held)
    assert run("reshard", "6", "--yes").code == 0
    assert shards_now(harness) == (6, 6)


def test_partly_paused_it_is_refused_and_wholly_paused_it_stays_paused(
    harness: Harness, run: CommandLine
) -> None:
    run("pause", "--shard", "1")
    assert "some shards are paused" in run("reshard", "6", "--yes").lines[-1]
    assert shards_now(harness) == (4, 4)

    run("pause")
    assert run("reshard", "6", "--yes").code == 0
    assert len(run("status", "--json").json["paused"]) == 6


def test_a_fixed_number_of_shards_is_refused_with_what_to_do(
    harness: Harness, run: CommandLine
) -> None:
    line = run("reshard", "6", "--yes", TRACKRELAY_SHARDS="4").only_line()
    assert "Remove it (or correct it) here and wherever applications and workers run" in line


def test_the_same_number_changes_nothing_and_a_declined_question_neither(
    harness: Harness, run: CommandLine
) -> None:
    assert run("reshard", "4").out == "The queue already has 4 shards.\n"
    declined = run("reshard", "6", input="n\n")
    assert declined.code == 1
    assert "Delivery pauses while waiting jobs are moved" in declined.err
    assert shards_now(harness) == (4, 4)


def test_two_at_once_are_one(
    harness: Harness, run: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_migration, "ENDED_S", 0.0)
    with harness.engine.connect() as connection:
        connection.exec_driver_sql("SELECT pg_advisory_lock(7403911261)")
        assert "another `trackrelay reshard` is running" in run("reshard", "6", "--yes").lines[-1]


def test_dead_letters_are_not_replayed_into_a_layout_that_is_changing(
    working_harness: Harness, run: CommandLine
) -> None:
    working_harness.sandbox.add_fault(kind="reject", match={"name": "odd"}, message="odd is odd")
    job = working_harness.producer.track("42", "odd")
    working_harness.wait_dead(job)
    working_harness.redis.set(MOVING, "drain")

    answer = run("replay", "--id", job, "--yes")

    assert answer.code == 1
    assert "the queue's number of shards is changing: replay again when that is done" in answer.err
    assert working_harness.dead(job).state == "open"
