"""The breakers: one for each endpoint family, and one they share for what concerns the credentials.

While an endpoint family has a problem, its breaker is the fleet's one clock, and lets a single probe through. Other families go on.
Wrong credentials, a wrong region or a wrong workspace halt them all.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import uuid4

import redis

from trackrelay.queue.redis_keys import PREFIX
from trackrelay.worker.endpoint_families import ALL_FAMILIES, Family

from . import lua_scripts

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
class BreakerState:
    """How one breaker stands. ``probe``: the time is up and the caller holds the token of the one probe."""

    phase: Literal["closed", "open", "halted", "probe"]
    reason: str = ""
    #: What a halted endpoint keeps answering.
    words: str = ""
    #: The key of the last probe's job: the next one is of another.
    probe_key: str = ""
    #: Unix seconds of the last request of the family that delivered something, fleet-wide.
    last_success: float = 0.0
    #: Unix seconds since which Redis knows that delivery has been possible; 0: it does not know.
    recovered: float = 0.0
    #: Seconds until the next probe; 0 or less: now.
    wait_s: float = 0.0

    @property
    def may_try(self) -> bool:
        """Whether anything may be sent now, if only a probe."""
        return self.phase in ("closed", "probe") or self.wait_s <= 0


_CLOSED = BreakerState("closed")


@dataclass(frozen=True, slots=True)
class BreakerStates:
    """How all breakers stood at one moment."""

    #: The breaker of credentials, region and workspace.
    shared: BreakerState = _CLOSED
    families: Mapping[Family, BreakerState] = field(default_factory=dict)
    #: Unix seconds by Redis' clock.
    now: float = 0.0

    def of(self, family: Family) -> BreakerState:
        """Return what holds for ``family``: its own breaker, unless the shared one stops everything."""
        return self.shared if self.shared.phase != "closed" else self.families.get(family, _CLOSED)

    @property
    def worst(self) -> BreakerState:
        """The breaker that stops the most: the shared one, else one that is halted, else one that is open."""
        stopped = [
            each for each in (self.shared, *self.families.values()) if each.phase != "closed"
        ]
        return min(stopped, key=lambda each: each.phase != "halted", default=self.shared)

    @property
    def may_send(self) -> frozenset[Family]:
        """The families of which something may be sent now, if only a probe."""
        return frozenset(
            family for family in ALL_FAMILIES if self.of(family).phase in ("closed", "probe")
        )

    @property
    def may_try(self) -> frozenset[Family]:
        """The families of which a holder may send something now, or may take a probe's token."""
        return frozenset(family for family in ALL_FAMILIES if self.of(family).may_try)

    @property
    def probing(self) -> frozenset[Family]:
        """The families whose probe's token the caller holds."""
        return frozenset(
            family
            for family, breaker_state in self.families.items()
            if breaker_state.phase == "probe"
        )


@dataclass(frozen=True, slots=True)
class Failure:
    """What a failure led to."""

    opened: bool
    #: Unix seconds of the last request of the same family that delivered something.
    last_success: float
    #: Seconds until the next probe; 0 while closed.
    wait_s: float
    #: When it was, in unix seconds by the clock that tells `last_success`.
    at: float


