"""A shard that cannot be worked on costs the others nothing."""

from __future__ import annotations

import time

import pytest

from tests.support.harness import Harness
from tests.support.in_process_worker import Worker, people_of
from trackrelay.queue.job import FORMAT_VERSION
from trackrelay.worker.delivery.shard_queue import choose_shard
from trackrelay.worker.storage import shards


def left_a_moment_ago(harness: Harness, shard: int) -> None:
    harness.redis.set(f"trackrelay:{shard}:left", int(time.time()) - 1, px=60_000)


def test_no_message_of_a_busy_shard_is_spent_on_a_paused_one(
    harness: Harness, worker: Worker
) -> None:
    harness.producer.track(people_of(2, 1)[0], "stays", {})
    harness.producer.track(people_of(0, 1)[0], "busy", {})
    with harness.engine.begin() as connection:
        shards.set_paused(connection, [2], True)
    worker.run_shard(2)
    left_a_moment_ago(harness, 0)
    assert choose_shard(harness.redis, 0) == 0


def test_no_message_of_a_busy_shard_is_spent_on_one_halted_for_a_newer_format(
    harness: Harness, worker: Worker
) -> None:
    harness.redis.xadd("trackrelay:2:live", {"v": FORMAT_VERSION + 1, "j": b"[]"})
    harness.producer.track(people_of(0, 1)[0], "busy", {})
    worker.run_shard(2)
    left_a_moment_ago(harness, 0)
    assert choose_shard(harness.redis, 0) == 0


def test_no_message_of_a_busy_shard_is_spent_on_one_that_failed(
    harness: Harness, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.producer.track(people_of(2, 1)[0], "fails", {})
    harness.producer.track(people_of(0, 1)[0], "busy", {})

    def fails(*_: object) -> None:
        raise RuntimeError("of the test")

    with monkeypatch.context() as patched:
        patched.setattr("trackrelay.worker.delivery.cycle.pack", fails)
        with pytest.raises(RuntimeError):
            worker.run_shard(2)
    left_a_moment_ago(harness, 0)
    assert choose_shard(harness.redis, 0) == 0


def test_a_shard_that_waits_for_longer_still_comes_first(harness: Harness) -> None:
    harness.producer.track(people_of(2, 1)[0], "waits", {})
    harness.producer.track(people_of(0, 1)[0], "busy", {})
    left_a_moment_ago(harness, 0)
    assert choose_shard(harness.redis, 0) == 2
