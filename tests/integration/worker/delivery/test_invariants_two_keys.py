"""In order for both keys: jobs of two people, in one shard or in two."""

from typing import Any

import pytest

from tests.support.harness import Harness
from tests.support.in_process_worker import (
    BUSY,
    SHARDS,
    FakeApi,
    Worker,
    label,
    people_of,
    probe_now,
    refusal,
    shard_of_person,
)
from trackrelay import Person, operations
from trackrelay.operations.keys import shard_of
from trackrelay.worker.dead_letters.eligibility import ReplayPolicy
from trackrelay.worker.dead_letters.replay_batches import Replayer
from trackrelay.worker.delivery import cycle
from trackrelay.worker.endpoint_families import Family
from trackrelay.worker.storage import duplicate_check

SHARD = shard_of_person("42")


def in_two_shards() -> tuple[str, str]:
    """Two people whose jobs are in different shards."""
    return people_of(0, 1)[0], people_of(1, 1)[0]


@pytest.mark.parametrize("order_of_shards", [(0, 1), (1, 0)])
def test_a_merge_across_shards_waits_for_both_people_and_holds_up_both(
    harness: Harness, api: FakeApi, worker: Worker, order_of_shards: tuple[int, int]
) -> None:
    one, two = in_two_shards()
    producer = harness.producer
    producer.track(one, "one before", {})
    producer.track(two, "two before", {})
    merge = producer.merge(primary=Person(id=one), secondary=Person(id=two))
    producer.track(one, "one after", {})
    producer.track(two, "two after", {})
    first, second = order_of_shards
    worker.run_shard(first)
    assert not any("after" in name or "merge" in name for name in api.taken)
    assert len(harness.rows("SELECT * FROM trackrelay_backlog WHERE job_id = :id", id=merge)) == 1
    worker.run_shard(second)
    worker.work_off(lambda: len(api.taken) == 5)
    assert set(api.taken[:2]) == {"one before", "two before"}
    assert api.taken[2] == f"merge {one} {two}"
    assert harness.backlog_size() == harness.stream_length() == 0


