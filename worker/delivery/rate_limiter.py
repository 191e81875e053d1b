"""Permission for one request: its lease outlasts it, its breaker is closed, the budget has room."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Literal

import redis

from trackrelay.queue.redis_keys import PREFIX
from trackrelay.worker.endpoint_families import Family

from . import lua_scripts
from .shard_queue import LeaseLostError

#: A request must leave this soon after it was permitted.
GRACE_S = 2.0
#: A holder waits no longer than this for the budget: other shards need their turn.
MAX_WAIT_S = 5.0

Weight = Literal["batch", "single"]


class SendingBlockedError(Exception):
    """Nothing may be sent now: the breaker is open, or the request budget is spent."""


@dataclass(frozen=True, slots=True)
class Permit:
    """Permission to send one request, good until ``send_until`` (``time.monotonic()``)."""

    send_until: float


class RateLimiter:
    """One request budget for the whole fleet."""

    def __init__(
        self, client: redis.Redis, *, requests_per_second: float, timeout_s: float
    ) -> None:
        self._permit = client.register_script(lua_scripts.PERMIT)
        self._slow_down = client.register_script(lua_scripts.SLOW_DOWN)
        self._rate = requests_per_second
        self._lease_ms = int((timeout_s + GRACE_S) * 1000)

    def wait(
        self, shard: int, token: str, family: Family, weight: Weight, *, probing: bool = False
    ) -> Permit:
        """Wait until one request may leave.

        Args:
            shard: the held shard.
            token: of its lease.
            family: of the request. Its breaker must be closed, unless this is the probe.
            weight: whether the request is a batch or a single operation.
            probing: whether the request is the probe.

        Raises:
            LeaseLostError: the lease was lost meanwhile.
            SendingBlockedError: the breaker is open, or the wait would be too long.
        """
        give_up = time.monotonic() + MAX_WAIT_S
        arguments: list[str | int | float] = [
            PREFIX,
            shard,
            token,
            self._lease_ms,
            self._rate,
            weight,
            family,
            "probe" if probing else "",
        ]
        while True:
            asked_at = time.monotonic()
            answer: Any = self._permit(args=arguments)
            match answer[0]:
                case b"go":
                    # The lease began to run when Redis was asked, not when it answered.
                    return Permit(asked_at + GRACE_S)
                case b"lost":
                    raise LeaseLostError(f"shard {shard}")
                case b"blocked":
                    raise SendingBlockedError("the breaker is open")
            left_s = give_up - time.monotonic()
            if answer[1] / 1000 > left_s:
                # Wait although it is in vain: a holder that gave up now would come back at once.
                time.sleep(max(0.0, left_s))
                raise SendingBlockedError("the request budget is spent")
            time.sleep(answer[1] / 1000)

    def slow_down(self) -> None:
        """Halve the rate. It recovers without further calls."""
        self._slow_down(args=[PREFIX, self._rate])
