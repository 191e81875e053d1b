"""Enqueueing to a real Redis: one script, all or nothing, bounded in time."""

import base64
import contextlib
import itertools
import json
import os
import pickle
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Self

import msgspec
import pytest
import redis

import trackrelay
from tests.support.waiting import patient, wait_until
from trackrelay import (
    ConfigurationError,
    InvalidOperationError,
    Operation,
    Producer,
    QueueFullError,
    QueueUnavailableError,
    aio,
    operations,
)
from trackrelay.calls.backends import MemoryBackend
from trackrelay.calls.producer import CHUNK_OPERATIONS
from trackrelay.default import default_producer
from trackrelay.operations.keys import shard_of
from trackrelay.queue.connections import Connections
from trackrelay.queue.job import Job, decode_entry
from trackrelay.worker.delivery.lua_scripts import ACKNOWLEDGE
from trackrelay.worker.devstack.servers import ValkeyProcess
from trackrelay.worker.queue.queue_config import set_up
from trackrelay.worker.queue.queue_length import jobs_queued

Entries = Callable[[], dict[str, list[bytes]]]


def jobs_in(streams: dict[str, list[bytes]]) -> list[Job]:
    """The jobs of some streams' entries."""
    return [job for stream in streams.values() for entry in stream for job in decode_entry(entry)]


def test_a_job_is_in_its_keys_shard_and_a_worker_was_woken(
    producer: Producer, queue: redis.Redis, entries: Entries
) -> None:
    job = producer.track("42", "seen", {"n": 1})
    shard = shard_of("id:42", 4)
    ((entry,),) = entries().values()
    (decoded,) = decode_entry(entry)
    assert (decoded.id, decoded.operation, decoded.keys) == (job, "person.event", ("id:42",))
    assert list(entries()) == [f"trackrelay:{shard}:live"]
    (message,) = queue.lrange("trackrelay:celery:deliver", 0, -1)
    envelope = json.loads(message)
    assert envelope["headers"]["task"] == "trackrelay.deliver"
    assert json.loads(base64.b64decode(envelope["body"])) == [[shard], {}, {}]


def test_a_shard_with_a_wakeup_is_not_woken_again(producer: Producer, queue: redis.Redis) -> None:
    for number in range(50):
        producer.track("42", "seen", {"n": number})
    assert queue.llen("trackrelay:celery:deliver") == 1


def test_a_job_with_keys_in_two_shards_is_in_both_and_in_one_shard_only_once(
    producer: Producer, entries: Entries
) -> None:
    ids = [str(number) for number in range(50)]
    first = next(a for a in ids)
    elsewhere = next(b for b in ids if shard_of(f"id:{b}", 4) != shard_of(f"id:{first}", 4))
    same = next(b for b in ids[1:] if shard_of(f"id:{b}", 4) == shard_of(f"id:{first}", 4))
    producer.merge(primary=first, secondary=elsewhere)
    assert sorted(len(found) for found in entries().values()) == [1, 1]
    producer.merge(primary=first, secondary=same)
    assert sorted(len(found) for found in entries().values()) == [1, 2]


def test_a_pipeline_is_one_round_trip_and_nothing_is_sent_after_an_error(
    producer: Producer, entries: Entries
) -> None:
    with producer.pipeline() as pipeline:
        ids = [pipeline.track(str(person), "seen", {}) for person in range(5)]
        assert not entries()
    assert sum(map(len, entries().values())) == len(ids) == 5

    def fail() -> None:
        with producer.pipeline() as pipeline:
            pipeline.track("1", "seen", {})
            pipeline.track("1", "", {})

    with pytest.raises(InvalidOperationError):
        fail()
    assert sum(map(len, entries().values())) == 5


def test_a_million_operations_would_be_enqueued_in_constant_memory(
    producer: Producer, queue: redis.Redis
) -> None:
    def many(count: int) -> Iterator[Operation]:
        return (
            operations.track(str(number), "seen", {"pad": "x" * 200}) for number in range(count)
        )

    producer.enqueue_many(many(1_000))
    tracemalloc.start()
    assert producer.enqueue_many(many(5_000)) == 5_000
    _, small = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    assert producer.enqueue_many(many(20_000)) == 20_000
    _, large = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert large < 1.5 * small
    assert jobs_queued(queue, 4) == 26_000


def test_enqueue_many_passes_on_refused_calls_and_continues(
    producer: Producer, entries: Entries
) -> None:
    documents = [
        {"type": "person", "action": "event", "identifiers": {"id": "1"}, "name": name}
        for name in ("a", "", "c")
    ]
    refused: list[tuple[int, str]] = []
    count = producer.enqueue_many(
        map(operations.entity, documents),
        on_invalid=lambda index, error: refused.append((index, error.field)),
    )
    assert (count, refused) == (2, [(1, "name")])
    assert len(jobs_in(entries())) == 2


def named(name: str) -> Operation:
    return operations.track("42", name)


