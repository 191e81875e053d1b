"""Limit how often somebody may try a password, over all processes of the console."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

import redis
from redis.exceptions import RedisError

from trackrelay.queue.redis_keys import PREFIX

from .signatures import Signer

#: Attempts that failed within so many seconds count.
WINDOW_S = 900
#: Of one name from one address; of all names from one address; of one name from all addresses. The
#: last is high: a stranger must not lock an operator out.
MAX_ATTEMPTS, MAX_OF_ADDRESS, MAX_OF_NAME = 10, 50, 200
_KEY = PREFIX + "console:attempts:"


@dataclass(slots=True)
class SignInLimits:
    """Counts attempts in Redis; in this process while Redis cannot count."""

    client: Callable[[], redis.Redis]
    signer: Signer
    _own: Counter[str] = field(default_factory=Counter)
    _own_window: int = 0
    _lock: Lock = field(default_factory=Lock)

    def begin(self, name: str, address: str) -> int:
        """Count an attempt, and return the seconds to wait if there were too many; else 0."""
        limits = self._limits(name, address)
        try:
            with self.client().pipeline(transaction=True) as pipe:
                for key in limits:
                    pipe.incr(key)
                    pipe.expire(key, WINDOW_S, nx=True)
                    pipe.ttl(key)
                answers = pipe.execute()
            found = zip(limits.values(), answers[::3], answers[2::3], strict=True)
            waits = [max(1, int(left)) for limit, count, left in found if count > limit]
            return max(waits, default=0)
        except RedisError:
            return self._count_here(limits)

    def forgive(self, name: str, address: str) -> None:
        """Forget the attempts of somebody who has signed in."""
        first, *_ = self._limits(name, address)
        self._own.pop(first, None)
        try:
            self.client().delete(first)
        except RedisError:
            return  # it expires by itself

    def _limits(self, name: str, address: str) -> dict[str, int]:
        # Names and addresses are in no key: keys can be seen by others.
        return {
            _KEY + self.signer.digest("attempts", text)[:22]: limit
            for text, limit in (
                (f"both\0{name}\0{address}", MAX_ATTEMPTS),
                (f"address\0{address}", MAX_OF_ADDRESS),
                (f"name\0{name}", MAX_OF_NAME),
            )
        }

    def _count_here(self, limits: dict[str, int]) -> int:
        now = time.monotonic()
        with self._lock:
            if self._own_window != (window := int(now // WINDOW_S)):
                self._own_window = window
                self._own.clear()
            self._own.update(list(limits))
            if any(self._own[key] > limit for key, limit in limits.items()):
                return int(WINDOW_S - now % WINDOW_S) + 1
        return 0
