"""The counters agree with the stores, whatever crashes, and maintenance changes no sum."""

from collections import Counter
from contextlib import suppress
from typing import Any

import msgspec
import psycopg.errors
import pytest
import sqlalchemy as sa
from redis.exceptions import RedisError

from tests.support.harness import Harness
from tests.support.in_process_worker import (
    BUSY,
    SHARDS,
    Document,
    FakeApi,
    Worker,
    expire_lease,
    make_due,
    people_of,
    probe_now,
)
from trackrelay import Producer
from trackrelay.worker.dead_letters.refused_calls import keep_refused
from trackrelay.worker.delivery import cycle
from trackrelay.worker.delivery.breaker import Breaker
from trackrelay.worker.delivery.shard_queue import LeaseLostError
from trackrelay.worker.failpoints import FailpointError
from trackrelay.worker.maintenance.queue_sample import sample_waiting
from trackrelay.worker.reasons import DeathReason
from trackrelay.worker.storage import counters, dead_letters, ledger, settlement
from trackrelay.worker.storage.counts import Tally
from trackrelay.worker.storage.dead_letters import NewDeadLetter
from trackrelay.worker.storage.stored_job import Job
from trackrelay.worker.track_api.request_builder import Request
from trackrelay.worker.track_api.responses import Answer


def totals(harness: Harness) -> dict[tuple[str, tuple[str, ...]], Tally]:
    with harness.engine.connect() as connection:
        return counters.totals(connection)


def counted(harness: Harness, name: str) -> dict[tuple[str, ...], int]:
    return {
        labels: each.value for (found, labels), each in totals(harness).items() if found == name
    }


def stored(harness: Harness, statement: str) -> dict[tuple[str, ...], int]:
    return {(row[0],): row[1] for row in harness.rows(statement)}


def assert_agreed(harness: Harness) -> None:
    assert sum(counted(harness, "delivered").values()) == len(harness.ledger_ids())
    assert counted(harness, "died") == stored(
        harness, "SELECT reason, count(*) FROM trackrelay_dead_letters GROUP BY reason"
    )


def rejecting(request: Request, documents: list[Document]) -> Answer | None:
    """Refuse what is called `bad`."""
    errors = [
        {"batch_index": index, "reason": "invalid", "field": "name", "message": "bad"}
        for index, document in enumerate(documents)
        if document.get("name") == "bad"
    ]
    return Answer(207, msgspec.json.encode({"errors": errors})) if errors else None


