"""Calls that enqueued nothing are counted, and no call waits for it."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.support.waiting import wait_until
from trackrelay import InvalidOperationError, Producer, operations
from trackrelay.outbox import Outbox
from trackrelay.queue import call_counts
from trackrelay.queue.call_counts import MAX_COUNTS, OTHERS, CallCounts
from trackrelay.worker.devstack.servers import ValkeyProcess
from trackrelay.worker.queue.queue_config import set_up


@pytest.fixture(autouse=True)
def _fresh_counts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This test's own counts, which only the test writes to Redis."""
    monkeypatch.setattr(call_counts, "FLUSH_S", 3600.0)
    call_counts._counts.cache_clear()
    yield
    call_counts._counts.cache_clear()


@pytest.fixture
def producer(queue: redis.Redis, redis_url: str) -> Iterator[Producer]:
    """An application that logs what is refused."""
    producer = Producer(redis_url=redis_url, source="shop", on_invalid="log")
    yield producer
    producer.close()


def counts(client: redis.Redis, kind: str = "refused") -> dict[tuple[str, ...], int]:
    """What Redis has, of all hours."""
    found: dict[tuple[str, ...], int] = {}
    for key in client.scan_iter(f"trackrelay:calls:{kind}:*"):
        hour = int(key.rsplit(b":", 1)[1])
        assert abs(hour - time.time() / 3600) < 2
        assert 48 * 3600 < client.ttl(key) <= 49 * 3600
        found |= {
            tuple(json.loads(field)): int(count) for field, count in client.hgetall(key).items()
        }
    return found


def test_refused_calls_are_counted_by_source_operation_and_field(
    producer: Producer, queue: redis.Redis
) -> None:
    producer.track("42", "")
    producer.track("42", "")
    producer.identify("42", {"plan": float("nan")})
    producer.identify("42", {"lines": [1, 2, {"price": float("nan")}]})
    producer.add_to_segment(7, ["1", "", ""])
    assert producer.counts.flush()
    assert counts(queue) == {
        ("shop", "person.event", "name"): 2,
        ("shop", "person.identify", "attributes.plan"): 1,
        ("shop", "person.identify", "attributes.lines[].price"): 1,
        ("shop", "segment.add", "identifiers.id"): 2,
    }
    producer.track("42", "")
    producer.counts.flush()
    assert counts(queue)["shop", "person.event", "name"] == 3


@pytest.mark.parametrize("on_invalid", ["raise", "dead_letter"])
def test_calls_that_raise_or_are_kept_are_counted_too(
    queue: redis.Redis, redis_url: str, on_invalid: str
) -> None:
    producer = Producer(redis_url=redis_url, on_invalid=on_invalid)
    for refused in (
        lambda: producer.track("42", ""),
        lambda: producer.enqueue_many(map(operations.track, "4", [""])),
    ):
        try:
            refused()
        except InvalidOperationError:
            assert on_invalid == "raise"
    producer.enqueue_many(map(operations.track, "4", [""]), on_invalid=lambda index, error: None)
    producer.counts.flush()
    assert counts(queue) == {("", "person.event", "name"): 3}
    producer.close()


def test_calls_that_were_only_logged_are_counted_once_redis_is_back(
    own_redis: ValkeyProcess,
) -> None:
    producer = Producer(
        redis_url=own_redis.url, source="shop", on_unavailable="log", enqueue_timeout=0.5
    )
    with redis.Redis.from_url(own_redis.url) as client:
        producer.track("42", "never set up")
        set_up(client, 4)
    own_redis.kill()
    producer.track("42", "away")
    producer.track("42", "away")
    assert not producer.counts.flush()
    own_redis.start()
    assert producer.counts.flush()
    with redis.Redis.from_url(own_redis.url) as client:
        assert counts(client, "unavailable") == {
            ("shop", "person.event", "QueueNotSetUpError"): 1,
            ("shop", "person.event", "QueueUnavailableError"): 2,
        }
    producer.close()


