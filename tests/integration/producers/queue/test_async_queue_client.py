"""The connections of coroutines: as many event loops as there are requests, bursts, forks."""

import asyncio
import os
import threading
from collections.abc import Iterator

import pytest
import redis
from asgiref.sync import async_to_sync

import trackrelay
from tests.support.waiting import wait_until
from trackrelay import QueueUnavailableError, aio
from trackrelay.queue.async_queue_client import MAX_CONNECTIONS

#: Not what is tested; a slow machine must not make a call fail.
TIMEOUT_S = 60.0


@pytest.fixture
def connections(queue: redis.Redis, redis_url: str) -> Iterator["Connections"]:
    """The connections to the queue of the module-level functions."""
    trackrelay.configure(redis_url=redis_url, enqueue_timeout=TIMEOUT_S)
    yield Connections(queue)
    asyncio.run(aio.aclose())


class Connections:
    """Counts connections that opened since."""

    def __init__(self, queue: redis.Redis) -> None:
        self._queue = queue
        self._before = self._all()

    def _all(self) -> int:
        return int(self._queue.info("clients")["connected_clients"])

    def new(self) -> int:
        """How many there are more than in the beginning."""
        return self._all() - self._before


def test_a_thousand_event_loops_share_a_few_connections(connections: Connections) -> None:
    async def request() -> None:
        await aio.track("42", "seen", {})

    for _ in range(500):
        asyncio.run(request())
    for _ in range(500):
        # How Django runs an asynchronous view under WSGI.
        async_to_sync(request)()
    assert connections.new() <= MAX_CONNECTIONS


def test_loops_in_threads_of_their_own_do_so_too(connections: Connections) -> None:
    async def requests() -> None:
        await asyncio.gather(*[aio.track("42", "seen", {}) for _ in range(20)])

    threads = [threading.Thread(target=asyncio.run, args=(requests(),)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert connections.new() <= MAX_CONNECTIONS


async def test_a_burst_waits_for_a_connection(connections: Connections, queue: redis.Redis) -> None:
    jobs = await asyncio.gather(*[aio.track(str(number), "seen", {}) for number in range(500)])
    assert len(set(jobs)) == 500
    assert sum(queue.xlen(name) for name in queue.scan_iter("trackrelay:*", _type="stream")) == 500
    assert connections.new() <= MAX_CONNECTIONS


async def test_a_call_that_gets_no_connection_in_time_is_not_enqueued_and_does_not_blame_redis(
    queue: redis.Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trackrelay.configure(redis_url=redis_url, enqueue_timeout=0.05)
    hold, held = threading.Event(), threading.Semaphore(0)

    def occupy() -> None:
        held.release()
        hold.wait(TIMEOUT_S)

    from trackrelay.queue import async_queue_client

    for _ in range(MAX_CONNECTIONS):
        async_queue_client._threads.submit(occupy)
        held.acquire()
    with pytest.raises(
        QueueUnavailableError, match="connections to the queue were in use"
    ) as error:
        await aio.track("42", "seen", {})
    hold.set()
    trackrelay.configure(enqueue_timeout=TIMEOUT_S)
    assert error.value.operation is not None
    await aio.enqueue(error.value.operation)
    assert sum(queue.xlen(name) for name in queue.scan_iter("trackrelay:*", _type="stream")) == 1
    await aio.aclose()


def test_a_forked_child_has_its_own_threads_and_connections(
    connections: Connections, queue: redis.Redis
) -> None:
    asyncio.run(aio.track("42", "parent", {}))  # type: ignore[arg-type]
    if (child := os.fork()) == 0:
        try:
            asyncio.run(aio.track("42", "child", {}))  # type: ignore[arg-type]
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    asyncio.run(aio.track("42", "parent", {}))  # type: ignore[arg-type]

    def enqueued() -> bool:
        return (
            sum(queue.xlen(name) for name in queue.scan_iter("trackrelay:*", _type="stream")) == 3
        )

    wait_until(enqueued, 60)
