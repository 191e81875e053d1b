"""The connections that enqueues go over: what the server does to them, threads, forks, and answers in pieces."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis
import redis.exceptions

from producers import Producer
from producers.commands import command, packed
from producers.connections import Connections

PING = command(1, packed(["PING"]))


@contextmanager
def server_that_says(*pieces: bytes, pause_s: float = 0.0) -> Iterator[str]:
    """A server that answers the first command with these pieces, and says nothing more."""
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

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"redis://127.0.0.1:{listening.getsockname()[1]}/0"
        thread.join(10)


def test_a_connection_is_kept_for_the_next_command(queue: redis.Redis, redis_url: str) -> None:
    connections = Connections(redis_url, 1.0)
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
        assert Connections(url, 1.0).exchange(PING) == [b"ok", 12]


def test_what_is_no_answer_ends_the_connection() -> None:
    with server_that_says(b"HTTP/1.1 400 Bad Request\r\n") as url:
        connections = Connections(url, 1.0)
        with pytest.raises(redis.RedisError):
            connections.exchange(PING)
        assert not connections._idle


def test_an_answer_that_does_not_come_is_not_waited_for() -> None:
    with server_that_says() as url:
        started = time.monotonic()
        with pytest.raises(redis.RedisError):
            Connections(url, 0.3).exchange(PING)
        assert time.monotonic() - started < 2


def test_an_answer_that_is_an_error_leaves_the_connection_as_good_as_it_was(redis_url: str) -> None:
    connections = Connections(redis_url, 1.0)
    with pytest.raises(redis.exceptions.NoScriptError):
        connections.exchange(command(3, packed(["EVALSHA", "0" * 40, 0])))
    assert len(connections._idle) == 1
    assert connections.exchange(PING) == b"PONG"
    connections.close()
