"""Ages come from server clocks, and count only while delivery has been possible."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from tests.support.harness import Harness
from tests.support.in_process_worker import (
    BUSY,
    FakeApi,
    Worker,
    expire_lease,
    people_of,
    probe_now,
    shard_of_person,
)
from trackrelay.worker.delivery import cycle
from trackrelay.worker.delivery.shard_queue import LeaseLostError, ShardQueue
from trackrelay.worker.maintenance.ticks import wake_forgotten_shards
from trackrelay.worker.storage import settlement, shards
from trackrelay.worker.storage.settlement import Holder, Settlement

DAY_S = 86_400
SHARD = shard_of_person("42")


class Clock:
    """A worker's clock that is off by some seconds."""

    def __init__(self, offset_s: float) -> None:
        self._offset_s = offset_s

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    def time(self) -> float:
        return time.time() + self._offset_s


@pytest.mark.parametrize("days", [-4, 4])
def test_a_worker_whose_clock_is_days_off_expires_nothing_and_postpones_nothing(
    harness: Harness, api: FakeApi, worker: Worker, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    harness.producer.track(people_of(0, 1)[0], "delivered before", {})
    worker.run_shard(0, 0.2)
    monkeypatch.setattr(cycle, "time", Clock(days * DAY_S))
    jobs = {harness.producer.track(person, "x", {}) for person in people_of(0, 10)}
    worker.run_shard(0, 0.5)
    assert jobs <= harness.ledger_ids()
    assert not harness.dead_ids()


def test_nothing_expires_while_it_is_not_known_since_when_delivery_has_been_possible(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    """Redis lost what it knew of an outage that is already longer than a job's maximum age."""
    api.answers = lambda request, documents: BUSY
    jobs = {harness.producer.track(person, "waits", {}) for person in people_of(0, 10)}
    for _ in range(3):
        worker.run_shard(0, 0.1)
    with harness.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE trackrelay_backlog SET age_from = age_from - interval '9 days'"
        )
        connection.exec_driver_sql(
            "UPDATE trackrelay_state SET updated_at = now() - interval '9 days' "
            "WHERE name LIKE 'delivery_resumed_at%%'"
        )
    harness.redis.flushall()
    wake_forgotten_shards(worker.resources)
    for shard in range(4):
        expire_lease(harness.redis, shard)
    worker.run_shard(0, 0.3)
    assert not harness.dead_ids()
    assert len(api.sent) > 3
    api.answers = lambda request, documents: None
    probe_now(harness.redis)
    worker.work_off(lambda: harness.ledger_ids() == jobs)


def test_a_job_expires_only_if_both_servers_find_it_too_old(
    harness: Harness, api: FakeApi, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.producer.track(people_of(0, 1)[0], "delivered before", {})
    worker.run_shard(0, 0.2)
    harness.redis.hset("trackrelay:breaker:v2", "recovered_ms", 1)
    with harness.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE trackrelay_state SET updated_at = now() - interval '9 days' "
            "WHERE name LIKE 'delivery_resumed_at%%'"
        )
    read_states = worker.breaker.read_states

    def redis_is_ahead(**options: Any) -> Any:
        return replace(read_states(**options), now=time.time() + 9 * DAY_S)

    monkeypatch.setattr(worker.breaker, "read_states", redis_is_ahead)
    job = harness.producer.track(people_of(0, 1)[0], "young by Postgres' clock", {})
    worker.run_shard(0, 0.2)
    assert job in harness.ledger_ids()


def test_an_entry_from_the_future_does_not_stamp_later_identifies(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    """Redis' clock was an hour fast for a moment; ids of entries never go back."""
    stream = f"trackrelay:{SHARD}:live"
    harness.producer.identify("42", {"label": "a"})
    ((_, fields),) = harness.redis.xrange(stream)
    harness.redis.delete(stream)
    harness.redis.xadd(stream, fields, id=f"{int((time.time() + 3600) * 1000)}-0")
    worker.run_shard(SHARD, 0.2)
    harness.producer.identify("42", {"label": "b"})
    worker.run_shard(SHARD, 0.2)
    stamps = [document["timestamp"] for sent in api.sent for document in sent.documents]
    assert len(stamps) == 2
    # The test itself may be slow: both were stamped with the server's time and a minute.
    assert all(stamp <= time.time() + 61 for stamp in stamps)
    assert stamps == sorted(stamps)


def test_a_fence_that_postgres_gives_out_twice_is_not_a_lease_twice(
    harness: Harness, worker: Worker
) -> None:
    """A failover loses the commit of a takeover, and a second holder gets the same fence."""

    def take_over() -> ShardQueue:
        queue = ShardQueue(harness.redis, SHARD)
        assert queue.claim()
        with harness.engine.begin() as connection:
            fence = shards.take_over(connection, SHARD, queue.claim_id).fence
        queue.take(fence)
        return queue

    sleeper = take_over()
    expire_lease(harness.redis, SHARD)
    with harness.engine.begin() as connection:
        connection.exec_driver_sql(
            f"UPDATE trackrelay_shards SET fence = fence - 1 WHERE shard = {SHARD}"
        )
    holder = take_over()
    assert sleeper.fence == holder.fence
    with pytest.raises(LeaseLostError):
        sleeper.read("live", 10, 1000, pending=False)
    assert sleeper.leave("quiet") == "lost"
    with harness.engine.begin() as connection, pytest.raises(shards.FenceLostError):
        settlement.settle(
            connection, Holder(SHARD, sleeper.fence, sleeper.claim_id), Settlement(), 0.0
        )
    with harness.engine.begin() as connection:
        settlement.settle(
            connection, Holder(SHARD, holder.fence, holder.claim_id), Settlement(), 0.0
        )
    assert harness.redis.get(f"trackrelay:{SHARD}:lease") == holder.token.encode()
