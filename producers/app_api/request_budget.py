"""Ten requests a second for everybody who reads: fleet-wide in Redis, else in this process.

Customer.io answers 429 beyond ten requests a second. A Redis that does not answer is no error: this
process then keeps the limit by itself, and asks Redis again a few seconds later.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from threading import Lock
from typing import Any

from redis.exceptions import NoScriptError, RedisError

from trackrelay.queue import resp
from trackrelay.queue.connections import Connections
from trackrelay.queue.lua_files import lua_script
from trackrelay.queue.redis_keys import PREFIX

#: Requests in a window.
LIMIT = 10
#: Longer than the second that Customer.io counts: requests take different times to arrive.
WINDOW_S = 1.1
#: How long Redis may take for one step.
REDIS_TIMEOUT_S = 0.5
#: How long Redis is not asked again after it did not answer.
COOL_DOWN_S = 5.0

_TAKE = lua_script(__package__, "take_request")
_PAUSE = lua_script(__package__, "pause_requests")


class LocalBudget:
    """The budget of one process. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._times: deque[float] = deque(maxlen=LIMIT)
        self._paused_until = 0.0

    def take(self, most: int) -> float:
        """Take one request if fewer than ``most`` were taken in this window.

        Returns:
            0 if it may leave now, else the seconds to wait before asking again.
        """
        with self._lock:
            now = self._clock()
            if self._paused_until > now:
                return self._paused_until - now
            while self._times and self._times[0] + WINDOW_S <= now:
                self._times.popleft()
            if len(self._times) < most:
                self._times.append(now)
                return 0.0
            return self._times[-most] + WINDOW_S - now

    def note(self) -> None:
        """Count a request that Redis permitted, for the time when Redis does not answer."""
        with self._lock:
            self._times.append(self._clock())

    def pause(self, pause_s: float) -> None:
        """Let nothing leave for a while."""
        with self._lock:
            self._paused_until = max(self._paused_until, self._clock() + pause_s)


class FleetBudget:
    """The budget of all processes that share a Redis. Thread-safe. Nothing it does raises.

    Args:
        url: of the Redis.
        key: names the budget; :func:`budget_key` makes it from an App API key.
        local: the budget while Redis does not answer.
        clock: in seconds.
    """

    def __init__(
        self,
        url: str,
        key: str,
        local: LocalBudget,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._keys = (key, f"{key}:pause")
        self._connections = Connections(url, REDIS_TIMEOUT_S)
        self._local = local
        self._ask_again_at = 0.0

    def take(self, most: int) -> float:
        """Take one request; see :meth:`LocalBudget.take`."""
        answer = self._run(_TAKE, self._keys, most, int(WINDOW_S * 1000))
        if answer is None:
            return self._local.take(most)
        if answer == 0:
            self._local.note()
        return answer / 1000

    def pause(self, pause_s: float) -> None:
        """Let nothing leave for a while."""
        self._local.pause(pause_s)
        self._run(_PAUSE, self._keys[1:], int(pause_s * 1000))

    def close(self) -> None:
        """Close the connections to Redis."""
        self._connections.close()

    def _run(self, script: str, keys: tuple[str, ...], *arguments: int) -> int | None:
        """Return the number that a script answers; None if Redis cannot be asked now."""
        if self._clock() < self._ask_again_at:
            return None
        tail = resp.packed([len(keys), *keys, *arguments])
        count = 3 + len(keys) + len(arguments)
        give_up = time.monotonic() + 2 * REDIS_TIMEOUT_S
        try:
            try:
                answer: Any = self._connections.exchange(
                    resp.command(count, resp.packed(["EVALSHA", _sha(script)]), tail), give_up
                )
            except NoScriptError:
                answer = self._connections.exchange(
                    resp.command(count, resp.packed(["EVAL", script]), tail), give_up
                )
            if type(answer) is int and answer >= 0:
                return answer
        except (RedisError, OSError, ValueError):
            pass
        self._ask_again_at = self._clock() + COOL_DOWN_S
        return None


@lru_cache
def _sha(script: str) -> str:
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()


def budget_key(app_api_key: str) -> str:
    """Return the key of the budget in Redis: Customer.io counts for each App API key."""
    digest = hashlib.blake2b(app_api_key.encode(), digest_size=12, person=b"app-api-budget")
    return f"{PREFIX}app-api:{digest.hexdigest()}"


def jitter(wait_s: float) -> float:
    """Return the wait and up to a tenth more, so that waiting processes do not all ask at once."""
    return wait_s * (1 + random.random() / 10)
