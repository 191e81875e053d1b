"""``trackrelay pause``, ``resume``, ``drain``, ``ledger prune`` and ``enqueue``."""

import threading
import time
from typing import Any

import pytest
import redis
import sqlalchemy as sa

from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from tests.support.waiting import wait_until

EVENT = '{"type": "person", "action": "event", "identifiers": {"id": "42"}, "name": "greeted"}'


def test_nothing_is_delivered_while_paused_and_everything_afterwards(
    working_harness: Harness, run: CommandLine
) -> None:
    assert (
        run("pause").out == "Paused: shards 0, 1, 2 and 3. `trackrelay resume` resumes delivery.\n"
    )
    jobs = [working_harness.producer.track(str(person), "greeted") for person in range(10)]
    _wait_for_ticks(working_harness, 2)
    assert working_harness.ledger_ids() == set()

    assert run("resume").out == "Resumed: shards 0, 1, 2 and 3.\n"
    working_harness.wait_delivered(jobs)


def test_one_shard_is_paused_and_the_others_go_on(
    working_harness: Harness, run: CommandLine
) -> None:
    run("pause", "--shard", "0", "--shard", "1")
    jobs = {person: working_harness.producer.track(str(person), "greeted") for person in range(20)}
    free = [jobs[person] for person in jobs if _shard(person) in (2, 3)]
    working_harness.wait_delivered(free)

    assert working_harness.ledger_ids() == set(free)
    run("resume")
    working_harness.wait_delivered(jobs.values())


def test_pausing_returns_when_no_request_is_on_its_way(
    working_harness: Harness, run: CommandLine
) -> None:
    working_harness.sandbox.settings(latency_s=1.5)
    job = working_harness.producer.track("42", "slow")
    wait_until(
        lambda: any(not request["finished"] for request in working_harness.sandbox.requests()),
        10,
        "a request",
    )

    run("pause")

    assert working_harness.delivered(job)
    assert not working_harness.redis.keys("trackrelay:*:lease")


def test_a_shard_that_does_not_exist_is_reported_and_nothing_is_paused(
    harness: Harness, run: CommandLine
) -> None:
    assert (
        run("pause", "--shard", "1", "--shard", "9").only_line().startswith("there is no shard 9")
    )
    assert run("status", "--json").json["paused"] == []


def test_draining_waits_until_everything_is_delivered(
    working_harness: Harness, run: CommandLine
) -> None:
    working_harness.sandbox.settings(latency_s=0.3)
    jobs = {working_harness.producer.track(str(person), "greeted") for person in range(200)}

    answer = run("drain")

    assert answer.code == 0
    assert answer.out.startswith("Drained in ")
    assert jobs <= working_harness.ledger_ids()


def test_draining_gives_up_after_its_time_and_says_what_is_left_and_why(
    harness: Harness, run: CommandLine
) -> None:
    harness.producer.track("42", "greeted")

    answer = run("drain", "--timeout", "1s")

    assert answer.code == 1
    assert "No worker runs" in answer.lines[0]
    assert answer.lines[-1].startswith(
        "not drained within 1 s: 1 job in the streams and 0 jobs in the backlog"
    )


def test_draining_with_no_time_only_looks(harness: Harness, run: CommandLine) -> None:
    assert run("drain", "--timeout", "0s").code == 0
    harness.producer.track("42", "greeted")
    assert run("drain", "--timeout", "0s").lines[-1].startswith("not drained: 1 job in the streams")


@pytest.mark.parametrize("why", [redis.ConnectionError("Connection refused"), KeyboardInterrupt()])
def test_a_pause_whose_wait_times_out_is_reported_to_hold(
    harness: Harness, run: CommandLine, monkeypatch: pytest.MonkeyPatch, why: BaseException
) -> None:
    def held(*_: object) -> list[int]:
        raise why

    monkeypatch.setattr("trackrelay.worker.cli.pause_command.held_shards", held)
    line = run("pause").only_line()
    assert line.startswith("paused shards 0, 1, 2 and 3, but a request may still be in flight: ")
    assert "`trackrelay resume`" in line
    assert len(run("status", "--json").json["paused"]) == 4


