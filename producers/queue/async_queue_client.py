"""The queue in Redis, for coroutines: :mod:`trackrelay.queue.queue_client` in a few threads.

A connection of asyncio belongs to one event loop. Under WSGI each request has its own loop, and
would leave a connection behind. The connections of threads serve every loop, so there are never
more connections than threads.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from trackrelay.configuration.producer_settings import Settings
from trackrelay.errors import QueueUnavailableError

from .append import Entry, operations_of
from .queue_client import RedisQueue
from .redis_keys import Lane

#: Most appends at once, each on its own connection. Further ones wait.
MAX_CONNECTIONS = 8

_threads: ThreadPoolExecutor


class AsyncRedisQueue:
    """Append entries to the streams from coroutines, of any number of event loops."""

    def __init__(self, settings: Settings) -> None:
        self._timeout_s = settings.enqueue_timeout_s
        self._queue = RedisQueue(settings)

    async def append(self, entries: Sequence[Entry], lane: Lane) -> None:
        """Append all ``entries`` or none.

        Raise what :meth:`trackrelay.queue.queue_client.RedisQueue.append` raises.
        """
        reachability = self._queue.reachability
        reachability.check(entries)
        give_up = time.monotonic() + self._timeout_s
        call = _threads.submit(self._queue.append, entries, lane, give_up)
        try:
            async with asyncio.timeout(self._timeout_s):
                await asyncio.wrap_future(call)
        except TimeoutError as error:
            if call.cancelled():
                # This says nothing about Redis, so the next call may try.
                raise QueueUnavailableError(
                    f"all {MAX_CONNECTIONS} connections to the queue were in use for "
                    f"{self._timeout_s:g} s",
                    *operations_of(entries),
                ) from error
            raise reachability.lost(
                TimeoutError(f"no answer within {self._timeout_s:g} s"), entries
            ) from error

    async def aclose(self) -> None:
        """Close idle connections."""
        self._queue.close()


def _start_afresh() -> None:
    global _threads
    _threads = ThreadPoolExecutor(MAX_CONNECTIONS, thread_name_prefix="trackrelay")


# This starts no thread before its first use.
_start_afresh()
# A forked child does not have its parent's threads.
os.register_at_fork(after_in_child=_start_afresh)
