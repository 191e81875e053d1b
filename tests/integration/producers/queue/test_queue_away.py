"""A queue that is away or not set up: errors within the bound, or log lines."""

import itertools
import pickle
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.support.many_operations import generated, named
from trackrelay import (
    ConfigurationError,
    Operation,
    Producer,
    QueueUnavailableError,
    aio,
    operations,
)
from trackrelay.calls.producer import CHUNK_OPERATIONS
from trackrelay.queue.connections import Connections
from trackrelay.worker.devstack.servers import ValkeyProcess
from trackrelay.worker.queue.queue_config import set_up


def killing_in_between(server: ValkeyProcess) -> Iterator[Operation]:
    """A group that is enqueued, and ten more operations before which the queue goes away."""
    yield from generated(*["before"] * CHUNK_OPERATIONS)
    server.kill()
    yield from generated(*["after"] * 10)


@pytest.fixture
def mortal(own_redis: ValkeyProcess) -> ValkeyProcess:
    """A Redis with a queue, to be killed."""
    with redis.Redis.from_url(own_redis.url) as client:
        set_up(client, 4)
    return own_redis


def test_enqueue_many_says_how_far_it_got_when_the_queue_goes_away(mortal: ValkeyProcess) -> None:
    producer = Producer(redis_url=mortal.url, enqueue_timeout=0.5)
    with pytest.raises(
        QueueUnavailableError, match=r"\(10 jobs, after 500 that were enqueued\)$"
    ) as raised:
        producer.enqueue_many(killing_in_between(mortal))
    assert raised.value.enqueued_before == CHUNK_OPERATIONS
    assert len(raised.value.operations) == 10


def test_enqueue_many_logs_what_it_lost_where_that_is_wanted(
    mortal: ValkeyProcess, caplog: pytest.LogCaptureFixture
) -> None:
    producer = Producer(redis_url=mortal.url, enqueue_timeout=0.5, on_unavailable="log")
    lost = [named("lost") for _ in range(3)]
    assert (
        producer.enqueue_many(itertools.chain(killing_in_between(mortal), lost)) == CHUNK_OPERATIONS
    )
    assert all(operation.id in caplog.text for operation in lost)


@pytest.mark.parametrize("on_unavailable", ["raise", "log"])
async def test_coroutines_log_what_they_lost_where_that_is_wanted(
    mortal: ValkeyProcess, caplog: pytest.LogCaptureFixture, on_unavailable: str
) -> None:
    aio.configure(
        backend="redis", redis_url=mortal.url, enqueue_timeout=0.5, on_unavailable=on_unavailable
    )
    try:
        if on_unavailable == "raise":
            with pytest.raises(
                QueueUnavailableError, match=r"\(10 jobs, after 500 that were enqueued\)$"
            ):
                await aio.enqueue_many(killing_in_between(mortal))
        else:
            assert await aio.enqueue_many(killing_in_between(mortal)) == CHUNK_OPERATIONS
            assert "were not enqueued" in caplog.text
    finally:
        await aio.aclose()
        aio.configure(backend="off", enqueue_timeout=1, on_unavailable="raise")


