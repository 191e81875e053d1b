"""A shard that cannot be worked on costs the others nothing."""

from __future__ import annotations

import time

import pytest

from tests.support.road import Road
from tests.worker.delivery.in_process import Worker, people_of
from trackrelay.queue.job import FORMAT_VERSION
from trackrelay.worker.delivery.shard_queue import fairest
from trackrelay.worker.storage import shards


def left_a_moment_ago(road: Road, shard: int) -> None:
    road.redis.set(f"trackrelay:{shard}:left", int(time.time()) - 1, px=60_000)


def test_no_message_of_a_busy_shard_is_spent_on_a_paused_one(road: Road, worker: Worker) -> None:
    road.producer.track(people_of(2, 1)[0], "stays", {})
    road.producer.track(people_of(0, 1)[0], "busy", {})
    with road.engine.begin() as connection:
        shards.set_paused(connection, [2], True)
    worker.hold(2)
    left_a_moment_ago(road, 0)
    assert fairest(road.redis, 0) == 0


def test_no_message_of_a_busy_shard_is_spent_on_one_halted_for_a_newer_format(
    road: Road, worker: Worker
) -> None:
    road.redis.xadd("trackrelay:2:live", {"v": FORMAT_VERSION + 1, "j": b"[]"})
    road.producer.track(people_of(0, 1)[0], "busy", {})
    worker.hold(2)
    left_a_moment_ago(road, 0)
    assert fairest(road.redis, 0) == 0


def test_no_message_of_a_busy_shard_is_spent_on_one_that_failed(
    road: Road, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    road.producer.track(people_of(2, 1)[0], "fails", {})
    road.producer.track(people_of(0, 1)[0], "busy", {})

    def fails(*_: object) -> None:
        raise RuntimeError("of the test")

    with monkeypatch.context() as patched:
        patched.setattr("trackrelay.worker.delivery.cycle.pack", fails)
        with pytest.raises(RuntimeError):
            worker.hold(2)
    left_a_moment_ago(road, 0)
    assert fairest(road.redis, 0) == 0


def test_a_shard_that_waits_for_longer_still_comes_first(road: Road) -> None:
    road.producer.track(people_of(2, 1)[0], "waits", {})
    road.producer.track(people_of(0, 1)[0], "busy", {})
    left_a_moment_ago(road, 0)
    assert fairest(road.redis, 0) == 2
