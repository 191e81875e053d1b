"""The breakers: one for each endpoint family, and a shared one for the credentials.

While an endpoint family fails, its breaker lets one probe through at a time, for the whole fleet.
Other families continue. Wrong credentials, a wrong region or a wrong workspace halt all families.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import uuid4

import redis

from trackrelay.queue.redis_keys import PREFIX
from trackrelay.worker.endpoint_families import ALL_FAMILIES, Family
from trackrelay.worker.reasons import StopReason

from . import lua_scripts

#: A breaker opens after this many failed requests of the fleet in a row.
THRESHOLD = 3
#: It stays open for up to this time at first …
BASE_MS = 1_000
#: … and for up to this time ever.
CAP_MS = 30_000
#: A halted breaker is probed at this interval.
HALTED_MS = 15_000
#: A longer Retry-After is a mistake and is cut.
MAX_RETRY_AFTER_S = 86_400.0
#: The delivered operations of a minute are counted for this time.
MINUTE_COUNT_MS = 3_600_000


class Phase(StrEnum):
    """What a breaker lets through."""

    #: Everything.
    CLOSED = "closed"
    #: Nothing until the next probe is due.
    OPEN = "open"
    #: Nothing, and only an operator can correct the cause. It is probed, too.
    HALTED = "halted"
    #: One request: the caller holds the token of the probe.
    PROBE = "probe"


@dataclass(frozen=True, slots=True)
class BreakerState:
    """The state of one breaker."""

    phase: Phase
    reason: str = ""
    #: The words that a halted endpoint answers to everything.
    words: str = ""
    #: The key of the last probe's job. The next probe uses another key.
    probe_key: str = ""
    #: Unix seconds of the fleet's last request to the family that delivered something.
    last_success: float = 0.0
    #: Unix seconds since which Redis knows that delivery is possible; 0 if it does not know.
    recovered: float = 0.0
    #: Seconds until the next probe; 0 or less if it is due.
    wait_s: float = 0.0

    @property
    def lets_through(self) -> bool:
        """Whether the caller may send something now."""
        return self.phase in (Phase.CLOSED, Phase.PROBE)

    @property
    def may_try(self) -> bool:
        """Whether a holder may send something now, or may take the token of a probe."""
        return self.lets_through or self.wait_s <= 0


_CLOSED = BreakerState(Phase.CLOSED)


@dataclass(frozen=True, slots=True)
class BreakerStates:
    """The states of all breakers at one moment."""

    #: The breaker of credentials, region and workspace.
    shared: BreakerState = _CLOSED
    families: Mapping[Family, BreakerState] = field(default_factory=dict)
    #: Unix seconds by Redis' clock.
    now: float = 0.0

    def of(self, family: Family) -> BreakerState:
        """Return the breaker of ``family``, or the shared one while that is not closed."""
        if self.shared.phase != Phase.CLOSED:
            return self.shared
        return self.families.get(family, _CLOSED)

    @property
    def worst(self) -> BreakerState:
        """The breaker that stops the most: the shared one, then a halted one, then an open one."""
        stopped = [
            each for each in (self.shared, *self.families.values()) if each.phase != Phase.CLOSED
        ]
        return min(stopped, key=lambda each: each.phase != Phase.HALTED, default=self.shared)

    @property
    def may_send(self) -> frozenset[Family]:
        """The families of which the caller may send something now, at least a probe."""
        return frozenset(family for family in ALL_FAMILIES if self.of(family).lets_through)

    @property
    def may_try(self) -> frozenset[Family]:
        """The families of which a holder may send something now, or may take a probe's token."""
        return frozenset(family for family in ALL_FAMILIES if self.of(family).may_try)

    @property
    def probing(self) -> frozenset[Family]:
        """The families whose probe's token the caller holds."""
        return frozenset(
            family for family, state in self.families.items() if state.phase == Phase.PROBE
        )


@dataclass(frozen=True, slots=True)
class Failure:
    """What a failed request led to."""

    #: Whether this failure opened the breaker.
    opened: bool
    #: Unix seconds of the last request to the same family that delivered something.
    last_success: float
    #: Seconds until the next probe; 0 while the breaker is closed.
    wait_s: float
    #: When it failed, in unix seconds by the clock of ``last_success``.
    at: float


@dataclass(frozen=True, slots=True)
class _Report:
    """What a failure is recorded as."""

    #: ``count`` until the threshold, ``open`` at once, or ``halted``.
    effect: str
    reason: StopReason
    message: str
    #: At least this long until the next probe.
    wait_ms: float
    words: str = ""
    probing: bool = False


