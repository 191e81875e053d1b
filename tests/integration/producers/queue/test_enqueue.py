"""Enqueueing to a real Redis: one script, all or nothing, bounded in time."""

import base64
import json
import os
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Self

import msgspec
import pytest
import redis

import trackrelay
from tests.support.many_operations import generated, named
from trackrelay import (
    ConfigurationError,
    InvalidOperationError,
    Operation,
    Producer,
    aio,
    operations,
)
from trackrelay.calls.backends import MemoryBackend
from trackrelay.default import default_producer
from trackrelay.operations.keys import shard_of
from trackrelay.queue.job import Job, decode_entry
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
        match=r"operation 2 was refused .* the 2 before it .* map\(…\) would continue.*name",
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
