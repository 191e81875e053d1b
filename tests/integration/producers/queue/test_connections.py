"""The connections of enqueues: server faults, threads, forks, and answers in pieces."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress

import pytest
import redis
import redis.exceptions

from tests.support.waiting import patient
from trackrelay import Producer, QueueUnavailableError, operations
from trackrelay.configuration.producer_settings import load
from trackrelay.queue.append import Entry
from trackrelay.queue.async_queue_client import AsyncRedisQueue
from trackrelay.queue.connections import Connections
from trackrelay.queue.resp import command, packed

PING = command(1, packed(["PING"]))


@contextmanager
def server_that_says(*pieces: bytes, pause_s: float = 0.0) -> Iterator[str]:
    """A server that answers the first command with these pieces, and then waits for the client."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                while b"PING" not in (received := connection.recv(65536)):
                    if not received:
                        return
                    connection.sendall(b"+OK\r\n" * received.count(b"CLIENT"))
                for piece in pieces:
                    time.sleep(pause_s)
                    try:
                        connection.sendall(piece)
                    except OSError:
                        return
                with suppress(OSError):
                    while connection.recv(65536):
                        continue

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"redis://127.0.0.1:{listening.getsockname()[1]}/0"
        thread.join(patient(10))


@contextmanager
def server_that_takes_its_time(pause_s: float) -> Iterator[tuple[str, list[str]]]:
    """A server that answers what a new connection asks, each after a pause, and never a script.

    Gives its URL, and what it was asked: `connection`, `script`.
    """
    asked: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor() as threads:

        def serve(connection: socket.socket) -> None:
            asked.append("connection")
            with connection:
                while b"EVAL" not in (received := connection.recv(65536)) and received:
                    for _ in range(sum(map(received.count, (b"AUTH", b"SETINFO", b"SELECT")))):
                        time.sleep(pause_s)
                        with suppress(OSError):
                            connection.sendall(b"+OK\r\n")
                if received:
                    asked.append("script")
                with suppress(OSError):
                    while received:
                        received = connection.recv(65536)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threads.submit(serve, listening.accept()[0])

        threads.submit(accept)
        try:
            yield f"redis://:password@127.0.0.1:{listening.getsockname()[1]}/1?protocol=2", asked
        finally:
            listening.shutdown(socket.SHUT_RDWR)


@contextmanager
def address_that_says_nothing() -> Iterator[int]:
    """A port at which connecting takes for ever: as many wait there already as may."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening, ExitStack() as waiting:
        for _ in range(2):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


def test_all_that_a_new_connection_takes_is_part_of_the_call_s_time() -> None:
    with server_that_takes_its_time(0.35) as (url, asked):
        producer = Producer(redis_url=url, enqueue_timeout=1.0)
        began = time.monotonic()
        with pytest.raises(QueueUnavailableError):
            producer.track("42", "seen", {})
        assert time.monotonic() - began >= 0.5
    # Each answer came within the time, but all of them together did not.
    assert asked == ["connection"]


async def test_all_that_a_new_connection_takes_is_part_of_a_coroutine_s_time() -> None:
    with server_that_takes_its_time(0.35) as (url, asked):
        queue = AsyncRedisQueue(load({"redis_url": url, "enqueue_timeout": 1.0}))
        began = time.monotonic()
        try:
            with pytest.raises(QueueUnavailableError):
                await queue.append(
                    [Entry.of(operations.track("42", "seen"), source=None, trace=None)], "live"
                )
            assert time.monotonic() - began >= 0.5
        finally:
            await queue.aclose()
    assert asked == ["connection"]


def test_several_addresses_that_say_nothing_share_the_call_s_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with address_that_says_nothing() as port:
        one = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [one] * 400)
        producer = Producer(redis_url=f"redis://several:{port}/0", enqueue_timeout=0.5)
        began = time.monotonic()
        with pytest.raises(QueueUnavailableError):
            producer.track("42", "seen", {})
        # One after the other they would take 200 s.
        assert 0.25 <= time.monotonic() - began < 50


def test_a_connection_made_late_in_a_call_has_its_time_in_the_next(redis_url: str) -> None:
    connections = Connections(redis_url, 30.0)
    assert connections.exchange(PING, time.monotonic() + 20.0) == b"PONG"
    assert connections._idle[0]._sock.gettimeout() == 30.0
    connections.close()


def test_a_connection_is_kept_for_the_next_command(queue: redis.Redis, redis_url: str) -> None:
    connections = Connections(redis_url, 30.0)
    before = queue.info("clients")["connected_clients"]
    for _ in range(10):
        assert connections.exchange(PING) == b"PONG"
    assert queue.info("clients")["connected_clients"] == before + 1
    connections.close()


def test_connections_that_the_server_closed_are_not_an_error_to_the_caller(
    producer: Producer, queue: redis.Redis
) -> None:
    threads = [threading.Thread(target=producer.track, args=("42", "seen", {})) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _ in range(3):
        queue.client_kill_filter(_type="normal", skipme=True)
        producer.track("42", "seen", {})
    assert sum(queue.xlen(f"trackrelay:{shard}:live") for shard in range(4)) == 8


def test_a_script_that_redis_forgot_is_sent_again(producer: Producer, queue: redis.Redis) -> None:
    producer.track("42", "seen", {})
    queue.script_flush()
    producer.track("42", "seen", {})
    assert sum(queue.xlen(f"trackrelay:{shard}:live") for shard in range(4)) == 2


def test_an_explicit_producer_survives_a_fork(producer: Producer, queue: redis.Redis) -> None:
    producer.track("42", "parent", {})
    children = []
    for _ in range(3):
        if (child := os.fork()) == 0:
            for _ in range(20):
                producer.track("42", "child", {})
            os._exit(0)
        children.append(child)
    for _ in range(20):
        producer.track("42", "parent", {})
    assert all(os.waitpid(child, 0)[1] == 0 for child in children)
    assert sum(queue.xlen(f"trackrelay:{shard}:live") for shard in range(4)) == 1 + 20 + 3 * 20


def test_an_answer_may_come_in_pieces() -> None:
    with server_that_says(b"*2\r\n$2\r", b"\nok\r\n:1", b"2\r\n", pause_s=0.05) as url:
        assert Connections(url, 30.0).exchange(PING) == [b"ok", 12]


def test_what_is_no_answer_ends_the_connection() -> None:
    with server_that_says(b"HTTP/1.1 400 Bad Request\r\n") as url:
        connections = Connections(url, 30.0)
        with pytest.raises(redis.RedisError):
            connections.exchange(PING)
        assert not connections._idle


def test_an_answer_that_does_not_come_is_not_waited_for() -> None:
    with server_that_says() as url, pytest.raises(redis.TimeoutError):
        Connections(url, 0.3).exchange(PING)


def test_an_answer_that_is_an_error_leaves_the_connection_as_good_as_it_was(redis_url: str) -> None:
    connections = Connections(redis_url, 30.0)
    with pytest.raises(redis.exceptions.NoScriptError):
        connections.exchange(command(3, packed(["EVALSHA", "0" * 40, 0])))
    assert len(connections._idle) == 1
    assert connections.exchange(PING) == b"PONG"
    connections.close()
