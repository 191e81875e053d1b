"""Redis and Postgres agree on the queue.

A difference is repaired, or delivery stops and names the command to run.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from tests.support.in_process_worker import BUSY, FakeApi, Worker, make_due, probe_now
from tests.support.waiting import wait_until
from trackrelay.queue.redis_keys import CONFIG, MOVING
from trackrelay.sandbox.sandbox_process import SandboxProcess
from trackrelay.worker.maintenance.ticks import TICK_KEY, wake_forgotten_shards
from trackrelay.worker.queue import queue_config
from trackrelay.worker.queue.bootstrap import migrate
from trackrelay.worker.queue.shard_migration import Resharder
from trackrelay.worker.storage import queue_record

PEOPLE = [f"p{number}" for number in range(24)]


@pytest.fixture
def harness(worker_settings: dict[str, str], sandbox: SandboxProcess) -> Iterator[Harness]:
    harness = Harness({**worker_settings, "TRACKRELAY_REQUEST_TIMEOUT": "0.2s"}, sandbox.client)
    migrate(harness.engine, harness.redis, 4)
    yield harness
    harness.close()


@pytest.fixture
def run(harness: Harness) -> CommandLine:
    return CommandLine(harness.settings)


def tick(worker: Worker) -> list[int]:
    """One tick, whenever the last one was."""
    worker.redis.delete(TICK_KEY)
    return wake_forgotten_shards(worker.resources)


def reshard(worker: Worker, shards: int) -> None:
    """Give the queue another number of shards."""
    resources = worker.resources
    Resharder(resources.engine, resources.redis, resources.settings, resources.hasher).run(shards)


def backlog_of_an_outage(harness: Harness, worker: Worker, api: FakeApi, shards: int) -> None:
    """Leave a first event of everybody in the backlog."""
    api.answers = lambda request, documents: BUSY
    for person in PEOPLE:
        harness.producer.track(person, f"first {person}", {})
    for shard in range(shards):
        worker.run_shard(shard, 0.5)
    api.answers = lambda request, documents: None
    assert harness.backlog_size() == len(PEOPLE)


def deliver_all(harness: Harness, worker: Worker, shards: int, events: int) -> None:
    """Hold each shard until everything has arrived."""

    def done() -> bool:
        make_due(harness.engine)
        if harness.redis.exists("trackrelay:breaker"):
            probe_now(harness.redis)
        for shard in range(shards):
            worker.run_shard(shard, 0.5)
        return len(harness.ledger_ids()) == events

    wait_until(done, 60, lambda: f"{events} deliveries; there are {len(harness.ledger_ids())}")


def assert_first_before_second(api: FakeApi) -> None:
    """Check that no person's second event was taken before the first."""
    assert sorted(api.taken) == sorted(
        [f"{which} {person}" for which in ("first", "second") for person in PEOPLE]
    )
    late = [
        person
        for person in PEOPLE
        if api.taken.index(f"first {person}") > api.taken.index(f"second {person}")
    ]
    assert late == []


def complaints(logs: list[dict[str, Any]]) -> list[str]:
    """What was logged as an error."""
    return [
        str(line.get("message") or line["event"]) for line in logs if line["log_level"] == "error"
    ]


def test_migrate_after_a_wipe_sets_up_as_many_shards_as_postgres_has(
    harness: Harness, worker: Worker, api: FakeApi
) -> None:
    reshard(worker, 8)
    backlog_of_an_outage(harness, worker, api, 8)
    harness.redis.flushall()
    assert migrate(harness.engine, harness.redis, None, request_timeout_s=0.2).shards == 8
    for person in PEOPLE:
        harness.producer.track(person, f"second {person}", {})
    deliver_all(harness, worker, 8, 2 * len(PEOPLE))
    assert_first_before_second(api)


def test_migrate_refuses_another_number_of_shards_than_postgres_has(
    harness: Harness, worker: Worker, run: CommandLine
) -> None:
    reshard(worker, 8)
    harness.redis.flushall()
    assert run("migrate", TRACKRELAY_SHARDS="4").only_line() == (
        "TRACKRELAY_SHARDS is 4, but Postgres knows 8 shards: "
        "correct the setting (or leave it out), or change the queue with "
        "`trackrelay reshard`"
    )
    assert queue_config.read(harness.redis) is None


def set_up_elsewhere(harness: Harness, shards: int = 4) -> None:
    """Wipe Redis, and set it up without asking Postgres, as version 0.1.0 does."""
    harness.redis.flushall()
    queue_config.set_up(harness.redis, shards)


