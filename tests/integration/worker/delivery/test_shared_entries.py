"""Stream entries with several jobs, from ``enqueue_many()``, are read, counted and acknowledged."""

import os
import signal
from typing import Any

import pytest

from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from tests.support.in_process_worker import (
    FakeApi,
    Worker,
    hold_with_mortals,
    people_of,
    shard_of_person,
)
from trackrelay import operations
from trackrelay.queue.append import Entry
from trackrelay.queue.redis_keys import more, stream
from trackrelay.queue.shared_entries import ENTRY_JOBS
from trackrelay.worker.delivery import cycle
from trackrelay.worker.delivery.batching import pack
from trackrelay.worker.delivery.intake import MAX_CYCLE_BYTES, MAX_CYCLE_JOBS
from trackrelay.worker.delivery.shard_queue import ShardQueue

SHARD = shard_of_person("42")


def enqueue(harness: Harness, names: list[str], size_bytes: int = 0) -> list[str]:
    """An event of each name, each of another person of the shard, in the bulk lane."""
    pad = {"pad": "x" * size_bytes} if size_bytes else {}
    many = [
        operations.track(person, name, pad)
        for person, name in zip(people_of(SHARD, len(names)), names, strict=True)
    ]
    harness.producer.enqueue_many(many)
    return [operation.id for operation in many]


def test_they_are_delivered_in_full_requests_and_counted_down(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    # Entries of 25 and of 8 jobs.
    jobs = [job for _ in range(70) for job in enqueue(harness, ["seen"] * 33)]
    assert harness.stream_length() == 70 * 33
    worker.run_shard(SHARD)
    assert harness.ledger_ids() == set(jobs)
    sizes = [len(sent.labels) for sent in api.sent]
    assert len(sizes) == 3
    assert all(MAX_CYCLE_JOBS - ENTRY_JOBS < size <= MAX_CYCLE_JOBS for size in sizes[:-1])
    assert harness.stream_length() == 0
    assert int(harness.redis.get(more(SHARD, "bulk")) or 0) == 0


def test_a_read_ends_at_its_bytes(harness: Harness, api: FakeApi, worker: Worker) -> None:
    enqueue(harness, ["seen"] * 400, size_bytes=20_000)
    queue = ShardQueue(worker.resources.redis, SHARD)
    queue.claim()
    queue.take(10**6)
    read = queue.read("bulk", MAX_CYCLE_JOBS, MAX_CYCLE_BYTES, pending=False)
    size = sum(len(entry.data or b"") for entry in read.entries)
    assert MAX_CYCLE_BYTES <= size < 2 * MAX_CYCLE_BYTES


def test_entries_to_themselves_come_between_them(harness: Harness, worker: Worker) -> None:
    before = enqueue(harness, ["before"] * 30)
    between = operations.track("42", "between")
    entry = Entry.of(between, source=None, trace=None)
    harness.redis.xadd(stream(SHARD, "bulk"), {"v": 1, "j": entry.data})
    after = enqueue(harness, ["after"] * 30)
    worker.run_shard(SHARD)
    assert harness.ledger_ids() == {*before, between.id, *after}
    assert harness.stream_length() == 0


def test_who_acknowledges_what_another_holder_has_acknowledged_counts_nothing_twice(
    harness: Harness, worker: Worker
) -> None:
    enqueue(harness, ["seen"] * 60)
    queue = ShardQueue(worker.resources.redis, SHARD)
    queue.claim()
    queue.take(10**6)
    first = queue.read("bulk", 2 * ENTRY_JOBS, MAX_CYCLE_BYTES, pending=False)
    assert sum(entry.jobs for entry in first.entries) == 2 * ENTRY_JOBS
    queue.acknowledge("bulk", first.entries[:1])
    assert harness.stream_length() == 35
    queue.acknowledge("bulk", first.entries)
    assert harness.stream_length() == 10
    queue.acknowledge("bulk", first.entries)
    assert harness.stream_length() == 10


def test_one_that_kills_its_workers_harms_none_of_those_it_shares_an_entry_with(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pack_or_die(jobs: Any) -> Any:
        if any(b'"deadly"' in job.body for job in jobs):
            os.kill(os.getpid(), signal.SIGKILL)
        return pack(jobs)

    monkeypatch.setattr(cycle, "pack", pack_or_die)
    jobs = enqueue(harness, ["deadly" if number == 33 else "fine" for number in range(60)])
    hold_with_mortals(
        harness.settings,
        harness.redis,
        SHARD,
        lambda: not harness.stream_length() and not harness.backlog_size(),
        40,
    )
    assert harness.dead(jobs[33]).reason == "crashed"
    assert harness.dead_ids() == {jobs[33]}
    assert harness.ledger_ids() == set(jobs) - {jobs[33]}


def test_one_that_cannot_be_decoded_is_one_dead_letter_and_counted_down(
    harness: Harness, worker: Worker
) -> None:
    (job,) = enqueue(harness, ["seen"])
    harness.redis.xadd(stream(SHARD, "bulk"), {"v": 1, "j": b"[{", "n": 7})
    harness.redis.incrby(more(SHARD, "bulk"), 6)
    harness.redis.xadd(stream(SHARD, "bulk"), {"v": 1, "j": b"[]", "n": "many"})
    worker.run_shard(SHARD)
    assert harness.ledger_ids() == {job}
    assert len(harness.dead_ids()) == 2
    assert harness.stream_length() == int(harness.redis.get(more(SHARD, "bulk")) or 0) == 0


def test_users_see_numbers_of_jobs_not_of_entries(harness: Harness, worker: Worker) -> None:
    jobs = enqueue(harness, ["seen"] * 60)
    queue = ShardQueue(worker.resources.redis, SHARD)
    queue.claim()
    queue.take(10**6)
    queue.read("bulk", ENTRY_JOBS, MAX_CYCLE_BYTES, pending=False)
    told = CommandLine(harness.settings)
    shards = told("status", "--json").json["queue"]["shards"]
    assert (shards[SHARD]["bulk"], shards[SHARD]["pending"]) == (60, 20)
    (found,) = told("find", jobs[-1], "--json").json["jobs"]
    assert found["found_in"][0]["ahead"] == 59
    assert "60 jobs in it" in told("check").out


def test_an_entry_with_an_invalid_number_of_jobs_stops_no_command(
    harness: Harness, worker: Worker
) -> None:
    harness.redis.xadd(stream(SHARD, "bulk"), {"v": 1, "j": b"[]", "n": "many"})
    jobs = enqueue(harness, ["seen"])
    (found,) = CommandLine(harness.settings)("find", jobs[0], "--json").json["jobs"]
    assert found["found_in"][0]["ahead"] == 1