def test_draining_the_streams_leaves_the_backlog_alone(
    working_harness: Harness, run: CommandLine
) -> None:
    with working_harness.sandbox.outage():
        working_harness.wait_waiting(working_harness.producer.track("42", "greeted"))
        assert run("drain", "--streams-only").code == 0
        assert run("drain", "--timeout", "500ms").code == 2  # no such duration
        assert run("drain", "--timeout", "0.5s").code == 1


def test_draining_sees_what_is_replayed_or_retried_meanwhile(
    working_harness: Harness, run: CommandLine
) -> None:
    working_harness.sandbox.start_outage()
    working_harness.wait_waiting(working_harness.producer.track("42", "greeted"))
    threading.Timer(2, working_harness.sandbox.end_outage).start()

    assert run("drain", "--timeout", "60s").code == 0
    assert working_harness.backlog_size() == 0


@pytest.fixture
def old_ledger(harness: Harness) -> Harness:
    """A ledger with rows of different ages."""
    statement = """
        INSERT INTO trackrelay_ledger (id, key, operation, enqueued_at, delivered_at, attempts)
        SELECT lpad(CAST(n AS text), 26, '0'), 'id:42',
            CASE WHEN n % 10 = 0 THEN 'person.delete' ELSE 'person.event' END,
            now() - make_interval(days => n), now() - make_interval(days => n), 1
        FROM generate_series(1, 100) AS n"""
    with harness.engine.begin() as connection:
        connection.execute(sa.text(statement))
    return harness


@pytest.mark.parametrize(
    ("options", "deleted"), [([], 100 - 30 - 6 - 1), (["--older-than", "60d"], 100 - 60 - 3 - 1)]
)
def test_pruning_deletes_what_is_old_and_keeps_what_replays_must_know(
    old_ledger: Harness, run: CommandLine, options: list[str], deleted: int
) -> None:
    dry = run("ledger", "prune", "--dry-run", *options)
    assert len(old_ledger.ledger_ids()) == 100

    answer = run("ledger", "prune", *options)

    kept: list[Any] = old_ledger.rows(
        "SELECT * FROM trackrelay_ledger WHERE operation = 'person.delete'"
    )
    assert len(kept) == 9  # those of the last 90 days, of which dead letters may still be replayed
    assert 100 - len(old_ledger.ledger_ids()) == int(answer.out.split()[0])
    assert dry.out.split()[0] == answer.out.split()[0]
    assert abs(int(answer.out.split()[0]) - deleted) <= 1


def test_the_ledger_is_never_pruned_to_where_a_repeat_would_not_be_known(
    old_ledger: Harness, run: CommandLine
) -> None:
    assert (
        "must be more than 6 d, twice TRACKRELAY_MAX_AGE"
        in run("ledger", "prune", "--older-than", "5d").only_line()
    )
    assert len(old_ledger.ledger_ids()) == 100


def test_an_operation_is_enqueued_in_the_live_lane_and_its_jobs_id_printed(
    working_harness: Harness, run: CommandLine
) -> None:
    job = run("enqueue", EVENT, TRACKRELAY_SOURCE="shell").out.strip()
    working_harness.wait_delivered([job])

    assert working_harness.delivered(job).source == "shell"


def test_an_operation_is_read_from_stdin_and_keeps_its_id_by_its_idempotency_key(
    harness: Harness, run: CommandLine
) -> None:
    first = run("enqueue", "-", "--idempotency-key", "A-1", input=EVENT)
    second = run("enqueue", EVENT.replace("{", '{"idempotency_key": "A-1", ', 1))

    assert first.out == second.out
    assert (
        "has the idempotency_key"
        in run(
            "enqueue",
            EVENT.replace("{", '{"idempotency_key": "A-1", ', 1),
            "--idempotency-key",
            "B",
        ).only_line()
    )


def _shard(person: int) -> int:
    from trackrelay.operations.keys import shard_of

    return shard_of(f"id:{person}", 4)


def _wait_for_ticks(harness: Harness, count: int) -> None:
    # Each tick wakes every shard that has work and may be worked on.
    for _ in range(count):
        harness.redis.delete("trackrelay:tick")
        wait_until(lambda: harness.redis.exists("trackrelay:tick"), 10, "a tick")
    time.sleep(0.2)
