"""Connections to the queue, over which one command and its answer go.

redis-py opens them: TLS, passwords, sockets of both kinds. What it does around each command — looking whether the connection still
lives, retrying, measuring, parsing — costs an application more than the command itself, and an enqueue is a single command whose
answer is a few bytes. That a connection was closed meanwhile is found out by using it; the caller tries once more.
"""

from __future__ import annotations

import os
import time
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from .answers import parse

_READ_BYTES = 4096


def connection_options(timeout_s: float) -> dict[str, Any]:
    """redis-py options that keep a command within ``timeout_s`` and never send it twice unasked."""
    return {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_timeout": False,
        "health_check_interval": 0,
    }


class Connections:
    """As many connections as threads speak at once, kept for the next ones. Thread-safe; a forked child opens its own.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``.
        timeout_s: how long to wait for a connection, and for each send and receive.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        pool = redis.ConnectionPool.from_url(url, **(connection_options(timeout_s) | {"protocol": 2}))
        self._make, self._options = pool.connection_class, pool.connection_kwargs
        self._idle: list[Any] = []
        self._pid = os.getpid()

    def exchange(self, command: bytes, give_up: float) -> Any:
        """Send a packed command and return its answer.

        Args:
            give_up: ``time.monotonic()`` after which an answer is not waited for, however it trickles in.

        Raises:
            ResponseError: the answer is an error.
            OSError, RedisError: there was none; whether the command was carried out is not known.
        """
        connection = self._take()
        try:
            answer = _exchange(connection._sock, command, give_up)
        except BaseException as error:
            connection.disconnect()
            if isinstance(error, OSError):
                # The others have not been spoken on for longer: what ended this one has most likely ended them.
                self.close()
            raise
        self._idle.append(connection)
        if isinstance(answer, RedisError):
            raise answer
        return answer

    def close(self) -> None:
        """Close what is not in use; the next use opens new ones."""
        while self._idle:
            try:
                self._idle.pop().disconnect()
            except IndexError:  # another thread was quicker
                return

    def _take(self) -> Any:
        if self._pid != os.getpid():
            # Our parent's: it goes on speaking on them.
            self._idle, self._pid = [], os.getpid()
        try:
            return self._idle.pop()
        except IndexError:
            connection = self._make(**self._options)
            connection.connect()
            return connection


def _exchange(sock: Any, command: bytes, give_up: float) -> Any:
    sock.sendall(command)
    data = b""
    while True:
        received = sock.recv(_READ_BYTES)
        if not received:
            raise ConnectionResetError("the server closed the connection")
        data += received
        if found := parse(data):
            return found[0]
        if time.monotonic() > give_up:
            raise TimeoutError("the answer did not come to its end in time")
