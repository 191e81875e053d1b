"""A failover: the old primary lives on as a replica, and new connections reach another server."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import redis

import trackrelay
from tests.chaos.proxy import Proxy
from tests.support.waiting import wait_until
from trackrelay import Producer, QueueUnavailableError, aio
from trackrelay.worker.devstack.servers import ValkeyProcess
from trackrelay.worker.queue.queue_config import set_up

#: Not what is tested here; a slow machine must not make a call fail.
TIMEOUT_S = 30.0


class Pair:
    """A primary, its replica, and an address that leads to whichever was made the primary last."""

    def __init__(self, first: ValkeyProcess, second: ValkeyProcess) -> None:
        self.first, self.second = (redis.Redis(port=server.port) for server in (first, second))
        self._proxy = Proxy(first.port).start()
        self._ports = (first.port, second.port)
        self.url = f"redis://127.0.0.1:{self._proxy.port}/0"
        set_up(self.first, 4)
        self.second.replicaof("127.0.0.1", str(first.port))
        wait_until(
            lambda: self.second.info("replication").get("master_link_status") == "up",
            60,
            "the replica",
        )

    def fail_over(self, *, move_address: bool = True) -> None:
        """Swap the roles. Connections that are open stay where they are."""
        wait_until(lambda: self.first.wait(1, 1000) == 1, 60, "the replica to have everything")
        self.second.replicaof("NO", "ONE")
        if move_address:
            self.move_address()
        self.first.replicaof("127.0.0.1", str(self._ports[1]))
        wait_until(
            lambda: self.first.info("replication").get("master_link_status") == "up",
            60,
            "the new replica",
        )

    def move_address(self) -> None:
        """Let new connections reach the new primary."""
        self._proxy._target = self._ports[1]

    def job_ids(self) -> list[str]:
        """The jobs that the new primary holds, each id once for each copy."""
        ids: list[str] = []
        for name in self.second.scan_iter("trackrelay:*", _type="stream"):
            ids += [producers_job(fields[b"j"]) for _, fields in self.second.xrange(name)]
        return sorted(ids)

    def close(self) -> None:
        """Close every connection."""
        self._proxy.close()
        self.first.close()
        self.second.close()


def producers_job(entry: bytes) -> str:
    """The id of the one job in a stream entry."""
    from trackrelay.queue.job import decode_entry

    (job,) = decode_entry(entry)
    return job.id


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two servers that replicate."""
    with ValkeyProcess() as first, ValkeyProcess() as second:
        pair = Pair(first, second)
        yield pair
        pair.close()


@pytest.fixture
def producer(pair: Pair) -> Iterator[Producer]:
    """A producer that connects through the address."""
    producer = Producer(redis_url=pair.url, enqueue_timeout=TIMEOUT_S)
    yield producer
    producer.close()


def test_the_first_call_after_a_failover_connects_anew_and_is_enqueued_once(
    pair: Pair, producer: Producer
) -> None:
    jobs = [producer.track("42", "before", {})]
    pair.fail_over()
    jobs += [producer.track("42", "after", {}) for _ in range(3)]
    assert pair.job_ids() == sorted(jobs)


def test_the_first_await_after_a_failover_connects_anew_and_is_enqueued_once(pair: Pair) -> None:
    trackrelay.configure(redis_url=pair.url, enqueue_timeout=TIMEOUT_S)

    async def calls() -> list[str]:
        jobs = [await aio.track("42", "before", {})]
        await asyncio.to_thread(pair.fail_over)
        jobs += [await aio.track("42", "after", {}) for _ in range(3)]
        await aio.aclose()
        return jobs

    assert asyncio.run(calls()) == pair.job_ids()


def test_many_idle_connections_to_the_old_primary_do_not_use_up_a_call_s_attempts(
    pair: Pair, producer: Producer
) -> None:
    pool = producer.backend._connected()  # type: ignore[attr-defined]
    borrowed = [pool._take(float("inf")) for _ in range(5)]
    for connection in borrowed:
        pool._keep(connection)
    pair.fail_over()
    job = producer.track("42", "after", {})
    assert pair.job_ids() == [job]


def test_while_the_address_still_leads_to_the_old_primary_the_queue_is_unavailable(
    pair: Pair, producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trackrelay.queue.queue_client.COOL_DOWN_S", 0.0)
    producer.track("42", "before", {})
    pair.fail_over(move_address=False)
    with pytest.raises(QueueUnavailableError, match="READONLY") as error:
        producer.track("42", "too soon", {})
    pair.move_address()
    again: Any = error.value.operation
    assert producer.enqueue(again) in pair.job_ids()
