"""Connections to the queue, over which one command and its answer go.

They are redis-py's. What its client does around each command — packing, looking whether the connection still lives, retrying, measuring —
costs an application more than the command itself. That a connection was closed meanwhile is found out by using it; the caller
tries once more.
"""

from __future__ import annotations

import os
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry


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

    def exchange(self, command: bytes) -> Any:
        """Send a packed command and return its answer.

        Raises:
            ResponseError: the answer is an error.
            OSError, RedisError: there was none; whether the command was carried out is not known.
        """
        connection = self._take()
        try:
            connection.send_packed_command([command], check_health=False)
            answer = connection.read_response(disable_decoding=True)
        except ResponseError:
            self._idle.append(connection)
            raise
        except BaseException as error:
            connection.disconnect()
            if isinstance(error, OSError | RedisError):
                # The others have not been spoken on for longer: what ended this one has most likely ended them.
                self.close()
            raise
        self._idle.append(connection)
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