class Breaker:
    """All breakers, shared by all workers, in Redis."""

    def __init__(self, client: redis.Redis, probe_s: float) -> None:
        self._client = client
        self._probe_ms = int(probe_s * 1000)
        self._breaker_state = client.register_script(lua_scripts.BREAKER_STATES)
        self._success = client.register_script(lua_scripts.SUCCESS)
        self._failure = client.register_script(lua_scripts.FAILURE)

    def read_states(self, *, may_probe: Collection[Family] | None = ALL_FAMILIES) -> BreakerStates:
        """Return how things stand now; take the tokens of probes whose time has come.

        Args:
            may_probe: families whose probe's token may be taken; None: nor that of the shared breaker.
        """
        unique = "" if may_probe is None else uuid4().hex
        flags = [
            value
            for family in Family
            for value in (family.value, "1" if family in (may_probe or ()) else "0")
        ]
        now, *values = self._breaker_state(args=[PREFIX, unique, self._probe_ms, *flags])
        shared, *of_families = (
            _breaker_state(values[at : at + 7]) for at in range(0, len(values), 7)
        )
        return BreakerStates(shared, dict(zip(Family, of_families, strict=True)), now / 1000)

    def probing(self, family: Family, key: str) -> None:
        """Note whose job the probe carries."""
        self._client.hset(f"{PREFIX}breaker:{family}", "probe_key", key)

    def release_probes(self, families: Collection[Family]) -> None:
        """Give the tokens of probes back unused."""
        if families:
            self._client.delete(*(f"{PREFIX}probe:{family}" for family in families))

    def release_shared_probe(self) -> None:
        """Give the token of the shared breaker's probe back unused."""
        self._client.delete(PREFIX + "probe")

    def delivered(self, family: Family, operations: int) -> bool:
        """Note a request that delivered something. Returns whether delivery had been impossible before."""
        return bool(self._success(args=[PREFIX, family, "delivered", operations, 3_600_000]))

    def answered(self, family: Family) -> bool:
        """Note a documented answer that delivered nothing. Returns whether delivery had been impossible before."""
        return bool(self._success(args=[PREFIX, family, "answered", 0, 0]))

    def resumed(self) -> bool:
        """Note that the region endpoint agrees to the credentials. Returns whether delivery had been halted."""
        return bool(self._success(args=[PREFIX, "", "resumed", 0, 0]))

    def failed(
        self,
        family: Family,
        message: str,
        *,
        rate_limited: bool = False,
        retry_after_s: float | None = None,
        probing: bool = False,
    ) -> Failure:
        """Note a request, perhaps the probe, that met a problem of the family's endpoints."""
        reason: Reason = "rate_limited" if rate_limited else "outage"
        at_once = rate_limited or retry_after_s is not None
        wait_ms = min(retry_after_s or 0.0, MAX_RETRY_AFTER_S) * 1000
        how = "open" if at_once else "count"
        return self._note(family, how, reason, message, retry_after_ms=wait_ms, probing=probing)

    def halt(self, reason: Reason, message: str) -> Failure:
        """Stop delivery for all families until the region endpoint agrees again."""
        return self._note(None, "halted", reason, message, retry_after_ms=HALTED_MS)

    def halt_refused(self, family: Family, message: str, words: str) -> Failure:
        """Stop delivery for a family whose endpoint refuses everything in the same ``words``."""
        return self._note(
            family, "halted", "refused", message, retry_after_ms=HALTED_MS, words=words
        )

    def _note(
        self,
        family: Family | None,
        how: str,
        reason: Reason,
        message: str,
        *,
        retry_after_ms: float,
        words: str = "",
        probing: bool = False,
    ) -> Failure:
        result: Any = self._failure(
            args=[
                PREFIX, f":{family}" if family else "", how, THRESHOLD, random.random(), BASE_MS, CAP_MS,
                int(retry_after_ms), reason, message[:500], words, "probe" if probing else "",
            ]
        )  # fmt: skip
        state, last_success, wait_ms, now_ms = result
        return Failure(_text(state) == "opened", last_success / 1000, wait_ms / 1000, now_ms / 1000)


def probe_now(client: redis.Redis) -> list[Family | None]:
    """Let every breaker that is not closed be probed at once, whatever the endpoint asked for.

    Returns:
        the families whose breakers those are; None stands for the shared one.
    """
    names = ["", *(f":{family}" for family in Family)]
    found: Any = client.register_script(lua_scripts.PROBE_NOW)(args=[PREFIX, *names])
    return [Family(name[1:].decode()) if name else None for name in found]


def _breaker_state(values: list[Any]) -> BreakerState:
    state, left, reason, words, probe_key, last_success, recovered = values
    return BreakerState(
        _text(state),
        _text(reason),
        _text(words),
        _text(probe_key),
        last_success / 1000,
        recovered / 1000,
        left / 1000,
    )


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value
