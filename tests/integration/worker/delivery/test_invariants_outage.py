"""An outage kills no job, counts no attempt, rewrites no row, and ends with few probes."""

import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import redis

from tests.support.harness import Harness
from tests.support.in_process_worker import (
    BUSY,
    FakeApi,
    Worker,
    close_breakers,
    make_due,
    people_of,
    probe_now,
    refusal,
    shard_of_person,
)
from tests.support.waiting import wait_until
from trackrelay import Person
from trackrelay.worker.delivery import cycle
from trackrelay.worker.delivery.breaker import Breaker
from trackrelay.worker.endpoint_families import Family
from trackrelay.worker.storage import shards
from trackrelay.worker.track_api.http_client import TooLateError
from trackrelay.worker.track_api.region import Verdict
from trackrelay.worker.track_api.responses import Answer, NoAnswer

SHARD = shard_of_person("42")


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def breaker(client: redis.Redis) -> Breaker:
    return Breaker(client, probe_s=10)


def versions(harness: Harness) -> dict[str, str]:
    """Return what changes whenever a row is written, even with the same values."""
    return {
        row.job_id: row.version
        for row in harness.rows("SELECT job_id, xmin::text AS version FROM trackrelay_backlog")
    }


def test_an_outage_rewrites_no_row_and_counts_against_nobody(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    harness.producer.track("42", "delivered before", {})
    worker.run_shard(SHARD)
    api.answers = lambda request, documents: BUSY
    with harness.producer.pipeline() as pipeline:
        jobs = [
            pipeline.track(person, f"of {person}", {})
            for person in people_of(SHARD, 5)
            for _ in range(3)
        ]
    worker.run_shard(SHARD)
    assert len(versions(harness)) == len(jobs)
    before = versions(harness)
    for _ in range(12):
        probe_now(harness.redis)
        worker.run_shard(SHARD)
    assert versions(harness) == before
    assert not harness.dead_ids()
    assert {row.attempts for row in harness.rows("SELECT attempts FROM trackrelay_backlog")} == {0}
    api.answers = lambda request, documents: None
    probe_now(harness.redis)
    worker.run_shard(SHARD)
    assert harness.ledger_ids() >= set(jobs)
    for person in people_of(SHARD, 5):
        assert api.taken.count(f"of {person}") == 3


def test_a_worker_whose_clock_is_late_counts_no_outage_against_its_jobs(
    harness: Harness, api: FakeApi, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    class LateClock:
        monotonic = staticmethod(time.monotonic)

        @staticmethod
        def time() -> float:
            return time.time() - 600

    harness.producer.track("42", "delivered before", {})
    worker.run_shard(SHARD)
    monkeypatch.setattr(cycle, "time", LateClock)
    api.answers = lambda request, documents: BUSY
    job = harness.producer.track("42", "fails alone", {})
    for _ in range(5):
        worker.run_shard(SHARD)
        close_breakers(harness.redis)
        make_due(harness.engine)
    assert len(api.sent) > 3
    assert harness.waiting(job).attempts == 0


def test_probes_try_one_job_each_and_never_the_same_key_twice_running(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    api.answers = lambda request, documents: BUSY
    with harness.producer.pipeline() as pipeline:
        for person in people_of(SHARD, 4):
            pipeline.track(person, person, {})
    worker.run_shard(SHARD)
    api.sent.clear()
    for _ in range(8):
        probe_now(harness.redis)
        worker.run_shard(SHARD)
    probed = [sent.labels for sent in api.sent]
    assert all(len(labels) == 1 for labels in probed)
    assert all(one != other for one, other in pairwise(probed))


def test_two_keys_that_can_never_succeed_do_not_keep_delivery_stopped(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    people = people_of(SHARD, 10)
    api.answers = lambda request, documents: BUSY
    with harness.producer.pipeline() as pipeline:
        for person in people:
            pipeline.track(person, f"bad {person}" if person in people[:2] else "fine", {})
    worker.run_shard(SHARD)
    api.answers = lambda request, documents: BUSY if "bad" in str(documents) else None

    def stopped() -> bool:
        probe_now(harness.redis)
        worker.run_shard(SHARD, 0.0001)
        return harness.breaker()["state"] == "closed"

    worker.work_off(stopped)


def test_the_probes_token_is_returned_when_the_cycle_is_interrupted(
    harness: Harness, api: FakeApi, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.breaker.halt_refused(Family.V2, "for a test", "no")
    probe_now(harness.redis)
    harness.producer.track("42", "seen", {})

    def breaks(point: str) -> None:
        raise OSError(point)

    with monkeypatch.context() as patched:
        patched.setattr(cycle, "failpoint", breaks)
        with pytest.raises(OSError, match="after_read"):
            worker.run_shard(SHARD)
    assert not harness.redis.exists("trackrelay:probe:v2")
    worker.run_shard(SHARD)
    assert api.taken == ["seen"]


def test_while_the_breaker_is_open_the_stream_is_moved_to_the_backlog_untried(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    worker.breaker.failed(Family.V2, "away", retry_after_s=60)
    jobs = [harness.producer.track("42", f"{number}", {}) for number in range(20)]
    worker.work()
    assert not api.sent
    assert harness.stream_length() == 0
    assert {row.job_id for row in harness.rows("SELECT job_id FROM trackrelay_backlog")} == set(
        jobs
    )
    probe_now(harness.redis)
    worker.work_off(lambda: harness.backlog_size() == 0)
    assert api.taken == [f"{number}" for number in range(20)]


def test_retry_after_is_kept_whoever_succeeds_meanwhile(breaker: Breaker) -> None:
    breaker.failed(Family.V2, "slower", rate_limited=True, retry_after_s=30)
    assert not breaker.delivered(Family.V2, 5)  # was on its way already
    breaker_state = breaker.read_states().of(Family.V2)
    assert breaker_state.phase == "open"
    assert 25 < breaker_state.wait_s <= 30
    assert breaker_state.last_success > 0


def test_without_retry_after_a_success_ends_an_outage(breaker: Breaker) -> None:
    for _ in range(3):
        breaker.failed(Family.V2, "503")
    assert breaker.read_states(may_probe=None).of(Family.V2).phase == "open"
    assert breaker.delivered(Family.V2, 1)
    assert breaker.read_states().of(Family.V2).phase == "closed"


def test_requests_that_were_on_their_way_together_do_not_make_the_wait_grow(
    breaker: Breaker, client: redis.Redis
) -> None:
    for _ in range(40):
        breaker.failed(Family.V2, "503")
    assert breaker.read_states(may_probe=None).of(Family.V2).wait_s <= 1.0
    waits = []
    for _ in range(12):
        probe_now(client)
        assert breaker.read_states().of(Family.V2).phase == "probe"
        waits.append(breaker.failed(Family.V2, "503", probing=True).wait_s)
    assert max(waits) > 2.0
    assert max(waits) <= 30.0


def test_a_late_failure_leaves_the_probes_token_alone(
    breaker: Breaker, client: redis.Redis
) -> None:
    for _ in range(3):
        breaker.failed(Family.V2, "503")
    probe_now(client)
    assert breaker.read_states().of(Family.V2).phase == "probe"
    breaker.failed(Family.V2, "503")
    assert breaker.read_states().of(Family.V2).phase == "open"


def test_a_lost_probe_makes_room_for_another(client: redis.Redis) -> None:
    killed, others = Breaker(client, probe_s=0.5), Breaker(client, probe_s=0.5)
    killed.failed(Family.V2, "away", retry_after_s=0.0)
    probe_now(client)
    assert killed.read_states().of(Family.V2).phase == "probe"
    assert others.read_states().of(Family.V2).phase == "open"
    wait_until(
        lambda: others.read_states().of(Family.V2).phase == "probe", 10, "the token to expire"
    )


@pytest.mark.parametrize("probing", [False, True])
def test_an_outage_does_not_make_forgotten_why_delivery_is_halted(
    breaker: Breaker, probing: bool
) -> None:
    breaker.halt_refused(Family.V2, "everything is refused", "no")
    breaker.failed(Family.V2, "timeout", probing=probing)
    breaker_state = breaker.read_states(may_probe=None).of(Family.V2)
    assert (breaker_state.phase, breaker_state.reason, breaker_state.words) == (
        "halted",
        "refused",
        "no",
    )
    assert breaker_state.wait_s > 10


def test_halted_delivery_asks_the_region_endpoint_and_sends_nothing_until_it_agrees(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    api.answers = lambda request, documents: Answer(401, b"")
    api.verdict = Verdict(problem="denied", message="wrong key")
    jobs = [harness.producer.track(person, "seen", {}) for person in people_of(SHARD, 3)]
    worker.run_shard(SHARD)
    assert harness.breaker()["state"] == "halted"
    requests = len(api.sent)
    for _ in range(3):
        probe_now(harness.redis)
        worker.run_shard(SHARD)
    assert len(api.sent) == requests
    api.verdict, api.answers = Verdict(), lambda request, documents: None
    probe_now(harness.redis)
    worker.run_shard(SHARD)
    assert harness.ledger_ids() == set(jobs)
    assert not harness.dead_ids()


def test_age_counts_from_when_delivery_became_possible_again(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    api.answers = lambda request, documents: NoAnswer("connection refused")
    with harness.producer.pipeline() as pipeline:
        jobs = [pipeline.track(person, "old", {}) for person in people_of(SHARD, 3)]
    worker.run_shard(SHARD)
    age(harness, "4 days")
    api.answers = lambda request, documents: None
    probe_now(harness.redis)
    worker.run_shard(SHARD)
    assert harness.ledger_ids() == set(jobs)
    assert not harness.dead_ids()


def test_what_was_too_old_before_the_outage_and_could_have_been_delivered_is_not_kept_for_ever(
    harness: Harness, worker: Worker, api: FakeApi
) -> None:
    api.answers = lambda request, documents: Answer(500, b"") if "bad" in str(documents) else None
    job = harness.producer.track("42", "bad", {})
    worker.run_shard(SHARD, 0.0001)
    age(harness, "4 days")
    worker.breaker.delivered(Family.V2, 1)
    harness.redis.hset("trackrelay:breaker:v2", "recovered_ms", 1)
    worker.run_shard(SHARD)
    assert harness.dead(job).reason == "expired"


def test_age_counts_from_a_resume_and_from_when_workers_came_back(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    worker.breaker.failed(Family.V2, "away", retry_after_s=60)
    job = harness.producer.track("42", "old", {})
    worker.run_shard(SHARD)
    age(harness, "4 days")
    with harness.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE trackrelay_state SET updated_at = now() - interval '1 day' "
            "WHERE name = 'workers_seen'"
        )
        shards.record_heartbeat(connection)
    probe_now(harness.redis)
    close_breakers(harness.redis)
    worker.run_shard(SHARD)
    assert harness.ledger_ids() == {job}


def age(harness: Harness, interval: str) -> None:
    """Let time pass for what waits, and for when delivery was last possible."""
    with harness.engine.begin() as connection:
        connection.exec_driver_sql(
            f"UPDATE trackrelay_backlog SET enqueued_at = enqueued_at - interval '{interval}', "
            f"age_from = age_from - interval '{interval}'"
        )
        connection.exec_driver_sql(
            f"UPDATE trackrelay_state SET updated_at = updated_at - interval '{interval}'"
        )
        # Workers were there all along.
        connection.exec_driver_sql(
            "UPDATE trackrelay_state SET updated_at = now() WHERE name = 'workers_seen'"
        )


def test_a_region_that_refuses_everything_with_the_same_message_halts_and_keeps_all(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    api.answers = lambda request, documents: refusal("workspace is over its limit")
    with harness.producer.pipeline() as pipeline:
        jobs = [pipeline.track(person, "seen", {}) for person in people_of(SHARD, 4)]
    worker.run_shard(SHARD)
    assert harness.breaker()["state"] == "halted"
    for _ in range(4):
        probe_now(harness.redis)
        worker.run_shard(SHARD)
    assert not harness.dead_ids()
    api.answers = lambda request, documents: None
    probe_now(harness.redis)
    worker.run_shard(SHARD)
    assert harness.ledger_ids() == set(jobs)


def test_a_connection_that_always_takes_too_long_is_the_endpoints_problem(
    harness: Harness, api: FakeApi, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connects_slowly(*_: Any) -> Any:
        raise TooLateError

    monkeypatch.setattr(api, "send", connects_slowly)
    harness.producer.track("42", "seen", {})
    worker.run_shard(SHARD, 20.0)
    assert harness.breaker()["state"] == "open"


def test_a_job_of_any_kind_can_be_the_probe(harness: Harness, api: FakeApi, worker: Worker) -> None:
    """Forms, metrics and anonymous events recover delivery as well as any other."""
    api.answers = lambda request, documents: BUSY
    job = harness.producer.submit_form("f", Person(id="42"), {"a": "b"})
    worker.run_shard(SHARD)
    api.answers = lambda request, documents: None
    probe_now(harness.redis)
    worker.work()
    assert harness.ledger_ids() == {job}
    assert harness.breaker("forms")["state"] == "closed"