def test_an_empty_queue_of_another_number_of_shards_gets_the_number_of_postgres(
    harness: Harness, worker: Worker, api: FakeApi
) -> None:
    reshard(worker, 8)
    backlog_of_an_outage(harness, worker, api, 8)
    set_up_elsewhere(harness)
    tick(worker)
    found = queue_config.read(harness.redis)
    assert found is not None
    assert found.shards == 8
    for person in PEOPLE:
        harness.producer.track(person, f"second {person}", {})
    deliver_all(harness, worker, 8, 2 * len(PEOPLE))
    assert_first_before_second(api)


def test_while_the_stores_differ_nothing_is_delivered_and_one_line_names_the_command(
    harness: Harness, worker: Worker, api: FakeApi, run: CommandLine
) -> None:
    reshard(worker, 8)
    backlog_of_an_outage(harness, worker, api, 8)
    set_up_elsewhere(harness)
    for person in PEOPLE:
        harness.producer.track(person, f"second {person}", {})
    taken_before = list(api.taken)
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            tick(worker)
            for shard in range(4):
                worker.run_shard(shard, 0.2)
        harness.redis.delete(MOVING)  # what time does to it when no tick comes
        for shard in range(4):
            worker.run_shard(shard, 0.2)
    (complaint,) = complaints(logs)
    assert "the queue in Redis has 4 shards, Postgres knows 8" in complaint
    assert "`trackrelay migrate --adopt`" in complaint
    assert api.taken == taken_before

    status = run("status")
    assert status.code == 1
    assert any("the queue in Redis has 4 shards, Postgres knows 8" in line for line in status.lines)
    assert "Nothing is delivered" in status.out
    assert any("Postgres knows 8" in line for line in run("check").lines)
    assert "Postgres knows 8" in run("reshard", "8", "--yes").only_line()
    assert "Postgres knows 8" in run("migrate").only_line()

    adopted = run("migrate", "--adopt", "--yes")
    assert adopted.code == 0, adopted
    tick(worker)
    deliver_all(harness, worker, 4, 2 * len(PEOPLE))
    assert_first_before_second(api)


def test_another_environments_queue_is_not_delivered(
    harness: Harness, worker: Worker, api: FakeApi, run: CommandLine
) -> None:
    tick(worker)
    harness.redis.hset(CONFIG, "generation", "another")
    harness.producer.track("42", "another's", {})
    tick(worker)
    for shard in range(4):
        worker.run_shard(shard, 0.2)
    assert api.taken == []
    assert "the queue in Redis has generation another" in run("status").lines[0]
    assert run("migrate", "--adopt", "--yes").code == 0
    tick(worker)
    deliver_all(harness, worker, 4, 1)


def test_a_worker_that_finds_a_difference_at_its_start_says_so_and_delivers_once_it_is_mended(
    harness: Harness, run: CommandLine, start_worker: Any
) -> None:
    harness.redis.hset(CONFIG, "generation", "another")
    job = harness.producer.track("42", "seen", {})
    worker = start_worker(harness.settings, pool="threads", concurrency=2)
    wait_until(
        lambda: "the queue in Redis has generation another" in worker.output, 60, "its complaint"
    )
    assert harness.ledger_ids() == set()
    assert run("migrate", "--adopt", "--yes").code == 0
    harness.wait_delivered([job], 60)


def test_an_interrupted_reshard_is_no_difference(harness: Harness, worker: Worker) -> None:
    harness.redis.set(MOVING, "layout")
    harness.redis.hset(CONFIG, "shards", 8)
    with structlog.testing.capture_logs() as logs:
        tick(worker)
    assert complaints(logs) == []


def test_the_queue_of_version_0_1_0_is_recorded_by_the_first_tick(
    harness: Harness, worker: Worker
) -> None:
    with harness.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM trackrelay_state WHERE name = 'queue'")
    tick(worker)
    found = queue_config.read(harness.redis)
    assert found is not None
    (row,) = harness.rows("SELECT value FROM trackrelay_state WHERE name = 'queue'")
    assert row.value == {"generation": found.generation, "format": found.format}


def test_a_crash_between_the_two_stores_leaves_nothing_that_looks_like_another_queue(
    harness: Harness, worker: Worker
) -> None:
    """Postgres has a new generation already, Redis still has the old one and jobs in it."""
    harness.producer.track("42", "seen", {})
    with harness.engine.begin() as connection:
        queue_record.write(connection, "the new one", 1, pending=True)
    tick(worker)
    found = queue_config.read(harness.redis)
    assert found is not None
    assert found.generation == "the new one"
    deliver_all(harness, worker, 4, 1)
