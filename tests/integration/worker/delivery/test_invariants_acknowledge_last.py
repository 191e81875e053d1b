"""Acknowledge last: wherever a holder ends, nothing is lost, counted twice or reordered."""

import time
from concurrent.futures import Future
from typing import Any

import pytest
import sqlalchemy as sa
from redis.exceptions import RedisError
from sqlalchemy.exc import OperationalError

from tests.support.harness import Harness
from tests.support.in_process_worker import (
    BUSY,
    SHARDS,
    FakeApi,
    Worker,
    child_holding,
    end_of,
    expire_lease,
    people_of,
    shard_of_person,
)
from trackrelay import Person
from trackrelay.worker.delivery import cycle, entry_decoder, intake
from trackrelay.worker.delivery.breaker import Breaker
from trackrelay.worker.delivery.rate_limiter import RateLimiter
from trackrelay.worker.delivery.shard_queue import ShardQueue
from trackrelay.worker.storage import duplicate_check

SHARD = shard_of_person("42")
#: More often than an entry may be read before it counts as one that kills its workers.
TOO_OFTEN = intake.MAX_DELIVERIES + 4

POINTS = [
    "after_read",
    "before_send@2",
    "after_send@1",
    "after_send@3",
    "before_settle@2",
    "before_commit@1",
    "before_commit@3",
    "after_settle@2",
    "after_acknowledge",
]


@pytest.mark.parametrize("point", POINTS)
def test_a_holder_killed_anywhere_loses_nothing_and_its_successor_keeps_the_order(
    harness: Harness, point: str
) -> None:
    with harness.producer.pipeline() as pipeline:
        jobs = [
            pipeline.identify("42", {"plan": "pro"}),
            pipeline.track("42", "small", {}),
            pipeline.track("42", "large", {"text": "x" * 40_000}),
            pipeline.track("42", "small again", {}),
            pipeline.delete_person("42"),
            pipeline.identify("42", {"plan": "new life"}),
            pipeline.track("42", "last", {}),
        ]
    name, _, nth = point.partition("@")
    with child_holding(harness.settings, SHARD, f"{name}=kill" + (f"@{nth}" if nth else "")) as pid:
        end_of(pid)
    assert harness.stream_length() == (0 if name == "after_acknowledge" else len(jobs))
    expire_lease(harness.redis, SHARD)
    successor = Worker(harness.settings)
    successor.work_off(lambda: harness.stream_length() == 0 and harness.ledger_ids() == set(jobs))
    successor.close()
    assert not harness.dead_ids()
    assert harness.backlog_size() == 0
    effects = [effect for effect in harness.effects("id:42") if effect["action"] == "event"]
    assert [effect["name"] for effect in effects] == ["small", "large", "small again", "last"]
    actions = list(dict.fromkeys(effect["action"] for effect in harness.effects("id:42")))
    assert actions == ["identify", "event", "delete"]


