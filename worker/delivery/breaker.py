"""The breaker: the fleet's one clock while the endpoint has a problem, and what lets a single probe through."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Literal
from uuid import uuid4

import redis

from producers.redis_keys import PREFIX

from . import scripts

#: Failed requests in a row, fleet-wide, with no success in between, before delivery stops.
THRESHOLD = 3
#: How long it stops: the first time at most, and ever at most, milliseconds.
BASE_MS = 1_000
CAP_MS = 30_000
#: How often a wrong key, region or workspace is looked at again.
HALTED_MS = 15_000
#: A Retry-After is honoured up to a day; a longer one is somebody's mistake.
MAX_RETRY_AFTER_S = 86_400.0

Reason = Literal["outage", "rate_limited", "credentials", "region", "workspace", "refused"]


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand. ``probe``: the time is up and the caller holds the token of the one probe."""

    state: Literal["closed", "open", "halted", "probe"]
    reason: str = ""
    #: What a halted endpoint keeps answering.
    words: str = ""
    #: The key of the last probe's job: the next one is of another.
    probe_key: str = ""
    #: Unix seconds of the last request that delivered something, fleet-wide.
    last_success: float = 0.0
    #: Unix seconds at which delivery last became possible again.
    recovered: float = 0.0
    #: Seconds until the next probe; 0 or less: now.
    wait_s: float = 0.0

    @property
    def may_try(self) -> bool:
        """Whether anything may be sent now, if only a probe."""
        return self.state in ("closed", "probe") or self.wait_s <= 0


@dataclass(frozen=True, slots=True)
class Failure:
    """What a failure led to."""

    opened: bool
    last_success: float
    #: Seconds until the next probe; 0 while closed.
    wait_s: float
    #: When it was, in unix seconds by the clock that tells `last_success`.
    at: float


class Breaker:
    """Shared by all workers, in Redis."""

    def __init__(self, client: redis.Redis, probe_s: float) -> None:
        self._client = client
        self._probe_ms = int(probe_s * 1000)
        self._standing = client.register_script(scripts.STANDING)
        self._success = client.register_script(scripts.SUCCESS)
        self._failure = client.register_script(scripts.FAILURE)

    def standing(self, *, may_probe: bool = True) -> Standing:
        """How things stand now; takes the probe's token if its time has come and ``may_probe``."""
        unique = uuid4().hex if may_probe else ""
        answer: Any = self._standing(args=[PREFIX, unique, self._probe_ms])
        state, left, reason, words, probe_key, last_success, recovered = answer
        return Standing(
            _text(state),
            _text(reason),
            _text(words),
            _text(probe_key),
            last_success / 1000,
            recovered / 1000,
            left / 1000,
        )

    def probing(self, key: str) -> None:
        """Note whose job the probe carries."""
        self._client.hset(PREFIX + "breaker", "probe_key", key)

    def release_probe(self) -> None:
        """Give the probe's token back unused."""
        self._client.delete(PREFIX + "probe")

    def delivered(self, operations: int) -> bool:
        """A request delivered something. Returns whether delivery had been impossible before."""
        return bool(self._success(args=[PREFIX, "delivered", operations, 3_600_000]))

    def answered(self) -> bool:
        """The endpoint answered as documented, though it delivered nothing. Returns whether delivery had been impossible."""
        return bool(self._success(args=[PREFIX, "answered", 0, 0]))

    def failed(
        self, message: str, *, rate_limited: bool = False, retry_after_s: float | None = None, probing: bool = False
    ) -> Failure:
        """A request, perhaps the probe, met the endpoint's problem."""
        reason: Reason = "rate_limited" if rate_limited else "outage"
        at_once = rate_limited or retry_after_s is not None
        wait_ms = min(retry_after_s or 0.0, MAX_RETRY_AFTER_S) * 1000
        how = "open" if at_once else "count"
        return self._note(how, reason, message, retry_after_ms=wait_ms, probing=probing)

    def halt(self, reason: Reason, message: str, *, words: str = "") -> Failure:
        """Delivery stops for all until the endpoint agrees again."""
        return self._note("halted", reason, message, retry_after_ms=HALTED_MS, words=words)

    def _note(
        self, how: str, reason: Reason, message: str, *, retry_after_ms: float, words: str = "", probing: bool = False
    ) -> Failure:
        result: Any = self._failure(
            args=[
                PREFIX, how, THRESHOLD, random.random(), BASE_MS, CAP_MS, int(retry_after_ms), reason, message[:500],
                words, "probe" if probing else "",
            ]
        )  # fmt: skip
        state, last_success, wait_ms, now_ms = result
        return Failure(_text(state) == "opened", last_success / 1000, wait_ms / 1000, now_ms / 1000)


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value
