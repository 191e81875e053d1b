"""The queue in Redis, for applications. Calls fail at once while Redis is unavailable."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

from redis.exceptions import NoScriptError, OutOfMemoryError, RedisError, ResponseError

from trackrelay.configuration.producer_settings import Settings
from trackrelay.configuration.server_urls import place
from trackrelay.errors import (
    ConfigurationError,
    QueueFullError,
    QueueUnavailableError,
    without_frames,
)
from trackrelay.operations.refused_operations import RefusedOperation

from .acknowledged import Acknowledged
from .append import (
    MAX_INVALID,
    MAX_INVALID_A_MINUTE,
    Entry,
    ShardsDifferError,
    append_command,
    check_reply,
    is_moving,
    is_taken,
    loading_command,
    not_kept,
    operations_of,
)
from .connections import Connections, NotReplicatedError
from .redis_keys import Lane
from .tls_errors import tls_hint

log = logging.getLogger("trackrelay")

#: Number of shards assumed before the first answer: the default of ``trackrelay migrate``.
DEFAULT_SHARDS = 4
#: How long calls fail at once after one found Redis unavailable. Five calls in a request then wait
#: like one.
COOL_DOWN_S = 3.0
ATTEMPTS = 2
#: Pause between two attempts while the number of shards is being changed.
MOVING_WAIT_S = 0.02


class Reachability:
    """Remember for a few seconds that the queue was unavailable.

    Args:
        url: of the Redis, as the settings have it.
        clock: a monotonic clock.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._url, self._clock = url, clock
        self._unavailable_until = 0.0
        self._reason = ""

    def check(self, entries: Sequence[Entry]) -> None:
        """Raise at once if the queue was unavailable a moment ago."""
        if self._unavailable_until > self._clock():
            raise QueueUnavailableError(
                f"{self._reason} (a moment ago; it was not tried again yet)",
                *operations_of(entries),
            )

    def lost(self, error: Exception, entries: Sequence[Entry]) -> QueueUnavailableError:
        """Note that the queue is unavailable, and return the error to raise."""
        without_frames(error)
        if isinstance(error, NotReplicatedError):
            self._reason = f"the queue in Redis has the job on its primary only: {error}"
        else:
            hint = tls_hint(str(error), self._url)
            text = f"{str(error).rstrip('.')}: {hint}" if hint else str(error)
            self._reason = (
                f"the queue in Redis at {place(self._url)} did not answer: "
                f"{type(error).__name__}: {text}"
            )
        self._unavailable_until = self._clock() + COOL_DOWN_S
        return QueueUnavailableError(self._reason, *operations_of(entries))


class ShardCount:
    """The number of shards: as set, or else as found in the queue."""

    def __init__(self, setting: int | None) -> None:
        self._setting = setting
        self.current = setting or DEFAULT_SHARDS

    def adopt(self, differ: ShardsDifferError) -> None:
        """Use the number that the queue has, unless the setting requires another."""
        if self._setting is not None:
            raise ConfigurationError(
                f"TRACKRELAY_SHARDS is {self._setting}, but the queue has {differ.actual} shards: "
                "correct the setting "
                "or leave it out, or change the queue with `trackrelay reshard`"
            ) from None
        self.current = differ.actual


def refused(error: ResponseError, entries: Sequence[Entry]) -> Exception:
    """Return the error to raise for an error of the append script."""
    without_frames(error)
    if isinstance(error, OutOfMemoryError) or "OOM" in str(error) or "maxmemory" in str(error):
        return QueueFullError(f"Redis is at its maxmemory: {error}", *operations_of(entries))
    return QueueUnavailableError(
        f"Redis refused the append script: {error}", *operations_of(entries)
    )


def log_not_kept(entries: Sequence[Entry], count: int) -> None:
    """Log that the last ``count`` refused operations in ``entries`` were not kept."""
    refused = [
        entry.operation for entry in entries if isinstance(entry.operation, RefusedOperation)
    ]
    for operation in refused[-count:]:
        log.error(
            "trackrelay: %s was refused and not kept as a dead letter (job %s): at most %s are "
            "kept in a minute, and at most "
            "%s wait for a worker",
            operation.name,
            operation.id,
            f"{MAX_INVALID_A_MINUTE:,}",
            f"{MAX_INVALID:,}",
        )


class RedisQueue:
    """Append entries to the streams. Thread-safe. Connects at first use."""

    def __init__(self, settings: Settings) -> None:
        assert settings.redis_url is not None
        self._settings = settings
        self._shards = ShardCount(settings.shards)
        self.reachability = Reachability(settings.redis_url)
        self._acknowledged = Acknowledged()
        self._connections: Connections | None = None
        self._lock = Lock()

    def append(self, entries: Sequence[Entry], lane: Lane, give_up: float | None = None) -> None:
        """Append all ``entries`` or none.

        Args:
            give_up: the moment, by the monotonic clock, at which to stop trying; left out, after
                the enqueue timeout.

        Raises:
            QueueUnavailableError: no answer within the enqueue timeout, or too few replicas have
                confirmed. The entries may have been appended.
            QueueFullError: the queue or Redis has no room.
            ConfigurationError: the queue is set up differently.
        """
        self.reachability.check(entries)
        if give_up is None:
            give_up = time.monotonic() + self._settings.enqueue_timeout_s
        for attempt in range(1, ATTEMPTS + 2):
            try:
                return self._append_once(entries, lane, give_up)
            except ShardsDifferError as differ:
                self._shards.adopt(differ)
            except ResponseError as error:
                raise refused(error, entries) from error
            except NotReplicatedError as error:
                raise self.reachability.lost(error, entries) from error
            except (RedisError, OSError) as error:
                if attempt >= ATTEMPTS or time.monotonic() >= give_up:
                    raise self.reachability.lost(error, entries) from error
        raise QueueUnavailableError(
            "the queue's number of shards keeps changing", *operations_of(entries)
        )

    def close(self) -> None:
        """Close the connections."""
        if self._connections is not None:
            self._connections.close()

    def _append_once(self, entries: Sequence[Entry], lane: Lane, give_up: float) -> None:
        reply = self._run(entries, lane, give_up)
        while is_moving(reply) and time.monotonic() < give_up:
            time.sleep(MOVING_WAIT_S)
            reply = self._run(entries, lane, give_up)
        if not is_taken(reply):
            check_reply(reply, *operations_of(entries))
        elif len(reply) > 1:
            log_not_kept(entries, not_kept(reply))
        else:
            self._acknowledged.note(entries)

    def _run(self, entries: Sequence[Entry], lane: Lane, give_up: float) -> Any:
        settings = self._settings
        shards, max_length = self._shards.current, settings.max_queue_length
        connections, replicas = self._connected(), settings.redis_wait_replicas
        try:
            command = append_command(entries, lane, shards=shards, max_length=max_length)
            return connections.exchange(command, give_up, replicas)
        except NoScriptError:
            command = loading_command(entries, lane, shards=shards, max_length=max_length)
            return connections.exchange(command, give_up, replicas)

    def _connected(self) -> Connections:
        if self._connections is None:
            with self._lock:
                if self._connections is None:
                    assert self._settings.redis_url is not None
                    timeout_s = self._settings.enqueue_timeout_s / ATTEMPTS
                    self._connections = Connections(
                        self._settings.redis_url, timeout_s, self._acknowledged.connected
                    )
        return self._connections
