"""The first line: is it delivering?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trackrelay.worker.cli.common.humanize import count, duration, listed
from trackrelay.worker.endpoint_families import DELIVERS

from .snapshot import Snapshot
from .status_hints import Severity, hints


@dataclass(frozen=True, slots=True)
class Verdict:
    """One word for programs, one sentence for people."""

    state: Literal["delivering", "idle", "paused", "stopped", "unknown"]
    sentence: str
    #: Of the worst problem beside it; None: there is none. Notes are no problems.
    severity: Severity | None = None


def verdict(now: Snapshot) -> Verdict:
    """Say whether jobs get to Customer.io now, and never that all is well while anything is not."""
    said = _delivery(now)
    if said.state not in ("idle", "delivering"):
        return said
    problems = [hint.severity for hint in hints(now) if hint.severity != "note"]
    if not problems:
        return said
    sentence = said.sentence.replace(_ALL_IS_WELL, "Nothing waits, and nothing is coming in.")
    below = (
        "But 1 problem is named below."
        if len(problems) == 1
        else f"But {len(problems)} problems are named below."
    )
    if now.postgres and now.postgres.incidents:
        below = "Jobs were lost: see below."
    return Verdict(said.state, f"{sentence} {below}", problems[0])


_ALL_IS_WELL = "All is delivered, and nothing is coming in."


def _delivery(now: Snapshot) -> Verdict:
    """Whether jobs get to Customer.io now."""
    if now.redis is None or now.postgres is None or not now.is_complete:
        missing = [
            name
            for name, gone in (("Redis", now.redis_problem), ("Postgres", now.postgres_problem))
            if gone
        ]
        return Verdict(
            "stopped", f"Nothing is delivered: {' and '.join(missing)} must be seen to first."
        )
    waits = _waits(now)
    if not now.redis.alive:
        return Verdict("stopped", f"Nothing is delivered: no worker runs. {waits}")
    if now.redis.is_stopped and now.redis.breaker.state == "halted":
        return Verdict(
            "stopped", f"Delivery is halted until somebody corrects what is wrong. {waits}"
        )
    if now.postgres.paused and len(now.postgres.paused) == now.postgres.shards:
        stopped = (
            " Before that it had stopped because of Customer.io." if now.redis.is_stopped else ""
        )
        return Verdict("paused", f"Delivery is paused.{stopped} {waits}")
    if now.redis.is_stopped:
        return Verdict(
            "stopped",
            f"Delivery has stopped because of Customer.io, and goes on by itself. {waits}",
        )
    recent = last_minute(now)
    if families := [breaker.family for breaker in now.redis.stopped if breaker.family]:
        impaired = listed([DELIVERS[family] for family in families])
        return Verdict(
            "delivering",
            f"Delivering, but not {impaired}: Customer.io has a problem there. {waits}",
        )
    if not recent and not now.undelivered:
        return Verdict("idle", _ALL_IS_WELL)
    return Verdict(
        "delivering",
        f"Delivering: {count(recent, 'job')} in the last minute. {waits}{_takes(now, recent)}",
    )


def _takes(now: Snapshot, recent: int) -> str:
    minutes = now.undelivered / recent if recent else 0.0
    return f" At this pace that takes {duration(minutes * 60)}." if minutes >= 2 else ""


def _waits(now: Snapshot) -> str:
    age = now.age(now.oldest)
    if not now.undelivered or age is None:
        return "Nothing waits."
    verb = "waits" if now.undelivered == 1 else "wait"
    oldest = "for" if now.undelivered == 1 else "the oldest for"
    return f"{count(now.undelivered, 'job')} {verb}, {oldest} {duration(age)}."


def last_minute(now: Snapshot) -> int:
    """Jobs delivered in the last sixty seconds, about: what of them fell in the minute before is reckoned by its share."""
    if now.redis is None or len(now.redis.delivered) < 2:
        return 0
    current, before = now.redis.delivered[:2]
    return round(current + before * (1 - now.now % 60 / 60))