def generated(*names: str) -> Iterator[Operation]:
    return (named(name) for name in names)


async def generated_asynchronously(*names: str) -> AsyncIterator[Operation]:
    for name in names:
        yield named(name)


class OneByOne:
    """An asynchronous iterator that continues after an error."""

    def __init__(self, *names: str) -> None:
        self._names = iter(names)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Operation:
        for name in self._names:
            return named(name)
        raise StopAsyncIteration


def test_a_generator_that_a_refused_operation_ends_does_not_look_as_if_it_had_come_to_its_end() -> (
    None
):
    producer = Producer(backend="memory")
    refused: list[int] = []
    with pytest.raises(
        InvalidOperationError,
        match=r"operation 2 was refused .* the 2 before it are enqueued.* map\(…\) goes on.*name",
    ) as raised:
        producer.enqueue_many(
            generated("a", "b", "", "d"), on_invalid=lambda index, _: refused.append(index)
        )
    assert (refused, raised.value.field) == ([2], "name")
    assert isinstance(producer.backend, MemoryBackend)
    assert len(producer.backend.operations) == 2


async def test_coroutines_pass_on_refused_calls_and_continue() -> None:
    aio.configure(backend="memory")
    try:
        backend = default_producer().backend
        assert isinstance(backend, MemoryBackend)
        refused: list[int] = []

        def note(index: int, _: InvalidOperationError) -> None:
            refused.append(index)

        assert await aio.enqueue_many(OneByOne("a", "", "c"), on_invalid=note) == 2
        assert (refused, len(backend.operations)) == ([1], 2)

        for generator in generated("a", "", "c"), generated_asynchronously("a", "", "c"):
            refused.clear()
            backend.operations.clear()
            with pytest.raises(
                InvalidOperationError, match="operation 1 was refused inside a generator"
            ):
                await aio.enqueue_many(generator, on_invalid=note)
            assert (refused, len(backend.operations)) == ([1], 1)
        with pytest.raises(InvalidOperationError):
            await aio.enqueue_many(generated_asynchronously("a", "", "c"))
    finally:
        aio.configure(backend="off")


def test_a_full_queue_says_so_with_both_numbers_and_takes_nothing(
    queue: redis.Redis, redis_url: str, entries: Entries
) -> None:
    producer = Producer(redis_url=redis_url, max_queue_length=3)
    for _ in range(3):
        producer.track("42", "seen", {})
    with pytest.raises(
        QueueFullError, match=r"would hold 4 jobs; TRACKRELAY_MAX_QUEUE_LENGTH is 3"
    ) as error:
        producer.track("42", "seen", {})
    assert error.value.job_id
    assert sum(map(len, entries().values())) == 3


def test_redis_is_never_filled_to_the_brim(queue: redis.Redis, producer: Producer) -> None:
    used = int(queue.info("memory")["used_memory"])
    # The mark is read ten times a second: nobody fills a quarter of this in between.
    limit = used + 160_000_000
    queue.config_set("maxmemory", limit)

    def fill() -> None:
        for _ in range(1_000):
            with producer.pipeline() as pipeline:
                for person in range(50):
                    pipeline.track(str(person), "seen", {"pad": "x" * 5_000})

    with pytest.raises(QueueFullError, match="for workers to drain"):
        fill()
    # The append-only file's buffer counts as well: on a busy disk it is a few megabytes.
    assert int(queue.info("memory")["used_memory"]) < limit


def test_enqueue_many_waits_while_the_queue_is_half_full_and_live_calls_go_on(
    queue: redis.Redis, redis_url: str
) -> None:
    producer = Producer(redis_url=redis_url, max_queue_length=1_000)
    stream = f"trackrelay:{shard_of('id:42', 4)}:bulk"
    with enqueueing_many(producer, 1_500) as done:
        wait_until(lambda: jobs_queued(queue, 4) == 500, 10, "half a queue")
        assert not done.wait(0.3)
        for _ in range(500):
            producer.track("42", "live")
        with pytest.raises(QueueFullError, match="would hold 1,001 jobs"):
            producer.track("42", "live")
        assert jobs_queued(queue, 4) == 1_000

        queue.delete(*queue.scan_iter("trackrelay:*:live"))
        (first, _), *_ = queue.xrange(stream)
        queue.eval(ACKNOWLEDGE, 2, stream, f"{stream}:more", "nobody", first, 25)
        assert not done.wait(0.1)
        wait_until(lambda: jobs_queued(queue, 4) == 975, 10, "a chunk more")
        queue.xtrim(stream, maxlen=0)
        assert done.wait(patient(10))
    assert jobs_queued(queue, 4) == 500


def test_enqueue_many_never_waits_for_room_that_cannot_come(
    queue: redis.Redis, redis_url: str
) -> None:
    with enqueueing_many(Producer(redis_url=redis_url, max_queue_length=10), 100) as done:
        assert done.wait(patient(10))