@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_a_queue_that_is_away_raises_within_the_bound_and_then_at_once(
    own_redis: ValkeyProcess, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = redis.Redis.from_url(own_redis.url)
    set_up(client, 4)
    producer = Producer(redis_url=own_redis.url, enqueue_timeout=0.6)
    producer.track("42", "before", {})
    own_redis.kill() if how == "stopped" else own_redis.pause()
    exchanges: list[float] = []
    exchange = Connections.exchange

    def counted(self: Connections, command: bytes, give_up: float, replicas: int) -> Any:
        exchanges.append(give_up)
        return exchange(self, command, give_up, replicas)

    monkeypatch.setattr(Connections, "exchange", counted)
    monkeypatch.setattr("trackrelay.queue.queue_client.COOL_DOWN_S", 3600.0)
    with pytest.raises(QueueUnavailableError) as error:
        producer.track("42", "during", {})
    # Tried at most once more, and both share the time of one call.
    assert len(exchanges) <= 2
    assert len(set(exchanges)) == 1
    assert exchanges[0] <= time.monotonic() + 0.6
    exchanges.clear()
    for _ in range(5):
        with pytest.raises(QueueUnavailableError, match="a moment ago"):
            producer.track("42", "during", {})
    assert exchanges == []
    own_redis.start() if how == "stopped" else own_redis.resume()

    # Whether or not the first attempt arrived, the operation keeps its id.
    operation = error.value.operation
    assert operation is not None
    fresh = Producer(redis_url=own_redis.url)
    assert fresh.enqueue(operation) == error.value.job_id == operation.id


def test_logging_instead_of_raising(caplog: pytest.LogCaptureFixture) -> None:
    producer = Producer(
        redis_url="redis://127.0.0.1:1/0", on_unavailable="log", enqueue_timeout=0.1
    )
    job = producer.track("42", "seen", {"secret": "value"})
    assert job in caplog.text
    assert "value" not in caplog.text


def test_logging_when_redis_has_lost_the_queue(
    queue: redis.Redis, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    producer = Producer(redis_url=redis_url, on_unavailable="log")
    producer.track("42", "before", {})
    queue.flushall()
    job = producer.track("42", "after", {"secret": "value"})
    assert (
        f"job {job} was not enqueued (person.event): the queue was never set up in this Redis"
        in caplog.text
    )
    assert "value" not in caplog.text
    assert producer.enqueue_many([operations.track("42", "imported")]) == 0
    producer.close()


async def test_coroutines_log_it_too(
    queue: redis.Redis, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    aio.configure(redis_url=redis_url, on_unavailable="log")
    queue.flushall()
    job = await aio.track("42", "after", {})
    assert (
        f"job {job} was not enqueued (person.event): the queue was never set up in this Redis"
        in caplog.text
    )
    await aio.aclose()


def test_an_error_has_every_operation_of_the_call() -> None:
    producer = Producer(redis_url="redis://127.0.0.1:1/0", enqueue_timeout=0.1)
    collected: list[str] = []

    def pipeline() -> None:
        with producer.pipeline() as pipeline:
            collected.append(pipeline.identify("42", {"plan": "pro"}))
            collected.append(pipeline.track("42", "seen", {}))

    with pytest.raises(QueueUnavailableError, match=r"\(2 jobs\)$") as raised:
        pipeline()
    assert [operation.id for operation in raised.value.operations] == collected
    assert raised.value.job_id == collected[0]
    copied = pickle.loads(pickle.dumps(raised.value))
    assert (str(copied), copied.operations) == (str(raised.value), raised.value.operations)

    with pytest.raises(QueueUnavailableError, match=r"a moment ago.*\(3 jobs\)$") as raised:
        producer.add_to_segment(7, ["1", "2", "3"])
    assert len(raised.value.operations) == 3
    with pytest.raises(QueueUnavailableError, match=r"not tried again yet\)$") as raised:
        producer.track("42", "alone", {})
    assert raised.value.operations == (raised.value.operation,)


async def test_coroutines_raise_the_same_error() -> None:
    aio.configure(redis_url="redis://127.0.0.1:1/0", backend="redis", enqueue_timeout=0.1)
    try:
        with pytest.raises(QueueUnavailableError, match=r"\(3 jobs\)$") as raised:
            await aio.add_to_segment(7, ["1", "2", "3"])
        assert len(raised.value.operations) == 3
    finally:
        await aio.aclose()
        aio.configure(backend="off", enqueue_timeout=1)


def test_logging_names_every_job(caplog: pytest.LogCaptureFixture) -> None:
    producer = Producer(
        redis_url="redis://127.0.0.1:1/0", on_unavailable="log", enqueue_timeout=0.1
    )
    jobs = producer.add_to_segment(7, map(str, range(250)))
    assert len(jobs) == 250
    assert all(job in caplog.text for job in jobs)
    assert len(caplog.records) == 3


def test_a_queue_that_was_never_set_up_says_what_to_do(redis_url: str) -> None:
    with pytest.raises(ConfigurationError, match="trackrelay migrate"):
        Producer(redis_url=redis_url).track("42", "seen", {})
