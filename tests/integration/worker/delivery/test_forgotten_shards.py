"""The tick finds every shard that has work and no holder, even if a wakeup exists."""

import time

import pytest

from tests.support.harness import Harness
from tests.support.in_process_worker import (
    BUSY,
    SHARDS,
    FakeApi,
    Worker,
    make_due,
    people_of,
    shard_of_person,
)
from trackrelay.worker.delivery import cycle
from trackrelay.worker.delivery.shard_queue import ShardQueue, choose_shard
from trackrelay.worker.maintenance.ticks import TICK_KEY, wake_forgotten_shards
from trackrelay.worker.storage import shards

SHARD = shard_of_person("42")


class Killed(BaseException):
    """Simulates SIGKILL."""


def tick(worker: Worker) -> list[int]:
    worker.redis.delete(TICK_KEY)
    return wake_forgotten_shards(worker.resources)


def deaf(harness: Harness) -> None:
    """Set the wakeups without their messages: the messages are gone."""
    for shard in range(SHARDS):
        harness.redis.set(f"trackrelay:{shard}:wakeup", "somebody was told")
    harness.redis.delete("trackrelay:celery:deliver")


def test_unread_jobs_are_found(harness: Harness, worker: Worker) -> None:
    assert tick(worker) == []
    harness.producer.track("42", "unread", {})
    deaf(harness)
    assert tick(worker) == [SHARD]
    assert harness.redis.llen("trackrelay:celery:deliver") == 1


def test_jobs_that_a_killed_holder_left_pending_are_found_once_its_lease_has_expired(
    harness: Harness, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(point: str) -> None:
        raise Killed

    harness.producer.track("42", "pending", {})
    monkeypatch.setattr(cycle, "failpoint", killed)
    monkeypatch.setattr(ShardQueue, "leave", lambda *_: "lost")
    with pytest.raises(Killed):
        worker.run_shard(SHARD)
    deaf(harness)
    assert tick(worker) == []
    harness.redis.delete(f"trackrelay:{SHARD}:lease")
    assert tick(worker) == [SHARD]


def test_due_jobs_are_found_unless_their_shard_is_paused(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    api.answers = lambda request, documents: BUSY
    harness.producer.track("42", "waits", {})
    worker.run_shard(SHARD, slice_s=0.001)  # one cycle: more would open the breaker
    make_due(harness.engine)
    deaf(harness)
    assert tick(worker) == [SHARD]
    with harness.engine.begin() as connection:
        shards.set_paused(connection, [SHARD], True)
    assert tick(worker) == []


def test_a_message_is_spent_on_the_shard_that_waits_for_the_longest(
    harness: Harness, worker: Worker
) -> None:
    for shard in range(3):
        harness.producer.track(people_of(shard, 1)[0], "waits", {})
    assert choose_shard(harness.redis, 1) == 1
    for shard, ago in ((0, 10), (1, 5)):
        harness.redis.set(f"trackrelay:{shard}:left", int(time.time()) - ago)
    assert choose_shard(harness.redis, 1) == 2
    harness.redis.set("trackrelay:2:lease", 1)
    assert choose_shard(harness.redis, 1) == 0
    harness.redis.delete("trackrelay:0:live")
    assert choose_shard(harness.redis, 1) == 1


def test_a_shard_that_is_handed_on_with_work_left_lets_others_go_first(
    harness: Harness, worker: Worker
) -> None:
    first, second = (people_of(shard, 1)[0] for shard in (0, 1))
    for _ in range(2):
        harness.producer.track(first, "waits", {})
    harness.producer.track(second, "waits", {})
    worker.run_shard(0, slice_s=0)
    assert choose_shard(harness.redis, 0) == 1
