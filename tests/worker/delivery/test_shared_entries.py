"""Stream entries that hold several jobs, as ``enqueue_many()`` makes them: read, counted and acknowledged."""

import os
import signal
from typing import Any

import pytest

from tests.support.road import Road
from tests.worker.delivery.in_process import (
    FakeApi,
    Worker,
    hold_with_mortals,
    people_of,
    shard_of_person,
)
from tests.worker.ops.command_line import CommandLine
from trackrelay import operations
from trackrelay.queue.append import Entry
from trackrelay.queue.coalescing import ENTRY_JOBS
from trackrelay.queue.redis_keys import more, stream
from trackrelay.worker.delivery import cycle
from trackrelay.worker.delivery.batching import pack
from trackrelay.worker.delivery.cycle import ROUND_BYTES, ROUND_JOBS
from trackrelay.worker.delivery.shard_queue import ShardQueue

SHARD = shard_of_person("42")


def enqueue(road: Road, names: list[str], size_bytes: int = 0) -> list[str]:
    """An event of each name, each of another person of the shard, in the bulk lane."""
    pad = {"pad": "x" * size_bytes} if size_bytes else {}
    many = [
        operations.track(person, name, pad)
        for person, name in zip(people_of(SHARD, len(names)), names, strict=True)
    ]
    road.producer.enqueue_many(many)
    return [operation.id for operation in many]


def test_they_are_delivered_in_full_requests_and_counted_down(
    road: Road, api: FakeApi, worker: Worker
) -> None:
    # Entries of 25 and of 8 jobs.
    jobs = [job for _ in range(70) for job in enqueue(road, ["seen"] * 33)]
    assert road.stream_length() == 70 * 33
    worker.hold(SHARD)
    assert road.ledger_ids() == set(jobs)
    sizes = [len(sent.labels) for sent in api.sent]
    assert len(sizes) == 3
    assert all(ROUND_JOBS - ENTRY_JOBS < size <= ROUND_JOBS for size in sizes[:-1])
    assert road.stream_length() == 0
    assert int(road.redis.get(more(SHARD, "bulk")) or 0) == 0


def test_a_read_ends_at_its_bytes(road: Road, api: FakeApi, worker: Worker) -> None:
    enqueue(road, ["seen"] * 400, size_bytes=20_000)
    queue = ShardQueue(worker.resources.redis, SHARD)
    queue.claim()
    queue.take(10**6)
    read = queue.read("bulk", ROUND_JOBS, ROUND_BYTES, pending=False)
    size = sum(len(entry.data or b"") for entry in read.entries)
    assert ROUND_BYTES <= size < 2 * ROUND_BYTES


def test_entries_to_themselves_come_between_them(road: Road, worker: Worker) -> None:
    before = enqueue(road, ["before"] * 30)
    between = operations.track("42", "between")
    entry = Entry.of(between, source=None, trace=None)
    road.redis.xadd(stream(SHARD, "bulk"), {"v": 1, "j": entry.data})
    after = enqueue(road, ["after"] * 30)
    worker.hold(SHARD)
    assert road.ledger_ids() == {*before, between.id, *after}
    assert road.stream_length() == 0


def test_who_acknowledges_what_another_holder_has_acknowledged_counts_nothing_twice(
    road: Road, worker: Worker
) -> None:
    enqueue(road, ["seen"] * 60)
    queue = ShardQueue(worker.resources.redis, SHARD)
    queue.claim()
    queue.take(10**6)
    first = queue.read("bulk", 2 * ENTRY_JOBS, ROUND_BYTES, pending=False)
    assert sum(entry.jobs for entry in first.entries) == 2 * ENTRY_JOBS
    queue.acknowledge("bulk", first.entries[:1])
    assert road.stream_length() == 35
    queue.acknowledge("bulk", first.entries)
    assert road.stream_length() == 10
    queue.acknowledge("bulk", first.entries)
    assert road.stream_length() == 10


def test_one_that_kills_its_workers_harms_none_of_those_it_shares_an_entry_with(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pack_or_die(jobs: Any) -> Any:
        if any(b'"deadly"' in job.body for job in jobs):
            os.kill(os.getpid(), signal.SIGKILL)
        return pack(jobs)

    monkeypatch.setattr(cycle, "pack", pack_or_die)
    jobs = enqueue(road, ["deadly" if number == 33 else "fine" for number in range(60)])
    hold_with_mortals(
        road.settings,
        road.redis,
        SHARD,
        lambda: not road.stream_length() and not road.backlog_size(),
        40,
    )
    assert road.dead(jobs[33]).reason == "crashed"
    assert road.dead_ids() == {jobs[33]}
    assert road.ledger_ids() == set(jobs) - {jobs[33]}


def test_one_that_cannot_be_decoded_is_one_dead_letter_and_counted_down(
    road: Road, worker: Worker
) -> None:
    (job,) = enqueue(road, ["seen"])
    road.redis.xadd(stream(SHARD, "bulk"), {"v": 1, "j": b"[{", "n": 7})
    road.redis.incrby(more(SHARD, "bulk"), 6)
    road.redis.xadd(stream(SHARD, "bulk"), {"v": 1, "j": b"[]", "n": "many"})
    worker.hold(SHARD)
    assert road.ledger_ids() == {job}
    assert len(road.dead_ids()) == 2
    assert road.stream_length() == int(road.redis.get(more(SHARD, "bulk")) or 0) == 0


def test_people_are_told_of_jobs_not_of_entries(road: Road, worker: Worker) -> None:
    jobs = enqueue(road, ["seen"] * 60)
    queue = ShardQueue(worker.resources.redis, SHARD)
    queue.claim()
    queue.take(10**6)
    queue.read("bulk", ENTRY_JOBS, ROUND_BYTES, pending=False)
    told = CommandLine(road.settings)
    shards = told("status", "--json").json["queue"]["shards"]
    assert (shards[SHARD]["bulk"], shards[SHARD]["pending"]) == (60, 20)
    (found,) = told("find", jobs[-1], "--json").json["jobs"]
    assert found["found_in"][0]["ahead"] == 59
    assert "60 jobs in it" in told("check").out


def test_an_entry_whose_number_of_jobs_is_none_stops_nobody_who_looks(
    road: Road, worker: Worker
) -> None:
    road.redis.xadd(stream(SHARD, "bulk"), {"v": 1, "j": b"[]", "n": "many"})
    jobs = enqueue(road, ["seen"])
    (found,) = CommandLine(road.settings)("find", jobs[0], "--json").json["jobs"]
    assert found["found_in"][0]["ahead"] == 1
