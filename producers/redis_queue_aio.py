"""The queue in Redis, for coroutines: the same script and the same bounds as :mod:`producers.redis_queue`."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Sequence
from typing import Any

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError

from .append import (
    APPEND_LUA,
    APPEND_SHA,
    Entry,
    ShardsDiffer,
    append_arguments,
    check_reply,
    is_moving,
    is_taken,
    operations_of,
)
from .connections import Connections, connection_options
from .errors import QueueUnavailable
from .redis_keys import Lane
from .redis_queue import ATTEMPTS, MOVING_WAIT_S, Reachability, ShardCount, refused
from .settings import Settings


class AsyncRedisQueue:
    """Appends entries to the streams from coroutines; one client for each event loop."""

    def __init__(self, settings: Settings) -> None:
        assert settings.redis_url is not None
        # Connects to nothing, and says what is wrong with the URL.
        Connections(settings.redis_url, settings.enqueue_timeout)
        self._settings = settings
        self._shards = ShardCount(settings.shards)
        self._reachability = Reachability()
        self._clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, redis.asyncio.Redis] = (
            weakref.WeakKeyDictionary()
        )

    async def append(self, entries: Sequence[Entry], lane: Lane) -> None:
        """Append all ``entries`` or none; raises as :meth:`producers.redis_queue.RedisQueue.append`."""
        self._reachability.check(entries)
        timeout_s = self._settings.enqueue_timeout
        try:
            async with asyncio.timeout(timeout_s):
                await self._append(entries, lane, time.monotonic() + timeout_s)
        except TimeoutError as error:
            raise self._reachability.lost(TimeoutError(f"no answer within {timeout_s:g} s"), entries) from error

    async def aclose(self) -> None:
        """Close this event loop's connections."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    async def _append(self, entries: Sequence[Entry], lane: Lane, give_up: float) -> None:
        for attempt in range(1, ATTEMPTS + 2):
            try:
                return await self._append_once(entries, lane, give_up)
            except ShardsDiffer as differ:
                self._shards.adopt(differ)
            except ResponseError as error:
                raise refused(error, entries) from error
            except (RedisError, OSError) as error:
                if attempt >= ATTEMPTS or time.monotonic() >= give_up:
                    raise self._reachability.lost(error, entries) from error
        raise QueueUnavailable("the queue's number of shards keeps changing", *operations_of(entries))

    async def _append_once(self, entries: Sequence[Entry], lane: Lane, give_up: float) -> None:
        arguments = append_arguments(
            entries, lane, shards=self._shards.current, max_length=self._settings.max_queue_length
        )
        reply = await self._run(arguments)
        # Ends before the time is up, so that the caller is told what was being waited for.
        while is_moving(reply) and time.monotonic() + 2 * MOVING_WAIT_S < give_up:
            await asyncio.sleep(MOVING_WAIT_S)
            reply = await self._run(arguments)
        if not is_taken(reply):
            check_reply(reply, *operations_of(entries))

    async def _run(self, arguments: Sequence[str | bytes | int | float]) -> Any:
        client = self._connected()
        try:
            return await client.evalsha(APPEND_SHA, 0, *arguments)
        except NoScriptError:
            return await client.eval(APPEND_LUA, 0, *arguments)

    def _connected(self) -> redis.asyncio.Redis:
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            assert self._settings.redis_url is not None
            options = connection_options(self._settings.enqueue_timeout / ATTEMPTS) | {"retry": Retry(NoBackoff(), 0)}
            client = redis.asyncio.Redis.from_url(self._settings.redis_url, **options)
            self._clients[loop] = client
        return client
