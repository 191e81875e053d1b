"""Jobs that a failover forgot: they are looked for in every store before they count as lost."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.harness import Harness
from tests.support.in_process_worker import BUSY, FakeApi, Worker
from trackrelay import operations
from trackrelay.queue.acknowledged import KEPT_S, MAX_CHUNKS, REPORT
from trackrelay.queue.redis_keys import ACKNOWLEDGED, PREFIX
from trackrelay.worker.delivery.shard_queue import STORED_KEY
from trackrelay.worker.maintenance.failover_losses import (
    LOOK_KEY,
    TIMELINE_KEY,
    record_lost_jobs,
)

Report = Callable[..., None]


@pytest.fixture
def report(harness: Harness) -> Report:
    """Write jobs into the list, as a producer does that finds another server."""

    def write(*ids: str) -> None:
        assert harness.redis.eval(REPORT, 0, PREFIX, MAX_CHUNKS, KEPT_S, ",".join(ids)) == 1

    return write


def look(harness: Harness, worker: Worker) -> int:
    """One search, however short ago the last one was."""
    harness.redis.delete(LOOK_KEY)
    return record_lost_jobs(worker.resources)


def incidents(harness: Harness) -> list[tuple[Any, ...]]:
    rows = harness.rows("SELECT kind, at_least, at_most FROM trackrelay_incidents ORDER BY id")
    return [tuple(row) for row in rows]


def test_only_jobs_that_are_in_no_store_are_lost(
    harness: Harness, worker: Worker, report: Report
) -> None:
    delivered = harness.producer.track("42", "delivered", {})
    worker.work()
    queued = harness.producer.track("42", "queued", {})
    report("01LOST00000000000000000000", delivered, queued)

    assert look(harness, worker) == 0
    assert harness.redis.llen(ACKNOWLEDGED) == 1  # what was in the streams is not settled yet
    worker.work()
    assert look(harness, worker) == 0  # the first look
    assert look(harness, worker) == 1
    assert incidents(harness) == [("rolled_back", 1, 1)]

    # Another process reports later. It is the same failover.
    report("01LOST00000000000000000001")
    assert (look(harness, worker), look(harness, worker)) == (0, 1)
    assert incidents(harness) == [("rolled_back", 2, 2)]
    assert not harness.redis.exists(ACKNOWLEDGED)


def test_a_job_that_was_enqueued_again_meanwhile_is_not_lost(
    harness: Harness, worker: Worker, report: Report
) -> None:
    again = operations.track("42", "again", {})
    report(again.id)
    harness.producer.enqueue(again)
    assert look(harness, worker) == 0
    worker.work()
    assert look(harness, worker) == 0
    assert incidents(harness) == []
    assert not harness.redis.exists(ACKNOWLEDGED)


def test_a_list_that_somebody_else_fills_is_bounded_and_harmless(
    harness: Harness, worker: Worker
) -> None:
    harness.redis.rpush(ACKNOWLEDGED, *["\xff junk"] * MAX_CHUNKS)
    assert harness.redis.eval(REPORT, 0, PREFIX, MAX_CHUNKS, KEPT_S, "x") == 0
    assert look(harness, worker) == 0
    assert harness.redis.llen(ACKNOWLEDGED) < MAX_CHUNKS
    harness.redis.delete(PREFIX + "config")
    assert harness.redis.eval(REPORT, 0, PREFIX, MAX_CHUNKS, KEPT_S, "x") == 0


def test_jobs_in_the_backlog_that_a_new_timeline_of_postgres_does_not_have_are_lost(
    harness: Harness, worker: Worker, api: FakeApi
) -> None:
    api.answers = lambda request, documents: BUSY
    kept, forgotten = (harness.producer.track(person, "waits", {}) for person in ("42", "43"))
    worker.work()
    harness.wait_waiting(kept)
    harness.wait_waiting(forgotten)
    assert look(harness, worker) == 0
    stored = b",".join(harness.redis.lrange(STORED_KEY, 0, -1)).decode().split(",")
    assert sorted(stored) == sorted([kept, forgotten])

    with harness.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM trackrelay_backlog WHERE job_id = %s", (forgotten,))
    assert look(harness, worker) == 0  # the same timeline
    harness.redis.set(TIMELINE_KEY, "00000000")
    assert look(harness, worker) == 1
    assert look(harness, worker) == 0
    assert incidents(harness) == [("commits_lost", 0, 1)]