def test_jobs_moved_to_the_backlog_without_an_attempt_keep_their_order_around_a_merge(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    one, two = in_two_shards()
    worker.breaker.failed(Family.V2, "away", retry_after_s=60)
    with harness.producer.pipeline() as pipeline:
        for who in (one, two):
            pipeline.track(who, f"{who} before", {})
        pipeline.merge(primary=Person(id=one), secondary=Person(id=two))
        for who in (one, two):
            pipeline.track(who, f"{who} after", {})
    worker.work()
    assert harness.stream_length() == 0
    probe_now(harness.redis)
    worker.work_off(lambda: harness.backlog_size() == 0)
    for who in (one, two):
        assert [name for name in api.taken if who in name] == [
            f"{who} before",
            f"merge {one} {two}",
            f"{who} after",
        ]


def test_what_follows_a_job_that_is_held_up_by_its_other_key_waits_with_it(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    cookie = next(
        f"c{number}" for number in range(999) if shard_of(f"anonymous:c{number}", SHARDS) == SHARD
    )
    api.answers = lambda request, documents: BUSY if request.path == "/api/v1/events" else None
    with harness.producer.pipeline() as pipeline:
        pipeline.track_anonymous(cookie, "visited", {})
        pipeline.identify("42", {"label": "joined"}, anonymous_id=cookie)
        pipeline.track("42", "after", {})
    worker.run_shard(SHARD, 0.001)
    assert api.taken == []


def test_a_merge_waits_a_while_after_the_last_delivery_to_either(
    harness: Harness, api: FakeApi
) -> None:
    worker = Worker({**harness.settings, "TRACKRELAY_MERGE_DELAY": "1s"}, api)
    one, two = in_two_shards()
    harness.producer.track(two, "two before", {})
    harness.producer.merge(primary=Person(id=one), secondary=Person(id=two))
    worker.work_off(lambda: len(api.taken) == 2)
    worker.close()
    before, merge = api.sent
    assert merge.began - before.ended >= 1.0


def test_a_job_across_shards_that_is_rejected_frees_both_keys(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    one, two = in_two_shards()
    api.answers = lambda request, documents: (
        refusal("no") if label(documents[0]).startswith("merge") else None
    )
    bad = harness.producer.merge(primary=Person(id=one), secondary=Person(id=two))
    harness.producer.track(one, "one after", {})
    harness.producer.track(two, "two after", {})
    worker.work_off(lambda: harness.dead_ids() == {bad} and len(api.taken) == 2)
    assert harness.backlog_size() == 0


def test_a_job_across_shards_that_kills_its_workers_frees_both_keys(
    harness: Harness, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = in_two_shards()
    bad = harness.producer.merge(primary=Person(id=one), secondary=Person(id=two))
    after = harness.producer.track(two, "after", {})
    worker.run_shard(shard_of_person(two))

    class Killed(BaseException):
        pass

    def killed(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(cycle, "partition_blocked", killed)
        for _ in range(12):
            try:
                worker.run_shard(shard_of_person(one))
            except Killed:
                continue
    worker.work_off(lambda: after in harness.ledger_ids())
    assert harness.dead_ids() == {bad}


def test_a_repeat_that_names_another_second_key_blocks_nobody(
    harness: Harness, worker: Worker
) -> None:
    anonymous = (f"a{number}" for number in range(1000))
    first, second = (
        next(
            name
            for name in anonymous
            if shard_of(f"anonymous:{name}", SHARDS) not in (SHARD, taken)
        )
        for taken in (None, None)
    )
    identify = harness.producer.identify
    job = identify("42", {}, anonymous_id=first, idempotency_key="k")
    assert identify("42", {}, anonymous_id=second, idempotency_key="k") == job
    after = [harness.producer.track_anonymous(name, "after", {}) for name in (first, second)]
    after.append(harness.producer.track("42", "after", {}))
    worker.work_off(lambda: harness.ledger_ids() == {job, *after})


def test_jobs_of_two_keys_enqueued_in_opposite_orders_in_both_lanes_do_not_block_each_other(
    harness: Harness, worker: Worker
) -> None:
    anonymous = next(
        f"a{number}" for number in range(99) if shard_of(f"anonymous:a{number}", SHARDS) != SHARD
    )
    one, two = (
        operations.identify("42", {"label": str(number)}, anonymous_id=anonymous)
        for number in range(2)
    )
    harness.producer.enqueue_all([two, one], lane="bulk")
    worker.run_shard(shard_of(f"anonymous:{anonymous}", SHARDS))
    harness.producer.enqueue_all([one, two])
    worker.work_off(lambda: harness.ledger_ids() == {one.id, two.id}, timeout=4)


def test_a_part_is_not_left_if_both_shards_look_it_up_at_once(
    harness: Harness, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    anonymous = next(
        f"a{number}" for number in range(99) if shard_of(f"anonymous:a{number}", SHARDS) != SHARD
    )
    one, two = (
        operations.identify("42", {"label": str(number)}, anonymous_id=anonymous)
        for number in range(2)
    )
    harness.producer.enqueue_all([two, one], lane="bulk")
    worker.run_shard(shard_of(f"anonymous:{anonymous}", SHARDS))
    harness.producer.enqueue_all([one, two])
    with monkeypatch.context() as a_moment_ago:
        a_moment_ago.setattr(
            duplicate_check,
            "find_duplicates",
            lambda *_: duplicate_check.DuplicateCheck(frozenset(), frozenset()),
        )
        worker.run_shard(SHARD)
    worker.work_off(lambda: harness.ledger_ids() == {one.id, two.id}, timeout=4)


def test_a_replay_across_shards_and_a_job_half_arrived_do_not_wait_for_each_other(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    anonymous = next(
        f"a{number}" for number in range(99) if shard_of(f"anonymous:a{number}", SHARDS) != SHARD
    )
    api.answers = lambda request, documents: refusal("no")
    letter = harness.producer.identify("42", {"label": "replayed"}, anonymous_id=anonymous)
    worker.work_off(lambda: harness.dead_ids() == {letter})
    api.answers = lambda request, documents: None
    imported = operations.identify("42", {"label": "imported"}, anonymous_id=anonymous)
    harness.producer.enqueue_many([imported])
    worker.run_shard(SHARD)  # and the other shard has not been read yet
    list(Replayer.of(worker.resources, who="a test").replay([letter], ReplayPolicy()))
    worker.work_off(lambda: imported.id in harness.ledger_ids(), timeout=3)


def test_a_replay_and_jobs_that_arrive_one_by_one_in_four_shards_do_not_wait_in_a_circle(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    def named(kind: str, shard: int) -> str:
        return next(
            f"n{number}" for number in range(999) if shard_of(f"{kind}:n{number}", SHARDS) == shard
        )

    ada, bob = named("id", 0), named("id", 1)
    phone, laptop = named("anonymous", 2), named("anonymous", 3)
    api.answers = lambda request, documents: refusal("no")
    letter = harness.producer.identify(ada, {"label": "replayed"}, anonymous_id=laptop)
    worker.work_off(lambda: harness.dead_ids() == {letter})
    api.answers = lambda request, documents: None
    imported = [
        operations.identify(bob, {"label": "bob's laptop"}, anonymous_id=laptop),
        operations.identify(bob, {"label": "bob's phone"}, anonymous_id=phone),
        operations.identify(ada, {"label": "ada's phone"}, anonymous_id=phone),
    ]
    harness.producer.enqueue_many(imported)
    worker.run_shard(0)
    list(Replayer.of(worker.resources, who="a test").replay([letter], ReplayPolicy()))
    worker.work_off(lambda: harness.backlog_size() == harness.stream_length() == 0, timeout=5)
    assert api.taken == ["bob's laptop", "bob's phone", "ada's phone", "replayed"]