def test_counts_reach_redis_without_another_call(
    producer: Producer, queue: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_counts, "FLUSH_S", 0.01)
    producer.track("42", "")
    wait_until(lambda: counts(queue), 60, "the count")
    wait_until(lambda: producer.counts._thread is None, 60, "the thread to end")
    producer.track("42", "")
    wait_until(lambda: sum(counts(queue).values()) == 2, 60, "the second count")


def test_a_process_that_ends_at_once_brings_its_counts(queue: redis.Redis, redis_url: str) -> None:
    # The time that bringing them may take is not what is tested: the machine may be busy.
    program = (
        "import trackrelay\nfrom trackrelay.queue import call_counts\ncall_counts.TIMEOUT_S = 60\n"
        "try:\n    trackrelay.track('42', '')\nexcept trackrelay.InvalidOperationError:\n    pass\n"
    )
    environment = {**os.environ, "TRACKRELAY_REDIS_URL": redis_url, "TRACKRELAY_SOURCE": "script"}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    assert counts(queue) == {("script", "person.event", "name"): 1}


def test_a_call_is_refused_as_ever_when_no_thread_can_be_started(
    producer: Producer, queue: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", refuse)
        producer.track("42", "")
    producer.track("42", "")
    producer.counts.flush()
    assert counts(queue) == {("shop", "person.event", "name"): 2}


def test_threads_count_every_call(producer: Producer, queue: redis.Redis) -> None:
    def refuse() -> None:
        for _ in range(100):
            producer.track("42", "")

    threads = [threading.Thread(target=refuse) for _ in range(8)]
    for thread in threads:
        thread.start()
        producer.counts.flush()
    for thread in threads:
        thread.join()
    producer.counts.flush()
    assert counts(queue) == {("shop", "person.event", "name"): 800}


def test_a_forked_child_counts_its_own_calls(producer: Producer, queue: redis.Redis) -> None:
    producer.track("42", "")
    if (child := os.fork()) == 0:
        try:
            producer.track("42", "")
            producer.identify("", {})
            assert producer.counts.flush()
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert sum(counts(queue).values()) == 2
    producer.counts.flush()
    assert sum(counts(queue).values()) == 3


def test_different_fields_are_bounded_here_and_in_redis(queue: redis.Redis, redis_url: str) -> None:
    counted = CallCounts(redis_url, "shop")
    for start in (0, 2 * MAX_COUNTS):
        counted.add(
            "refused",
            [
                ("person.event", f"attributes.{start + n}" + "x" * 500)
                for n in range(2 * MAX_COUNTS)
            ],
        )
        assert counted.flush()
    found = counts(queue)
    assert len(found) <= MAX_COUNTS + 1
    assert sum(found.values()) == 4 * MAX_COUNTS
    assert found["shop", "person.event", OTHERS] >= 3 * MAX_COUNTS - 1
    assert all(len(part) <= 100 for field in found for part in field)


def test_where_there_is_no_redis_nothing_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    producer = Producer(backend="memory", on_invalid="log")
    producer.track("42", "")
    assert producer.counts.flush()
    assert producer.counts._thread is None


def test_the_outbox_counts_too(
    queue: redis.Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKRELAY_REDIS_URL", redis_url)
    monkeypatch.setenv("TRACKRELAY_ON_INVALID", "log")
    nothing: Any = None
    outbox = Outbox(nothing)
    outbox.track("42", "")
    assert outbox.invalid_calls._counts is not None
    outbox.invalid_calls._counts.flush()
    assert counts(queue) == {("", "person.event", "name"): 1}


def test_the_end_of_a_process_waits_for_the_thread_that_is_writing(
    queue: redis.Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = CallCounts(redis_url, "shop")
    own.add("refused", [("person.event", "name")])
    write, writes, go_on = own._write, threading.Event(), threading.Event()

    def slowly(taken: Any) -> None:
        writes.set()
        assert go_on.wait(60)
        write(taken)

    monkeypatch.setattr(own, "_write", slowly)
    thread = threading.Thread(target=own.flush)
    thread.start()
    assert writes.wait(60)
    threading.Timer(0.2, go_on.set).start()
    assert own.flush()
    assert counts(queue) == {("shop", "person.event", "name"): 1}
    thread.join()
