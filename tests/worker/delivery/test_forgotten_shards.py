"""The tick finds every shard that has work and no holder, even if a wakeup exists; no shard waits behind others."""

import time

import pytest

from tests.support.road import Road
from tests.worker.delivery.in_process import (
    BUSY,
    SHARDS,
    FakeApi,
    Worker,
    make_due,
    people_of,
    shard_of_person,
)
from trackrelay.worker.delivery import cycle
from trackrelay.worker.delivery.shard_queue import ShardQueue, fairest
from trackrelay.worker.maintenance.ticks import TICK_KEY, wake_forgotten_shards
from trackrelay.worker.storage import shards

SHARD = shard_of_person("42")


class Killed(BaseException):
    """Stands for SIGKILL."""


def tick(worker: Worker) -> list[int]:
    worker.redis.delete(TICK_KEY)
    return wake_forgotten_shards(worker.resources)


def deaf(road: Road) -> None:
    """Set the wakeups without their messages: the messages are gone."""
    for shard in range(SHARDS):
        road.redis.set(f"trackrelay:{shard}:wakeup", "somebody was told")
    road.redis.delete("trackrelay:celery:deliver")


def test_unread_jobs_are_found(road: Road, worker: Worker) -> None:
    assert tick(worker) == []
    road.producer.track("42", "unread", {})
    deaf(road)
    assert tick(worker) == [SHARD]
    assert road.redis.llen("trackrelay:celery:deliver") == 1


def test_jobs_that_a_killed_holder_left_pending_are_found_once_its_lease_is_gone(
    road: Road, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(point: str) -> None:
        raise Killed

    road.producer.track("42", "pending", {})
    monkeypatch.setattr(cycle, "failpoint", killed)
    monkeypatch.setattr(ShardQueue, "leave", lambda *_: "lost")
    with pytest.raises(Killed):
        worker.hold(SHARD)
    deaf(road)
    assert tick(worker) == []
    road.redis.delete(f"trackrelay:{SHARD}:lease")
    assert tick(worker) == [SHARD]


def test_due_jobs_are_found_unless_their_shard_is_paused(
    road: Road, api: FakeApi, worker: Worker
) -> None:
    api.answers = lambda request, documents: BUSY
    road.producer.track("42", "waits", {})
    worker.hold(SHARD, slice_s=0.001)  # one round: more of them would open the breaker
    make_due(road.engine)
    deaf(road)
    assert tick(worker) == [SHARD]
    with road.engine.begin() as connection:
        shards.set_paused(connection, [SHARD], True)
    assert tick(worker) == []


def test_a_message_is_spent_on_the_shard_that_waits_for_the_longest(
    road: Road, worker: Worker
) -> None:
    for shard in range(3):
        road.producer.track(people_of(shard, 1)[0], "waits", {})
    assert fairest(road.redis, 1) == 1
    for shard, ago in ((0, 10), (1, 5)):
        road.redis.set(f"trackrelay:{shard}:left", int(time.time()) - ago)
    assert fairest(road.redis, 1) == 2
    road.redis.set("trackrelay:2:lease", 1)
    assert fairest(road.redis, 1) == 0
    road.redis.delete("trackrelay:0:live")
    assert fairest(road.redis, 1) == 1


def test_a_shard_that_is_handed_on_with_work_left_lets_others_go_first(
    road: Road, worker: Worker
) -> None:
    first, second = (people_of(shard, 1)[0] for shard in (0, 1))
    for _ in range(2):
        road.producer.track(first, "waits", {})
    road.producer.track(second, "waits", {})
    worker.hold(0, slice_s=0)
    assert fairest(road.redis, 0) == 1