def test_enqueue_many_waits_while_redis_uses_half_of_its_memory_and_live_calls_go_on(
    queue: redis.Redis, producer: Producer
) -> None:
    queue.config_set("maxmemory", int(queue.info("memory")["used_memory"] * 1.7))
    with enqueueing_many(producer, 10) as done:
        producer.track("42", "live")
        assert not done.wait(0.7)
        with pytest.raises(QueueFullError, match="what exceeds 50% is kept for live calls"):
            producer.enqueue(operations.track("42", "seen"), lane="bulk")
        queue.config_set("maxmemory", 0)
        assert done.wait(patient(10))


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


@contextlib.contextmanager
def enqueueing_many(producer: Producer, count: int) -> Iterator[threading.Event]:
    """Enqueues in a thread; gives what is set when it is done."""
    many = (operations.track("42", "seen", {"n": number}) for number in range(count))
    done = threading.Event()
    thread = threading.Thread(target=lambda: (producer.enqueue_many(many), done.set()), daemon=True)
    thread.start()
    yield done
    thread.join(patient(10))


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


def test_a_full_queue_names_all_that_it_did_not_take(queue: redis.Redis, redis_url: str) -> None:
    producer = Producer(redis_url=redis_url, max_queue_length=2)
    with pytest.raises(QueueFullError, match=r"would hold 3 jobs.*\(3 jobs\)$") as raised:
        producer.add_to_segment(7, ["1", "2", "3"])
    assert len(raised.value.operations) == 3


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


def test_a_producer_takes_the_number_of_shards_it_finds_unless_it_insists(
    redis_url: str, entries: Entries
) -> None:
    client = redis.Redis.from_url(redis_url)
    client.delete("trackrelay:config")
    set_up(client, 7)
    adopting = Producer(redis_url=redis_url)
    adopting.track("42", "seen", {})
    assert list(entries()) == [f"trackrelay:{shard_of('id:42', 7)}:live"]
    with pytest.raises(
        ConfigurationError, match="TRACKRELAY_SHARDS is 4, but the queue has 7 shards"
    ):
        Producer(redis_url=redis_url, shards=4).track("42", "seen", {})


def test_a_newer_queue_is_left_alone(queue: redis.Redis, producer: Producer) -> None:
    queue.hset("trackrelay:config", "format", 99)
    with pytest.raises(ConfigurationError, match="format 99"):
        producer.track("42", "seen", {})


def test_threads_share_a_producer(producer: Producer, entries: Entries) -> None:
    threads = [
        threading.Thread(target=lambda: [producer.track("42", "seen", {}) for _ in range(50)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(map(len, entries().values())) == 400


def test_a_forked_child_uses_its_own_connection(
    queue: redis.Redis, redis_url: str, entries: Entries
) -> None:
    trackrelay.configure(redis_url=redis_url, backend="redis")
    try:
        trackrelay.track("42", "parent", {})
        children = []
        for _ in range(4):
            if (child := os.fork()) == 0:
                for _ in range(20):
                    trackrelay.track("42", "child", {})
                os._exit(0)
            children.append(child)
        for _ in range(20):
            trackrelay.track("42", "parent", {})
        assert all(os.waitpid(child, 0)[1] == 0 for child in children)
    finally:
        trackrelay.configure(backend="off")
    assert sum(map(len, entries().values())) == 1 + 4 * 20 + 20


def test_importing_producers_is_cheap_and_connects_to_nothing() -> None:
    code = (
        "import sys; before = set(sys.modules); import trackrelay;"
        "print(*(set(sys.modules) - before))"
    )
    environment = {"PATH": os.environ["PATH"], "TRACKRELAY_REDIS_URL": "not a url at all"}
    printed = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    )
    loaded = set(printed.stdout.split())
    assert "trackrelay" in loaded
    heavy = {"celery", "pydantic", "sqlalchemy", "requests", "asyncio", "redis"}
    assert not ({*heavy, "trackrelay.worker"} & loaded), loaded


async def test_coroutines_enqueue_the_same(
    queue: redis.Redis, redis_url: str, entries: Entries
) -> None:
    aio.configure(redis_url=redis_url, backend="redis")
    try:
        job = await aio.track("42", "seen", {})
        async with aio.pipeline() as pipeline:
            pipeline.identify("42", {"plan": "pro"})
            pipeline.track("42", "again", {})
        assert (
            await aio.enqueue_many(operations.track("42", "many", {"n": n}) for n in range(10))
            == 10
        )
    finally:
        await aio.aclose()
        aio.configure(backend="off")
    found = jobs_in(entries())
    assert len(found) == 13
    assert job in {each.id for each in found}


def test_the_trace_of_the_request_travels_with_its_job(
    producer: Producer, entries: Entries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "trackrelay.calls.producer.current_traceparent",
        lambda: "00-" + "1" * 32 + "-" + "2" * 16 + "-01",
    )
    producer.track("42", "seen", {})
    ((entry,),) = entries().values()
    assert msgspec.json.decode(entry)[0]["trace"].startswith("00-1")