def break_once(monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    """Make the next holder die at a point."""
    points = [point]

    def breaks(reached: str) -> None:
        if reached in points:
            points.remove(reached)
            raise FailpointError(reached)

    monkeypatch.setattr(cycle, "failpoint", breaks)


def test_the_counters_agree_with_the_stores_through_crashes_outages_and_refusals(
    harness: Harness, api: FakeApi, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other, *_ = people_of(0, 2)
    track = harness.producer.track
    api.answers = rejecting
    for name in ("good", "bad", "good"):
        track(one, name, idempotency_key=name)
    harness.producer.submit_form("f", one, {"a": "1"})
    worker.run_shard(0)
    assert counted(harness, "delivered") == {("v2",): 1, ("forms",): 1}
    assert counted(harness, "died") == {("rejected",): 1}
    assert counted(harness, "dropped") == {("repeat",): 1}
    assert_agreed(harness)

    # What is not committed is not counted; what is committed and read again is not counted again.
    for point, dropped in (("before_commit", 0), ("after_settle", 1)):
        track(one, point)
        break_once(monkeypatch, point)
        with pytest.raises(FailpointError):
            worker.run_shard(0)
        expire_lease(harness.redis, 0)
        worker.run_shard(0)
        assert counted(harness, "dropped").get(("redelivered",), 0) == dropped
        assert_agreed(harness)

    # A settlement that Postgres refuses is written again in parts, and counted once.
    def refused(connection: sa.Connection, *given: Any) -> bool:
        real(connection, *given)
        raise sa.exc.DataError("", None, psycopg.errors.DataError())

    real = settlement.settle
    track(one, "in parts")
    with monkeypatch.context() as patched:
        patched.setattr(settlement, "settle", refused)
        worker.run_shard(0)
    assert_agreed(harness)

    # An outage: three requests fail, and everything arrives later.
    api.answers = lambda request, documents: BUSY
    for person in (one, other):
        track(person, "late")
    before = len(api.sent)
    worker.run_shard(0)
    failed = len(api.sent) - before
    assert counted(harness, "deferred")[("failed",)] == 2
    assert counted(harness, "requests")[("v2", "5xx")] == failed
    assert sample_waiting(worker.resources)
    assert not sample_waiting(worker.resources)
    api.answers = rejecting
    make_due(harness.engine)
    probe_now(harness.redis)
    worker.work_off(lambda: not harness.backlog_size())
    assert_agreed(harness)

    # A call that was refused becomes a dead letter in another transaction.
    careful = Producer(redis_url=harness.settings["TRACKRELAY_REDIS_URL"], on_invalid="dead_letter")
    careful.track(one, "")
    assert keep_refused(worker.resources) == 1
    assert counted(harness, "died")[("invalid",)] == 1
    assert_agreed(harness)
    careful.close()
    with harness.engine.connect() as connection:
        (sample,) = counters.series(connection, "minute", 0, names=["waiting"])
    assert sample.tally.value == 2


def test_every_request_is_counted_with_its_duration(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    for shard in range(SHARDS):
        for person in people_of(shard, 3):
            harness.producer.track(person, "seen")
    worker.work()
    ((labels, tally),) = [
        (labels, tally) for (name, labels), tally in totals(harness).items() if name == "requests"
    ]
    assert labels == ("v2", "2xx")
    assert tally.value == sum(tally.buckets) == len(api.sent)
    assert tally.sum_s == pytest.approx(
        sum(each.ended - each.began for each in api.sent), abs=0.05 * len(api.sent)
    )
    latency = totals(harness)["delivered", ("v2",)]
    assert latency.value == sum(latency.buckets) == 3 * SHARDS


def test_requests_of_a_cycle_that_is_interrupted_are_counted_once(
    harness: Harness, api: FakeApi, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    person, other = people_of(0, 2)
    (alone,) = people_of(1, 1)
    api.answers = lambda request, documents: BUSY

    def away(*_: Any, **__: Any) -> Any:
        raise RedisError("away")

    def taken_over(*_: Any, **__: Any) -> Any:
        raise LeaseLostError("shard 0")

    # Two requests at once in one shard, one in the other. The next holder sends all of it again.
    harness.producer.track(person, "seen")
    harness.producer.submit_form("f", other, {"a": "1"})
    harness.producer.track(alone, "seen")
    for shard, failure in ((0, away), (0, taken_over), (1, away), (1, taken_over)):
        with monkeypatch.context() as patched:
            patched.setattr(Breaker, "failed", failure)
            with suppress(RedisError):
                worker.run_shard(shard)
        expire_lease(harness.redis, shard)
        assert sum(counted(harness, "requests").values()) == len(api.sent)
    assert len(api.sent) == 6
    assert counted(harness, "shards_lost") == {("lease",): 2}
    api.answers = lambda request, documents: None
    worker.work_off(lambda: len(harness.ledger_ids()) == 3)
    assert sum(counted(harness, "requests").values()) == len(api.sent)
    assert_agreed(harness)


def test_folded_counters_have_the_same_sum_and_a_series_has_no_steps(harness: Harness) -> None:
    ages = ("0 minutes", "20 minutes", "2 hours", "5 hours", "3 days", "9 days", "500 days")
    with harness.engine.begin() as connection:
        for age in ages:
            for shard in range(2):
                connection.exec_driver_sql(
                    "INSERT INTO trackrelay_counters VALUES ('minute', date_trunc('minute', now()) "
                    f"- interval '{age}', {shard}, 'requests', 'v2,2xx', 3, 1500, '{{1,2}}'), "
                    f"('minute', date_trunc('minute', now()) - interval '{age}', {-1 - shard}, "
                    "'waiting', '', 7, 9000, NULL)"
                )
    before = totals(harness)
    assert before == {("requests", ("v2", "2xx")): Tally(42, 21.0, (14, 28))}
    for _ in range(4):
        with harness.engine.begin() as connection:
            counters.fold(connection)
        assert totals(harness) == before
    periods = Counter(
        row.period
        for row in harness.rows("SELECT period FROM trackrelay_counters WHERE name = 'requests'")
    )
    # The newest minute still has a row for each shard.
    assert periods == {"minute": 4, "hour": 2, "day": 1, "total": 1}
    with harness.engine.connect() as connection:
        days = counters.series(connection, "day", 0, names=["requests", "waiting"])
        hours = counters.series(connection, "hour", 0, names=["requests"])
        minutes = counters.series(connection, "minute", 0, names=["requests"])
    assert {each.tally.value for each in days if each.name == "waiting"} == {7}
    assert sum(each.tally.value for each in days if each.name == "requests") == 36
    assert sum(each.tally.value for each in hours) == 30
    assert sum(each.tally.value for each in minutes) == 18


def test_what_is_recorded_for_the_second_time_is_not_new(harness: Harness) -> None:
    jobs = [
        Job(
            id=f"{number:026}", operation="person.event", keys=("id:1",), shards=(0,), body=b"{}",
            lane="live", enqueued_at=1.0, age_from=1.0,
        )
        for number in range(3)
    ]  # fmt: skip

    def record(*which: Job) -> list[str]:
        with harness.engine.begin() as connection:
            return [job.id for job in ledger.record(connection, which)]

    def bury(*which: Job) -> list[str]:
        letters = [NewDeadLetter(job=job, reason=DeathReason.REJECTED, error="no") for job in which]
        with harness.engine.begin() as connection:
            return [letter.job.id for letter in dead_letters.insert(connection, letters)]

    one, two, three = (job.id for job in jobs)
    assert record(*jobs[:2]) == [one, two]
    assert record(jobs[1], jobs[2], jobs[2]) == [three]
    assert bury(*jobs[:2]) == [one, two]
    assert bury(*jobs) == [three]
    with harness.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE trackrelay_dead_letters SET state = 'replaying'")
    assert bury(jobs[0]) == [one]