class Breaker:
    """All breakers. They stand in Redis, and all workers share them."""

    def __init__(self, client: redis.Redis, probe_s: float) -> None:
        self._client = client
        self._probe_ms = int(probe_s * 1000)
        self._read_states = client.register_script(lua_scripts.BREAKER_STATES)
        self._record_success = client.register_script(lua_scripts.RECORD_SUCCESS)
        self._record_failure = client.register_script(lua_scripts.RECORD_FAILURE)

    def read_states(self, *, may_probe: Collection[Family] | None = ALL_FAMILIES) -> BreakerStates:
        """Return the states now. Take the tokens of probes that are due.

        Args:
            may_probe: families whose token may be taken; None: no token, not even the shared one.
        """
        unique = "" if may_probe is None else uuid4().hex
        flags = [
            value
            for family in Family
            for value in (family.value, "1" if family in (may_probe or ()) else "0")
        ]
        now, *values = self._read_states(args=[PREFIX, unique, self._probe_ms, *flags])
        shared, *of_families = (_state(values[at : at + 7]) for at in range(0, len(values), 7))
        return BreakerStates(shared, dict(zip(Family, of_families, strict=True)), now / 1000)

    def note_probe(self, family: Family, key: str) -> None:
        """Record the key of the job that the probe carries."""
        self._client.hset(f"{PREFIX}breaker:{family}", "probe_key", key)

    def release_probes(self, families: Collection[Family]) -> None:
        """Give the tokens of probes back unused."""
        if families:
            self._client.delete(*(f"{PREFIX}probe:{family}" for family in families))

    def release_shared_probe(self) -> None:
        """Give the token of the shared breaker's probe back unused."""
        self._client.delete(PREFIX + "probe")

    def delivered(self, family: Family, operations: int) -> bool:
        """Record a request that delivered something. Return whether that closed a breaker."""
        arguments: list[str | int] = [PREFIX, family, "delivered", operations, MINUTE_COUNT_MS]
        return bool(self._record_success(args=arguments))

    def answered(self, family: Family) -> bool:
        """Record an answer that delivered nothing. Return whether that closed a breaker."""
        return bool(self._record_success(args=[PREFIX, family, "answered", 0, 0]))

    def resumed(self) -> bool:
        """Record that the credentials are good. Return whether that closed the shared breaker."""
        return bool(self._record_success(args=[PREFIX, "", "resumed", 0, 0]))

    def failed(
        self,
        family: Family,
        message: str,
        *,
        rate_limited: bool = False,
        retry_after_s: float | None = None,
        probing: bool = False,
    ) -> Failure:
        """Record a request that failed because of the family's endpoints.

        Args:
            family: of the request.
            message: what failed.
            rate_limited: whether the answer was a 429.
            retry_after_s: what the endpoint asked for.
            probing: whether the request was the probe.
        """
        reason = StopReason.RATE_LIMITED if rate_limited else StopReason.OUTAGE
        effect = "open" if rate_limited or retry_after_s is not None else "count"
        wait_ms = min(retry_after_s or 0.0, MAX_RETRY_AFTER_S) * 1000
        return self._fail(family, _Report(effect, reason, message, wait_ms, probing=probing))

    def halt(self, reason: StopReason, message: str) -> Failure:
        """Stop delivery for all families until the region endpoint accepts the credentials."""
        return self._fail(None, _Report("halted", reason, message, HALTED_MS))

    def halt_refused(self, family: Family, message: str, words: str) -> Failure:
        """Stop delivery for a family whose endpoint refuses everything in the same ``words``."""
        report = _Report("halted", StopReason.REFUSED, message, HALTED_MS, words)
        return self._fail(family, report)

    def _fail(self, family: Family | None, report: _Report) -> Failure:
        result: Any = self._record_failure(
            args=[
                PREFIX,
                f":{family}" if family else "",
                report.effect,
                THRESHOLD,
                random.random(),
                BASE_MS,
                CAP_MS,
                int(report.wait_ms),
                report.reason,
                report.message[:500],
                report.words,
                "probe" if report.probing else "",
            ]
        )
        state, last_success, wait_ms, now_ms = result
        return Failure(_text(state) == "opened", last_success / 1000, wait_ms / 1000, now_ms / 1000)


def probe_now(client: redis.Redis) -> list[Family | None]:
    """Make the next probe of every breaker due now, whatever the endpoint asked for.

    Returns:
        The families whose breaker was not closed; None stands for the shared one.
    """
    names = ["", *(f":{family}" for family in Family)]
    found: Any = client.register_script(lua_scripts.PROBE_NOW)(args=[PREFIX, *names])
    return [Family(name[1:].decode()) if name else None for name in found]


def _state(values: list[Any]) -> BreakerState:
    phase, left_ms, reason, words, probe_key, last_success_ms, recovered_ms = values
    return BreakerState(
        Phase(_text(phase)),
        _text(reason),
        _text(words),
        _text(probe_key),
        last_success_ms / 1000,
        recovered_ms / 1000,
        left_ms / 1000,
    )


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else value
