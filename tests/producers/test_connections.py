"""The connections that enqueues go over: what the server does to them, threads, forks, and answers in pieces."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis
from redis.exceptions import InvalidResponse, NoScriptError, OutOfMemoryError, ResponseError

from producers import Producer
from producers.answers import parse
from producers.commands import command, packed
from producers.connections import Connections

PING = command(1, packed(["PING"]))


def soon() -> float:
    return time.monotonic() + 5


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
        assert connections.exchange(PING, soon()) == b"PONG"
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
        assert Connections(url, 1.0).exchange(PING, soon()) == [b"ok", 12]


def test_an_answer_that_trickles_in_is_not_waited_for() -> None:
    with server_that_says(*[b"+"] * 20, pause_s=0.1) as url:
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            Connections(url, 1.0).exchange(PING, started + 0.3)
        assert time.monotonic() - started < 1.5


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n", b":HTTP\r\n"])
def test_what_is_no_answer_ends_the_connection(said: bytes) -> None:
    with server_that_says(said) as url:
        connections = Connections(url, 1.0)
        with pytest.raises(InvalidResponse, match="HTTP"):
            connections.exchange(PING, soon())
        assert not connections._idle


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (b"+OK\r\n", b"OK"),
        (b":-3\r\n", -3),
        (b"$-1\r\n", None),
        (b"$0\r\n\r\n", b""),
        (b"$4\r\na\r\nb\r\n", b"a\r\nb"),
        (b"*0\r\n", []),
        (b"*2\r\n*1\r\n:1\r\n$1\r\nx\r\n", [[1], b"x"]),
    ],
)
def test_every_answer_is_read_whole_or_not_at_all(data: bytes, answer: object) -> None:
    assert parse(data) == (answer, len(data))
    assert all(parse(data[:end]) is None for end in range(1, len(data)))


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"-NOSCRIPT No matching script\r\n", NoScriptError),
        (b"-OOM command not allowed\r\n", OutOfMemoryError),
        (b"-WRONGTYPE Operation against a key\r\n", ResponseError),
    ],
)
def test_errors_are_told_apart(line: bytes, kind: type[Exception]) -> None:
    found = parse(line)
    assert found is not None
    assert type(found[0]) is kind
