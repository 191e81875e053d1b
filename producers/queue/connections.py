"""Connections to the queue: each carries one command and its answer at a time.

They are redis-py's. Its client packs, checks, retries and measures around each command, which costs
an application more than the command itself. A connection that was closed meanwhile fails when it is
used, and the caller tries once more.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
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
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from trackrelay.configuration.server_urls import is_sentinel
from trackrelay.errors import ConfigurationError

from . import resp

#: Pause before Sentinels are asked again for a primary that answers.
ELECTION_POLL_S = 0.05
#: Part of a call's time in which replicas must confirm. The rest is for the answer of WAIT.
WAIT_PART = 0.8

#: Errors of a server that takes no writes now. The error of a script contains the same words.
_NOT_PRIMARY = {
    ReadOnlyError: "READONLY",
    MasterDownError: "MASTERDOWN",
    ClusterDownError: "CLUSTERDOWN",
}
#: A blocking command is ``UNBLOCKED`` when its server becomes a replica.
_NOT_PRIMARY_WORDS = (*_NOT_PRIMARY.values(), "LOADING", "UNBLOCKED")


class NotPrimaryError(ConnectionError):
    """The server takes no writes. After a failover, a new connection reaches another server."""


class NotReplicatedError(RedisError):
    """Too few replicas confirmed in time. The primary has run the command."""


def not_primary(error: ResponseError) -> NotPrimaryError | None:
    """Return the error that means "connect again", if the server accepts no writes."""
    word = _NOT_PRIMARY.get(type(error)) or next(
        (word for word in _NOT_PRIMARY_WORDS if word in str(error)), None
    )
    return NotPrimaryError(f"{word}: {error}") if word else None


def connection_options(timeout_s: float) -> dict[str, Any]:
    """Return redis-py options that keep a command within ``timeout_s`` and never repeat it."""
    return {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_timeout": False,
        "health_check_interval": 0,
    }


def make_pool(url: str, timeout_s: float, **options: Any) -> redis.ConnectionPool:
    """Return a pool of redis-py's for the queue's Redis. It connects at first use.

    Args:
        url: as the settings have it; Sentinels are asked for the primary at each connection.
        timeout_s: how long to wait for a connection, and for each send and receive.
        options: further options of redis-py.
    """
    options = connection_options(timeout_s) | options
    if is_sentinel(url):
        from .sentinel import sentinel_pool  # imports more of redis-py

        return sentinel_pool(url, timeout_s, options)
    return redis.ConnectionPool.from_url(url, **options)


def make_client(url: str, timeout_s: float) -> redis.Redis:
    """Return a client of the queue's Redis, on its own :func:`make_pool`."""
    return redis.Redis.from_pool(make_pool(url, timeout_s))


class InTime:
    """Connect within the time that is left for a call.

    redis-py applies its timeout to every address of a host name, and to each of several commands
    (AUTH, CLIENT, SELECT).
    """

    _sock: Any
    _longest_s = _give_up = math.inf
    #: Whether no command was sent on it yet.
    is_new = True

    def connect_by(self, give_up: float, longest_s: float) -> None:
        """Connect.

        No step takes longer than ``longest_s``, and connecting and the first exchange end by
        ``give_up``.
        """
        self._give_up, self._longest_s = give_up, longest_s
        self.connect()  # type: ignore[attr-defined]
        self._sock.settimeout(self.socket_timeout)

    def settle(self) -> None:
        """Give each send and receive the same time from now on."""
        self.is_new = False
        self._sock.settimeout(self._longest_s)

    @property
    def socket_connect_timeout(self) -> float:
        # At most half of what is left: the next address, or the first command, needs time too.
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
        # 0 would mean: do not wait at all.
        return max(0.001, min(self._longest_s, (self._give_up - time.monotonic()) / parts))


