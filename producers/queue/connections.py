"""Connections to the queue, over which one command and its answer go.

They are redis-py's. What its client does around each command — packing, looking whether the connection still lives, retrying, measuring —
costs an application more than the command itself. That a connection was closed meanwhile is found out by using it; the caller
tries once more.
"""

from __future__ import annotations

import math
import os
import time
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    ClusterDownError,
    ConnectionError,
    MasterDownError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.retry import Retry

from trackrelay.errors import ConfigurationError

#: What a server answers that is not, or not yet, the one to write to; the same words stand inside an error of a script.
_NOT_PRIMARY = {
    ReadOnlyError: "READONLY",
    MasterDownError: "MASTERDOWN",
    ClusterDownError: "CLUSTERDOWN",
}
_NOT_PRIMARY_WORDS = (*_NOT_PRIMARY.values(), "LOADING")


class NotPrimaryError(ConnectionError):
    """The connection leads to a server that takes no writes: after a failover a new one reaches another server."""


def not_primary(error: ResponseError) -> NotPrimaryError | None:
    """Return what ``error`` says of the connection that it came on; None: nothing."""
    word = _NOT_PRIMARY.get(type(error)) or next(
        (word for word in _NOT_PRIMARY_WORDS if word in str(error)), None
    )
    return NotPrimaryError(f"{word}: {error}") if word else None


def connection_options(timeout_s: float) -> dict[str, Any]:
    """redis-py options that keep a command within ``timeout_s`` and never send it twice unasked."""
    return {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_timeout": False,
        "health_check_interval": 0,
    }


class InTime:
    """Makes a connection of redis-py's within what is left of a call.

    redis-py asks for a timeout at every address of a name, and waits for an answer to each of several commands (AUTH, CLIENT, SELECT).
    """

    _sock: Any
    _longest_s = _give_up = math.inf
    #: Whether nothing was said on it yet but what makes it.
    is_new = True

    def connect_by(self, give_up: float, longest_s: float) -> None:
        """Connect. No step takes longer than ``longest_s``, nor all of it and the first exchange past ``give_up``."""
        self._give_up, self._longest_s = give_up, longest_s
        self.connect()  # type: ignore[attr-defined]
        self._sock.settimeout(self.socket_timeout)

    def settle(self) -> None:
        """From now on each send and receive has its time, without being told so at each."""
        self.is_new = False
        self._sock.settimeout(self._longest_s)

    @property
    def socket_connect_timeout(self) -> float:
        # At most half of what is left: what comes after, be it the next address, gets its part.
        return self._left(2)

    @socket_connect_timeout.setter
    def socket_connect_timeout(self, value: float) -> None:
        pass

    @property
    def socket_timeout(self) -> float:
        return self._left(1)

    @socket_timeout.setter
    def socket_timeout(self, value: float) -> None:
        pass

    def read_response(self, *args: Any, **options: Any) -> Any:
        self._sock.settimeout(self.socket_timeout)
        return super().read_response(*args, **options)  # type: ignore[misc]

    def _left(self, parts: int) -> float:
        # 0 would mean: not at all.
        return max(0.001, min(self._longest_s, (self._give_up - time.monotonic()) / parts))


class Connections:
    """As many connections as threads speak at once, kept for the next ones. Thread-safe; a forked child opens its own.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``.
        timeout_s: how long to wait for a connection, and for each send and receive.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        try:
            pool = redis.ConnectionPool.from_url(
                url, **(connection_options(timeout_s) | {"protocol": 2})
            )
            pool.make_connection()
        except Exception as error:
            # Without its words: they quote what it takes for the port, which can be a password.
            raise ConfigurationError(
                f"TRACKRELAY_REDIS_URL has a part or an option that redis-py cannot use ({type(error).__name__})"
            ) from None
        self._make: Any = type("ConnectionInTime", (InTime, pool.connection_class), {})
        self._options = pool.connection_kwargs
        # Not InTime's: what was connected in time needs no more looking at the clock.
        self._read: Any = pool.connection_class.read_response
        self._timeout_s = timeout_s
        self._idle: list[Any] = []
        self._pid = os.getpid()

    def exchange(self, command: bytes, give_up: float = math.inf) -> Any:
        """Send a packed command and return its answer.

        Args:
            give_up: when (by the monotonic clock) a connection that must be made first, and the answer on it, are too late.

        Raises:
            ResponseError: the answer is an error.
            NotPrimaryError: the server takes no writes, and did not carry it out; the next use connects anew.
            OSError, RedisError: there was none; whether the command was carried out is not known.
        """
        connection = self._take(give_up)
        try:
            connection.send_packed_command([command], check_health=False)
            answer = self._read(connection, disable_decoding=True)
        except ResponseError as error:
            if (failed_over := not_primary(error)) is not None:
                connection.disconnect()
                # The others lead to the same server, and would answer the same for ever.
                self.close()
                raise failed_over from error
            self._keep(connection)
            raise
        except BaseException as error:
            connection.disconnect()
            if isinstance(error, OSError | RedisError):
                # The others have not been spoken on for longer: what ended this one has most likely ended them.
                self.close()
            raise
        self._keep(connection)
        return answer

    def close(self) -> None:
        """Close what is not in use; the next use opens new ones."""
        while self._idle:
            try:
                self._idle.pop().disconnect()
            except IndexError:  # another thread was quicker
                return

    def _keep(self, connection: Any) -> None:
        if connection.is_new:
            connection.settle()
        self._idle.append(connection)

    def _take(self, give_up: float) -> Any:
        if self._pid != os.getpid():
            # Our parent's: it goes on speaking on them.
            self._idle, self._pid = [], os.getpid()
        try:
            return self._idle.pop()
        except IndexError:
            connection = self._make(**self._options)
            connection.connect_by(give_up, self._timeout_s)
            return connection
