"""Redis loses everything, or its latest entries: what went through an outbox still arrives once."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import redis
import sqlalchemy as sa

from tests.support.harness import Harness
from tests.support.outbox import (
    Application,
    assert_once_and_in_order,
    events,
    make_relay,
    relay_once,
    stream_jobs,
    wait_empty,
)
from tests.support.waiting import wait_until
from trackrelay import operations
from trackrelay.errors import QueueNotSetUpError
from trackrelay.operations.keys import shard_of
from trackrelay.queue.redis_keys import RELAYED
from trackrelay.worker.devstack.servers import ValkeyProcess
from trackrelay.worker.queue import queue_config
from trackrelay.worker.queue.bootstrap import migrate
from trackrelay.worker.queue.queue_agreement import recover
from trackrelay.worker.relay.outbox_rows import OutboxRows, Row
from trackrelay.worker.relay.relay_loop import RelayLoop
from trackrelay.worker.settings import load
from trackrelay.worker.storage import incident_log
from trackrelay.worker.storage.duplicate_check import settled
from trackrelay.worker.storage.incident_log import Kind

PEOPLE = 40


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_flushall_in_the_middle_of_thousands_of_jobs_loses_and_reorders_nothing(
    postgres_application: Application, harness: Harness, start_worker: Callable[..., Any], pool: str
) -> None:
    application = postgres_application
    made = events(3_000, PEOPLE)
    start_worker(
        harness.settings | {"TRACKRELAY_REQUESTS_PER_SECOND": "20"}, pool=pool, concurrency=4
    )
    writer = threading.Thread(target=application.write, args=(made,))
    writer.start()
    wait_until(lambda: len(harness.ledger_ids()) > 500, 60, "the first deliveries")
    harness.redis.flushall()
    writer.join()
    harness.wait_delivered([operation.id for operation in made], 120)
    wait_empty(application)
    assert_once_and_in_order(harness, made)
    assert harness.stream_length() == 0

    # No command was needed: direct calls are accepted again, too.
    job = harness.producer.track("direct", "seen", {})
    harness.wait_delivered([job], 60)


def test_everything_relayed_before_the_loss_goes_again_before_anything_new(
    application: Application, harness: Harness
) -> None:
    before = [application.track("42", str(number)) for number in range(5)]
    relay_once(harness.settings)
    harness.redis.flushall()
    after = [application.track("42", str(number)) for number in range(5)]
    assert relay_once(harness.settings).relayed == 10
    assert stream_jobs(harness, shard_of("id:42", 4)) == before + after


def test_a_relay_in_the_middle_of_its_work_does_not_append_to_a_queue_it_does_not_know(
    application: Application, harness: Harness
) -> None:
    """A relay appends and marks under the old generation, and the queue changes meanwhile."""
    relay = make_relay(harness.settings)
    first = application.track("42", "first")
    assert relay.take_lease()
    relay.run_pass()
    harness.redis.flushall()
    migrate(harness.engine, harness.redis, 4)
    second = application.track("42", "second")
    while relay.run_pass() == 0:
        pass
    assert stream_jobs(harness, shard_of("id:42", 4)) == [first, second]


def test_a_queue_lost_between_reading_a_row_and_appending_it_does_not_take_it_before_earlier_ones(
    application: Application, harness: Harness
) -> None:
    first = application.track("42", "first")
    second: list[str] = []

    class Accident(OutboxRows):
        def unrelayed(self, limit: int) -> list[Row]:
            rows = super().unrelayed(limit)
            if [row.job_id for row in rows] == second:
                harness.redis.flushall()
                migrate(harness.engine, harness.redis, 4)
                harness.redis.set(RELAYED, 100)  # another outbox's relay was quicker
            return rows

    relay = make_relay(harness.settings, Accident)
    while relay.run_pass() == 0:
        pass
    assert application.unrelayed() == []
    second.append(application.track("42", "second"))
    while relay.run_pass() == 0:
        pass
    assert stream_jobs(harness, shard_of("id:42", 4)) == [first, *second]


def test_a_failover_that_lost_the_latest_entries_is_noticed_before_anything_is_appended(
    application: Application, harness: Harness
) -> None:
    shard = shard_of("id:42", 4)
    jobs = [application.track("42", "0"), application.track("42", "1")]
    relay_once(harness.settings)
    replica = {
        name: harness.redis.dump(name)
        for name in (f"trackrelay:{shard}:live", "trackrelay:relayed")
    }
    jobs += [application.track("42", "2"), application.track("42", "3")]
    relay_once(harness.settings)
    for name, value in replica.items():
        harness.redis.restore(name, 0, value, replace=True)
    jobs.append(application.track("42", "4"))
    relay_once(harness.settings)
    in_stream = stream_jobs(harness, shard)
    assert [job for index, job in enumerate(in_stream) if job not in in_stream[:index]] == jobs
    assert in_stream[2:] == jobs, "everything that had not arrived, in order"
    with harness.engine.connect() as connection:
        (incident,) = incident_log.unacknowledged(connection)
    assert (incident.kind, incident.at_most, incident.jobs) == (Kind.ROLLED_BACK, None, 1), (
        "direct calls may be lost"
    )


def test_what_has_arrived_is_not_relayed_into_the_new_queue(
    application: Application, harness: Harness, start_worker: Callable[..., Any]
) -> None:
    delivered = [application.track("42", str(number)) for number in range(3)]
    relay_once(harness.settings)
    worker = start_worker(
        harness.settings | {"TRACKRELAY_OUTBOX_URL": ""}, pool="threads", concurrency=2
    )
    harness.wait_delivered(delivered, 60)
    worker.kill()
    harness.redis.flushall()
    waiting = application.track("42", "new")
    assert relay_once(harness.settings).relayed == 1
    assert [row.job_id for row in application.rows()] == [waiting]


def test_redis_comes_back_empty_and_workers_start_without_anybody(
    postgres_application: Application, harness: Harness, start_worker: Callable[..., Any]
) -> None:
    first = start_worker(harness.settings, pool="threads", concurrency=2)
    harness.wait_delivered([postgres_application.track("42", "before")], 60)
    first.stop()
    harness.redis.flushall()
    job = postgres_application.track("42", "after")
    start_worker(harness.settings, pool="threads", concurrency=2)
    harness.wait_delivered([job], 60)


def test_a_worker_without_an_outbox_sets_the_queue_up_again_too(
    harness: Harness, start_worker: Callable[..., Any]
) -> None:
    start_worker(harness.settings, pool="threads", concurrency=2)
    harness.wait_delivered([harness.producer.track("42", "before", {})], 60)
    harness.redis.flushall()
    wait_until(lambda: queue_config.read(harness.redis), 60, "the queue")
    harness.wait_delivered([harness.producer.track("42", "after", {})], 60)


def test_after_a_loss_nobody_takes_a_shard_whose_last_holder_may_still_be_sending(
    harness: Harness,
) -> None:
    request_timeout_s = load(harness.settings).request_timeout.total_seconds()
    with harness.engine.begin() as connection:
        connection.execute(sa.text("UPDATE trackrelay_shards SET fence = 7 WHERE shard = 2"))
    old = queue_config.read(harness.redis)
    harness.redis.flushall()
    with pytest.raises(QueueNotSetUpError):
        harness.producer.track("42", "seen", {})
    made = recover(harness.redis, harness.engine, request_timeout_s)
    assert old is not None
    assert made is not None
    assert (made.shards, made.format) == (4, old.format)
    assert made.generation != old.generation
    for shard in range(4):
        assert 3_000 < harness.redis.pttl(f"trackrelay:{shard}:lease") <= 4_000
    assert recover(harness.redis, harness.engine, request_timeout_s) == made
    harness.producer.track("42", "seen", {})


def test_a_queue_that_was_never_set_up_is_left_to_migrate(worker_settings: dict[str, str]) -> None:
    configured = load(worker_settings)
    client = redis.Redis.from_url(worker_settings["TRACKRELAY_REDIS_URL"])
    engine = sa.create_engine(configured.database_url.get_secret_value())
    assert recover(client, engine, 1.0) is None
    assert client.keys() == []


def test_half_of_a_merge_has_not_arrived(harness: Harness) -> None:
    """One shard's holder put it in its backlog; the other's entry was lost."""
    job = operations.merge(primary="42", secondary="43").id
    insert = sa.text("""
        INSERT INTO trackrelay_backlog (job_id, key, shard, lane, position, sends, parts, keys,
            shards, operation, body,
            enqueued_at, age_from, since, reason, attempts, max_batch, replayed, history)
        VALUES (:job, :key, 0, 'live', 1, true, 2, '{id:42,id:43}', '{0,1}', 'person.merge', '{}',
            now(), now(), now(),
            'two_keys', 0, 1000, false, '[]')
    """)
    with harness.engine.begin() as connection:
        connection.execute(insert, {"job": job, "key": "id:42"})
        assert settled(connection, [job], discarded=True) == set()
        connection.execute(insert, {"job": job, "key": "id:43"})
        assert settled(connection, [job], discarded=True) == {job}


def test_while_redis_is_away_rows_wait_and_then_go_in_order(
    own_redis: ValkeyProcess, postgres_application: Application, worker_settings: dict[str, str]
) -> None:
    settings = worker_settings | {"TRACKRELAY_REDIS_URL": own_redis.url}
    harness = Harness(settings, None)  # type: ignore[arg-type]
    migrate(harness.engine, harness.redis, 4)
    relay = make_relay(settings)
    thread = threading.Thread(target=relay.run)
    jobs = [postgres_application.track("42", "before")]
    thread.start()
    wait_until(lambda: not postgres_application.unrelayed(), 60, "the first row to be relayed")
    own_redis.kill()
    jobs += [postgres_application.track("42", str(number)) for number in range(5)]
    wait_until(lambda: relay.totals.errors, 60, "the relay to notice")
    own_redis.start()
    wait_until(lambda: not postgres_application.unrelayed(), 60, "the rows to be relayed")
    relay.stop()
    thread.join()
    # The server of the tests keeps nothing: what was in it was relayed again, too.
    assert stream_jobs(harness, shard_of("id:42", 4)) == jobs
    harness.close()


def relay_all(relay: RelayLoop) -> None:
    """Relay until nothing is due."""
    while relay.run_pass() == 0:
        pass


def test_a_relay_that_takes_over_knows_of_appends_that_another_made_since_it_worked_last(
    postgres_application: Application, harness: Harness
) -> None:
    """A failover loses what the other relay appended; the next append must notice it first."""
    shard = shard_of("id:42", 4)
    earlier, later = make_relay(harness.settings), make_relay(harness.settings)
    assert later.take_lease()
    postgres_application.track("7", "its own")
    relay_all(later)
    later.release_lease()
    replica = {name: harness.redis.dump(name) for name in harness.redis.keys("trackrelay:*")}
    assert earlier.take_lease()
    first = postgres_application.track("42", "first")
    relay_all(earlier)
    harness.redis.flushall()
    for name, value in replica.items():
        harness.redis.restore(name, 0, value, replace=True)
    assert later.take_lease()
    second = postgres_application.track("42", "second")
    relay_all(later)
    in_stream = stream_jobs(harness, shard)
    assert list(dict.fromkeys(in_stream)) == [first, second]


def test_a_relay_that_slept_reads_again_what_others_appended(
    postgres_application: Application, harness: Harness
) -> None:
    """It believes that it has the lease; another one worked meanwhile."""
    shard = shard_of("id:42", 4)
    other, sleeper = make_relay(harness.settings), make_relay(harness.settings)
    postgres_application.track("7", "its own")
    relay_all(sleeper)
    replica = {name: harness.redis.dump(name) for name in harness.redis.keys("trackrelay:*")}
    first = postgres_application.track("42", "first")
    relay_all(other)
    harness.redis.flushall()
    for name, value in replica.items():
        harness.redis.restore(name, 0, value, replace=True)
    second = postgres_application.track("42", "second")
    sleeper._relay._last_turn_until = 0.0  # as time would
    relay_all(sleeper)
    assert list(dict.fromkeys(stream_jobs(harness, shard))) == [first, second]