def test_a_commit_without_an_answer_is_not_repeated(
    harness: Harness, api: FakeApi, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivered, waits = (
        harness.producer.track("42", "delivered", {}),
        harness.producer.track("7", "waits", {}),
    )
    api.answers = lambda request, documents: None if documents[0]["name"] == "delivered" else BUSY

    def breaks(point: str) -> None:
        if point == "after_settle":
            raise OperationalError(
                "COMMIT", {}, Exception("the server closed the connection unexpectedly")
            )

    with monkeypatch.context() as patched:
        patched.setattr(cycle, "failpoint", breaks)
        for shard in {SHARD, shard_of_person("7")}:
            with pytest.raises(OperationalError):
                worker.run_shard(shard)
    assert harness.ledger_ids() == {delivered}
    assert harness.waiting(waits)
    api.answers = lambda request, documents: None
    worker.work()
    assert sorted(api.taken) == ["delivered", "waits"]
    assert harness.stream_length() == harness.backlog_size() == 0


def test_results_beside_a_request_that_broke_the_cycle_are_settled(
    harness: Harness, api: FakeApi, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = people_of(SHARD, 2)
    with harness.producer.pipeline() as pipeline:
        sent = pipeline.submit_form("f", Person(id=first), {"a": "b"})
        other = pipeline.submit_form("f", Person(id=second), {"a": "b"})
    wait_for_budget = RateLimiter.wait

    def redis_fails_once(self: RateLimiter, *args: Any, **options: Any) -> Any:
        permit = wait_for_budget(self, *args, **options)
        if not api.sent:
            return permit
        raise RedisError("away")

    with monkeypatch.context() as patched:
        patched.setattr(RateLimiter, "wait", redis_fails_once)
        patched.setattr(worker.resources.executor, "submit", in_this_thread)
        with pytest.raises(RedisError):
            worker.run_shard(SHARD)
    assert len(api.sent) == 1
    worker.run_shard(SHARD)
    assert len(api.sent) == 2  # a form has no id by which Customer.io would have dropped a repeat
    assert harness.ledger_ids() == {sent, other}


def in_this_thread(call: Any, *args: Any) -> Any:
    future: Future[Any] = Future()
    future.set_result(call(*args))
    return future


def test_a_delivery_is_written_down_even_if_redis_fails_right_after_the_answer(
    harness: Harness, api: FakeApi, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = harness.producer.submit_form("f", Person(id="42"), {"a": "b"})

    def fails(*_: Any) -> bool:
        raise RedisError("away")

    with monkeypatch.context() as patched:
        patched.setattr(Breaker, "delivered", fails)
        worker.run_shard(SHARD)
    worker.run_shard(SHARD)
    assert len(api.sent) == 1
    assert harness.ledger_ids() == {job}


def test_a_store_that_keeps_failing_counts_no_attempts_of_the_jobs_being_sent(
    harness: Harness, worker: Worker
) -> None:
    job = harness.producer.track("42", "seen", {})
    with harness.engine.connect() as somebody:
        somebody.execute(sa.text("LOCK TABLE trackrelay_ledger IN ACCESS EXCLUSIVE MODE"))
        for _ in range(TOO_OFTEN):
            with pytest.raises(OperationalError):
                worker.run_shard(SHARD)
    worker.run_shard(SHARD)
    assert harness.ledger_ids() == {job}
    assert not harness.dead_ids()


def test_an_entry_of_a_newer_format_may_wait_for_the_upgrade_as_long_as_it_takes(
    harness: Harness, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = harness.producer.track("42", "seen", {})
    stream = f"trackrelay:{SHARD}:live"
    ((entry, fields),) = harness.redis.xrange(stream)
    harness.redis.xdel(stream, entry)
    harness.redis.xadd(stream, {**fields, b"v": b"99"})
    for _ in range(TOO_OFTEN):
        worker.run_shard(SHARD)
    monkeypatch.setattr(entry_decoder, "FORMAT_VERSION", 99)
    worker.run_shard(SHARD)
    assert harness.ledger_ids() == {job}
    assert not harness.dead_ids()


def test_what_waited_for_an_upgrade_is_not_too_old_after_it(
    harness: Harness, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = harness.producer.track("42", "seen", {})
    stream = f"trackrelay:{SHARD}:live"
    ((_, fields),) = harness.redis.xrange(stream)
    monkeypatch.setattr(entry_decoder, "FORMAT_VERSION", 0)
    four_days_ago = int((time.time() - 4 * 86_400) * 1000)
    harness.redis.delete(stream)
    harness.redis.xadd(stream, fields, id=f"{four_days_ago}-0")
    with harness.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE trackrelay_state SET updated_at = '2020-01-01' "
            "WHERE name = 'delivery_resumed_at'"
        )
    worker.run_shard(SHARD)
    monkeypatch.setattr(entry_decoder, "FORMAT_VERSION", 1)
    worker.run_shard(SHARD)
    assert harness.ledger_ids() == {job}


def test_what_is_settled_already_is_no_dead_letter_however_often_its_entry_comes_back(
    harness: Harness, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = harness.producer.track("42", "seen", {})

    class Killed(BaseException):
        pass

    def killed(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(ShardQueue, "acknowledge", killed)
        for _ in range(TOO_OFTEN):
            with pytest.raises(Killed):
                worker.run_shard(SHARD)
    worker.run_shard(SHARD)
    assert harness.ledger_ids() == {job}
    assert not harness.dead_ids()
    assert harness.stream_length() == 0


def test_a_deleted_pending_entry_stops_no_delivery(harness: Harness, worker: Worker) -> None:
    with harness.producer.pipeline() as pipeline:
        pipeline.track("42", "deleted", {})
        job = pipeline.track("42", "stays", {})
    stream = f"trackrelay:{SHARD}:live"
    (first, _), _ = harness.redis.xrange(stream)
    harness.redis.xgroup_create(stream, "trackrelay", id="0")
    harness.redis.xreadgroup("trackrelay", "holder", {stream: ">"})
    harness.redis.xdel(stream, first)
    worker.run_shard(SHARD)
    assert harness.ledger_ids() == {job}
    assert harness.redis.xpending(stream, "trackrelay")["pending"] == 0


def test_every_shard_is_left_without_a_lease(harness: Harness, worker: Worker) -> None:
    harness.producer.track("42", "seen", {})
    worker.work()
    assert not any(harness.redis.exists(f"trackrelay:{shard}:lease") for shard in range(SHARDS))


def test_what_is_too_much_for_a_slow_store_comes_in_smaller_parts(
    harness: Harness, api: FakeApi, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with harness.producer.pipeline() as pipeline:
        jobs = [pipeline.track("42", str(number), {}) for number in range(100)]
    look_up = duplicate_check.find_duplicates

    def slow_for_many(connection: Any, shard: int, lane: Any, ids: Any, *asked: Any) -> Any:
        if len(ids) > 5:
            expire_lease(harness.redis, shard)
        return look_up(connection, shard, lane, ids, *asked)

    monkeypatch.setattr(duplicate_check, "find_duplicates", slow_for_many)
    for _ in range(TOO_OFTEN):
        worker.run_shard(SHARD)
    assert api.taken[:3] == ["0", "1", "2"]
    monkeypatch.setattr(duplicate_check, "find_duplicates", look_up)
    worker.work_off(lambda: harness.ledger_ids() == set(jobs))
    assert api.taken == [str(number) for number in range(100)]
    assert not harness.dead_ids()