class Connections:
    """A pool with as many connections as threads use at once. Thread-safe.

    A forked child opens its own.

    Args:
        url: as the settings have it.
        timeout_s: how long to wait for a connection, and for each send and receive.
        on_connect: called with each new connection before its first use.
    """

    def __init__(
        self, url: str, timeout_s: float, on_connect: Callable[[Any], None] | None = None
    ) -> None:
        try:
            pool = make_pool(url, timeout_s, protocol=2)
            pool.make_connection()
        except Exception as error:
            # Do not quote the error: it contains what redis-py takes for the port, which can be a
            # password.
            raise ConfigurationError(
                f"TRACKRELAY_REDIS_URL has a part or an option that redis-py cannot use "
                f"({type(error).__name__})"
            ) from None
        self._make: Any = type("ConnectionInTime", (InTime, pool.connection_class), {})
        self._options = pool.connection_kwargs
        # Connections by Sentinel refer to their pool.
        self._pool, self._by_sentinel = pool, is_sentinel(url)
        # Not InTime's: a connection that was made in time needs no more checks of the clock.
        self._read: Any = pool.connection_class.read_response
        self._timeout_s = timeout_s
        self._on_connect = on_connect
        self._idle: list[Any] = []
        self._pid = os.getpid()

    def exchange(self, command: bytes, give_up: float = math.inf, replicas: int = 0) -> Any:
        """Send a packed command and return its answer.

        Args:
            give_up: the moment, by the monotonic clock, at which a new connection and the answer on
                it are too late.
            replicas: how many replicas must have what the command wrote, by ``give_up``.

        Raises:
            ResponseError: the answer is an error.
            NotReplicatedError: fewer replicas have it.
            NotPrimaryError: the server takes no writes, and did not run the command; the next use
                connects anew.
            OSError, RedisError: there was no answer; whether the command ran is not known.
        """
        connection = self._take(give_up)
        try:
            if replicas:
                answer = self._replicated(connection, command, give_up, replicas)
            else:
                connection.send_packed_command([command], check_health=False)
                answer = self._read(connection, disable_decoding=True)
        except NotReplicatedError:
            self._keep(connection)
            raise
        except ResponseError as error:
            if (failed_over := not_primary(error)) is not None:
                connection.disconnect()
                # The idle connections lead to the same server, and would give the same answer.
                self.close()
                raise failed_over from error
            self._keep(connection)
            raise
        except BaseException as error:
            connection.disconnect()
            if isinstance(error, OSError | RedisError):
                # The idle connections were unused for longer. What ended this one has probably
                # ended them too.
                self.close()
            raise
        self._keep(connection)
        return answer

    def close(self) -> None:
        """Close idle connections. The next use opens new ones."""
        while self._idle:
            try:
                self._idle.pop().disconnect()
            except IndexError:  # another thread took the last one
                return

    def _connected(self, give_up: float) -> Any:
        connection = self._make(**self._options)
        while True:
            try:
                connection.connect_by(give_up, self._timeout_s)
                return connection
            except (RedisError, OSError):
                # Sentinels elect a primary within seconds. Nothing was sent yet, so wait for it.
                if not self._by_sentinel or time.monotonic() + ELECTION_POLL_S >= give_up:
                    raise
                time.sleep(ELECTION_POLL_S)

    def _replicated(self, connection: Any, command: bytes, give_up: float, replicas: int) -> Any:
        left_s = give_up - time.monotonic()
        if left_s <= 0:
            raise RedisTimeoutError("no time is left to wait for replicas")
        wait_ms = max(1, int(left_s * WAIT_PART * 1000))
        wait = resp.command(3, resp.packed(["WAIT", replicas, wait_ms]))
        connection._sock.settimeout(left_s)
        # Both at once: WAIT counts what this connection has written before it.
        connection.send_packed_command([command, wait], check_health=False)
        answer = self._answer(connection)
        confirmed = self._answer(connection)
        connection.settle()
        for each in (answer, confirmed):
            if isinstance(each, ResponseError):
                raise each
        if confirmed < replicas:
            raise NotReplicatedError(
                f"{confirmed} of {replicas} replicas confirmed the job within {wait_ms:,} ms"
            )
        return answer

    def _answer(self, connection: Any) -> Any:
        """Return an answer, or the error that it is. The next answer is still to be read then."""
        try:
            return self._read(connection, disable_decoding=True)
        except ResponseError as error:
            return error

    def _keep(self, connection: Any) -> None:
        if connection.is_new:
            connection.settle()
        self._idle.append(connection)

    def _take(self, give_up: float) -> Any:
        if self._pid != os.getpid():
            # These are the parent's connections, and the parent still uses them.
            self._idle, self._pid = [], os.getpid()
        try:
            return self._idle.pop()
        except IndexError:
            connection = self._connected(give_up)
            if self._on_connect is not None:
                try:
                    self._on_connect(connection)
                except BaseException:
                    connection.disconnect()
                    raise
            return connection
