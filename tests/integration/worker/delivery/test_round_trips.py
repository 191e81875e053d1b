"""A batch costs the same statements and Redis round trips for ten jobs as for a thousand."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import redis.connection
import sqlalchemy as sa

from tests.support.harness import Harness
from tests.support.in_process_worker import BUSY, FakeApi, Worker, make_due, people_of, probe_now
from trackrelay import Producer

#: Jobs that one request carries, and one read takes.
FEW, MANY = 10, 1000


@dataclass
class Trips:
    """What was counted."""

    statements: int = 0
    to_redis: int = 0
    #: Requests to the Track API meanwhile.
    requests: int = 0

    def each(self) -> tuple[float, float]:
        """Statements, and round trips to Redis, for each request."""
        return self.statements / self.requests, self.to_redis / self.requests


@pytest.fixture
def count(
    worker: Worker, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[], None]], Trips]:
    """Counts what `work` asks of Postgres and Redis."""
    kind = redis.connection.AbstractConnection

    @contextmanager
    def counting(trips: Trips) -> Iterator[None]:
        def statement(*_: Any) -> None:
            trips.statements += 1

        send = kind.send_packed_command

        def command(self: Any, *args: Any, **options: Any) -> Any:
            trips.to_redis += 1
            return send(self, *args, **options)

        sa.event.listen(worker.resources.engine, "before_cursor_execute", statement)
        with monkeypatch.context() as patched:
            patched.setattr(kind, "send_packed_command", command)
            yield
        sa.event.remove(worker.resources.engine, "before_cursor_execute", statement)

    def counted(work: Callable[[], None]) -> Trips:
        trips, before = Trips(), len(api.sent)
        with counting(trips):
            work()
        trips.requests = len(api.sent) - before
        return trips

    return counted


@pytest.fixture
def warm(harness: Harness, worker: Worker) -> Producer:
    """A producer after a warm-up of scripts, pools, statements and the size of reads."""
    producer = Producer(redis_url=harness.settings["TRACKRELAY_REDIS_URL"])
    track(producer, FEW)
    worker.run_shard(0)
    return producer


def track(producer: Producer, jobs: int) -> None:
    """Enqueue a job for each of ``count`` people of the first shard."""
    with producer.pipeline() as pipeline:
        for person in people_of(0, jobs):
            pipeline.track(person, "seen", {"pad": "x" * 100})


def test_a_batch_costs_the_same_statements_and_round_trips_whatever_its_size(
    worker: Worker, warm: Producer, count: Callable[[Callable[[], None]], Trips]
) -> None:
    def least(jobs: int, requests: int) -> tuple[float, ...]:
        # What is due every few seconds, such as a lease's renewal, is not in all three of them.
        counted = []
        for _ in range(3):
            track(warm, jobs)
            trips = count(lambda: worker.run_shard(0))
            assert trips.requests <= requests
            counted.append(trips.each())
        return tuple(map(min, zip(*counted, strict=True)))

    for of_few, of_many in zip(least(FEW, 1), least(MANY, MANY // 100), strict=True):
        assert of_many <= of_few


def test_a_batch_out_of_the_backlog_costs_the_same_whatever_its_size(
    harness: Harness,
    api: FakeApi,
    worker: Worker,
    warm: Producer,
    count: Callable[[Callable[[], None]], Trips],
) -> None:
    def outage(jobs: int) -> tuple[Trips, Trips]:
        # Without an answer, three requests open the breaker, and the rest waits untried.
        api.answers = lambda request, documents: BUSY
        track(warm, jobs)
        failing = count(lambda: worker.run_shard(0))
        api.answers = lambda request, documents: None
        make_due(harness.engine)
        probe_now(harness.redis)
        return failing, count(lambda: worker.run_shard(0))

    few, many = outage(FEW), outage(MANY)
    # A read of the stream takes 250 at first and then more, so a thousand are at most four reads.
    # The backlog's reads take a thousand.
    for of_few, of_many in zip(few, many, strict=True):
        assert of_many.statements < 4 * of_few.statements
        assert of_many.to_redis < 4 * of_few.to_redis
    assert sorted(api.taken) == sorted(["seen"] * (FEW + FEW + MANY))


def test_an_enqueue_is_one_round_trip_however_many_jobs_it_has(
    warm: Producer, count: Callable[[Callable[[], None]], Trips]
) -> None:
    assert count(lambda: track(warm, 1)).to_redis == 1
    assert count(lambda: track(warm, MANY)).to_redis == 1
