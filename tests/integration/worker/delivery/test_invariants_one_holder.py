"""One holder a shard, even when one of them slept through everything."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy.exc import OperationalError

from tests.support.harness import Harness
from tests.support.in_process_worker import (
    Worker,
    child_holding,
    end_of,
    shard_of_person,
    state_of,
)
from tests.support.waiting import wait_until
from trackrelay.worker.delivery import lease
from trackrelay.worker.delivery.shard_queue import ShardQueue
from trackrelay.worker.storage import settlement, shards
from trackrelay.worker.storage.settlement import Holder, Settlement

SHARD = shard_of_person("42")


@contextmanager
def stopped_holder(harness: Harness, point: str) -> Iterator[int]:
    """A holder that is frozen at a point of the loop."""
    with child_holding(harness.settings, SHARD, f"{point}=stop") as pid:
        wait_until(lambda: state_of(pid) == "T", 15, f"the holder to stop at {point}")
        yield pid


def lease_to_run_out(harness: Harness) -> None:
    wait_until(
        lambda: not harness.redis.exists(f"trackrelay:{SHARD}:lease"), 15, "the lease to run out"
    )


@pytest.mark.parametrize(
    ("point", "sent_again"), [("before_send", 0), ("after_send", 1), ("before_settle", 1)]
)
def test_a_holder_that_sleeps_longer_than_its_lease_wakes_up_to_nothing_it_could_do(
    harness: Harness, point: str, sent_again: int
) -> None:
    settings = {**harness.settings, "TRACKRELAY_REQUEST_TIMEOUT": "4s"}
    harness.settings = settings
    first = harness.producer.track("42", "first", {})
    with stopped_holder(harness, point) as sleeper:
        second = harness.producer.track("42", "second", {})
        lease_to_run_out(harness)
        successor = Worker(settings)
        successor.run_shard(SHARD)
        assert harness.ledger_ids() == {first, second}
        os.kill(sleeper, signal.SIGCONT)
        end_of(sleeper)
    third = harness.producer.track("42", "third", {})
    successor.run_shard(SHARD)
    successor.close()
    assert harness.ledger_ids() == {first, second, third}
    assert [effect["name"] for effect in harness.effects("id:42")] == ["first", "second", "third"]
    # What reached Customer.io twice had an id, so the second was dropped: it was sent before the
    # pause.
    assert sum(harness.sandbox.duplicates().values()) == sent_again
    assert harness.stream_length() == harness.backlog_size() == 0
    assert not harness.dead_ids()


def test_a_holder_that_slept_sends_nothing_on_an_open_connection(
    harness: Harness,
) -> None:
    settings = {**harness.settings, "TRACKRELAY_REQUEST_TIMEOUT": "4s"}
    with harness.producer.pipeline() as pipeline:
        jobs = {
            pipeline.track("42", "first", {}),
            pipeline.track("42", "large", {"text": "x" * 40_000}),
        }
        jobs.add(pipeline.track("42", "small again", {}))
    with child_holding(settings, SHARD, "before_send=stop@3") as sleeper:
        wait_until(
            lambda: state_of(sleeper) == "T", 15, "the holder to stop before its third request"
        )
        lease_to_run_out(harness)
        successor = Worker(settings)
        successor.run_shard(SHARD)
        os.kill(sleeper, signal.SIGCONT)
        end_of(sleeper)
    successor.close()
    assert harness.ledger_ids() == jobs
    assert sum(harness.sandbox.duplicates().values()) == 0


def test_a_holder_that_sleeps_in_its_commit_is_waited_for(harness: Harness) -> None:
    harness.settings = {**harness.settings, "TRACKRELAY_REQUEST_TIMEOUT": "4s"}
    job = harness.producer.track("42", "first", {})
    successor = Worker(harness.settings)
    with stopped_holder(harness, "before_commit") as sleeper:
        lease_to_run_out(harness)
        with pytest.raises(OperationalError):
            successor.run_shard(SHARD)
        assert not harness.redis.exists(f"trackrelay:{SHARD}:lease")
        os.kill(sleeper, signal.SIGCONT)
        end_of(sleeper)
    successor.run_shard(SHARD)
    successor.close()
    assert harness.ledger_ids() == {job}
    assert harness.sandbox.duplicates() == {}
    assert harness.stream_length() == 0


def test_a_claim_that_ran_out_in_its_sleep_takes_the_shard_from_nobody(
    harness: Harness, worker: Worker
) -> None:
    job = harness.producer.track("42", "seen", {})
    sleeper, holder = ShardQueue(worker.redis, SHARD), ShardQueue(worker.redis, SHARD)
    assert sleeper.claim()
    worker.redis.delete(f"trackrelay:{SHARD}:lease")  # what time does
    assert holder.claim()
    delivery = lease._take_over(holder, worker.resources)
    assert delivery is not None
    assert lease._take_over(sleeper, worker.resources) is None
    assert delivery.run("live")
    assert harness.ledger_ids() == {job}


def test_a_claim_is_dropped_by_its_owner_only(worker: Worker) -> None:
    sleeper, holder = ShardQueue(worker.redis, SHARD), ShardQueue(worker.redis, SHARD)
    assert sleeper.claim()
    worker.redis.delete(f"trackrelay:{SHARD}:lease")
    assert holder.claim()
    sleeper.drop_claim()
    assert holder.is_claimed()
    assert not sleeper.is_claimed()


def test_an_earlier_holder_settles_nothing(harness: Harness) -> None:
    with harness.engine.begin() as connection:
        earlier = shards.take_over(connection, SHARD).fence
        shards.take_over(connection, SHARD)
    with harness.engine.begin() as connection, pytest.raises(shards.FenceLostError):
        settlement.settle(connection, Holder(SHARD, earlier), Settlement(), 0.0)


def test_a_paused_shard_is_left_at_the_next_settlement_and_taken_by_nobody(
    harness: Harness, worker: Worker
) -> None:
    assert worker.api is not None
    others = harness.producer.track("42", "before", {})

    def pause(*_: object) -> None:
        with harness.engine.begin() as connection:
            shards.set_paused(connection, None, True)

    worker.api.answers = pause
    worker.run_shard(SHARD)
    waits = harness.producer.track("42", "waits", {})
    worker.run_shard(SHARD)
    assert harness.ledger_ids() == {others}
    assert harness.stream_length() == 1
    assert not harness.redis.exists(f"trackrelay:{SHARD}:lease")
    worker.api.answers = lambda *_: None
    with harness.engine.begin() as connection:
        shards.set_paused(connection, None, False)
    worker.run_shard(SHARD)
    assert harness.ledger_ids() == {others, waits}
