"""Rows of two-key jobs that nobody will send are found, and the jobs behind them continue."""

import pytest
import sqlalchemy as sa

from tests.support.harness import Harness
from tests.support.in_process_worker import SHARDS, FakeApi, Worker, refusal, shard_of_person
from trackrelay import operations
from trackrelay.operations.keys import shard_of
from trackrelay.worker.dead_letters.replay_batches import Replayer
from trackrelay.worker.maintenance.ticks import recover_orphans
from trackrelay.worker.storage import duplicate_check

SHARD = shard_of_person("42")


def long_ago(harness: Harness) -> None:
    """What half an hour does to what is first in the backlog."""
    with harness.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE trackrelay_backlog SET due_at = due_at - interval '30 minutes'"
        )
    harness.redis.delete("trackrelay:orphans")


def in_another_shard(*taken: str) -> str:
    """An anonymous id in another shard than the person 42, and not one of `taken`."""
    names = (f"a{number}" for number in range(1000))
    return next(
        name
        for name in names
        if name not in taken and shard_of(f"anonymous:{name}", SHARDS) != SHARD
    )


def test_a_row_whose_job_was_settled_under_another_second_key_during_the_look_up_is_not_left(
    harness: Harness, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = in_another_shard()
    second = in_another_shard(first)
    job = harness.producer.identify("42", {}, anonymous_id=first, idempotency_key="k")
    worker.work_off(lambda: harness.ledger_ids() == {job})
    harness.producer.identify("42", {}, anonymous_id=second, idempotency_key="k")
    with monkeypatch.context() as a_moment_ago:
        a_moment_ago.setattr(
            duplicate_check,
            "find_duplicates",
            lambda *_: duplicate_check.DuplicateCheck(frozenset(), frozenset()),
        )
        worker.run_shard(shard_of(f"anonymous:{second}", SHARDS))
    assert harness.backlog_size() == 0
    after = harness.producer.track_anonymous(second, "after", {})
    worker.work_off(lambda: harness.ledger_ids() == {job, after})


def test_a_part_of_a_job_that_was_settled_after_all_holds_up_nobody_for_long(
    harness: Harness, worker: Worker
) -> None:
    anonymous = in_another_shard()
    job = harness.producer.identify("42", {}, anonymous_id=anonymous)
    worker.run_shard(shard_of(f"anonymous:{anonymous}", SHARDS))
    with harness.engine.begin() as connection:
        connection.execute(
            sa.text("""
                INSERT INTO trackrelay_ledger
                    (id, key, operation, enqueued_at, delivered_at, attempts)
                VALUES (:id, 'id:42', 'person.identify', now(), now(), 1)
            """),
            {"id": job},
        )
    after = harness.producer.track_anonymous(anonymous, "after", {})
    worker.work()
    assert harness.ledger_ids() == {job}
    long_ago(harness)
    recover_orphans(worker.resources)
    worker.work_off(lambda: harness.ledger_ids() == {job, after})
    assert harness.backlog_size() == 0


def test_a_part_beside_one_key_of_the_same_shard_is_not_left_behind(
    harness: Harness, worker: Worker
) -> None:
    beside = next(
        f"a{number}" for number in range(99) if shard_of(f"anonymous:a{number}", SHARDS) == SHARD
    )
    elsewhere = in_another_shard()
    job = harness.producer.identify("42", {}, anonymous_id=beside, idempotency_key="k")
    assert harness.producer.identify("42", {}, anonymous_id=elsewhere, idempotency_key="k") == job
    after = harness.producer.track_anonymous(elsewhere, "after", {})
    worker.run_shard(shard_of(f"anonymous:{elsewhere}", SHARDS))
    worker.work_off(lambda: harness.ledger_ids() == {job, after})


def test_a_row_whose_other_row_was_dropped_before_the_dead_letter_was_discarded_blocks_briefly(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    anonymous = in_another_shard()
    api.answers = lambda request, documents: refusal("no")
    again = operations.identify("42", {}, anonymous_id=anonymous)
    letter = harness.producer.enqueue(again)
    worker.work_off(lambda: harness.dead_ids() == {letter})
    api.answers = lambda request, documents: None
    harness.producer.enqueue(again)
    worker.run_shard(SHARD)
    list(Replayer.of(worker.resources, who="a test").discard([letter]))
    after = harness.producer.track_anonymous(anonymous, "after", {})
    worker.run_shard(shard_of(f"anonymous:{anonymous}", SHARDS))
    long_ago(harness)
    recover_orphans(worker.resources)
    worker.work_off(lambda: harness.ledger_ids() == {after})
    assert harness.backlog_size() == 0


def test_a_part_whose_other_part_is_only_late_is_waited_for(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    anonymous = in_another_shard()
    job = harness.producer.identify("42", {"label": "joined"}, anonymous_id=anonymous)
    after = harness.producer.track_anonymous(anonymous, "after", {})
    worker.run_shard(shard_of(f"anonymous:{anonymous}", SHARDS))
    long_ago(harness)
    recover_orphans(worker.resources)
    worker.run_shard(shard_of(f"anonymous:{anonymous}", SHARDS))
    assert api.taken == []
    worker.work_off(lambda: harness.ledger_ids() == {job, after})
    assert api.taken == ["joined", "after"]


def test_a_part_whose_other_part_was_lost_is_still_sent(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    anonymous = in_another_shard()
    job = harness.producer.identify("42", {"label": "joined"}, anonymous_id=anonymous)
    worker.run_shard(shard_of(f"anonymous:{anonymous}", SHARDS))
    harness.redis.delete(f"trackrelay:{SHARD}:live")
    long_ago(harness)
    recover_orphans(worker.resources)
    worker.work_off(lambda: harness.ledger_ids() == {job})
