"""Whether jobs are being delivered, in one sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trackrelay.worker.cli.common.humanize import count, duration, jobs_wait, listed
from trackrelay.worker.endpoint_families import DELIVERS

from .snapshot import Snapshot
from .status_hints import Severity, hints

_ALL_DELIVERED = "Everything is delivered, and nothing is coming in."
_NOTHING_WAITS = "No job waits, and nothing is coming in."


@dataclass(frozen=True, slots=True)
class Verdict:
    """A word for programs, and a sentence for people."""

    state: Literal["delivering", "idle", "paused", "stopped", "unknown"]
    sentence: str
    #: The severity of the worst problem besides; None: there is none, or only notes.
    severity: Severity | None = None


def verdict(snapshot: Snapshot) -> Verdict:
    """Return whether jobs are being delivered; never that all is well while anything is not."""
    delivery = _delivery(snapshot)
    if delivery.state not in ("idle", "delivering"):
        return delivery
    problems = [hint.severity for hint in hints(snapshot) if hint.severity != "note"]
    if not problems:
        return delivery
    sentence = delivery.sentence.replace(_ALL_DELIVERED, _NOTHING_WAITS)
    if snapshot.postgres and snapshot.postgres.incidents:
        but = "Jobs were lost: see What to do."
    else:
        are = "is" if len(problems) == 1 else "are"
        but = f"But there {are} {count(len(problems), 'problem')}: see What to do."
    return Verdict(delivery.state, f"{sentence} {but}", problems[0])


def _delivery(snapshot: Snapshot) -> Verdict:
    redis, postgres = snapshot.redis, snapshot.postgres
    if redis is None or postgres is None or not snapshot.is_complete:
        problems = (("Redis", snapshot.redis_problem), ("Postgres", snapshot.postgres_problem))
        broken = [name for name, problem in problems if problem]
        return Verdict("stopped", f"Nothing is delivered: {listed(broken)} must be repaired first.")
    waiting = _waiting(snapshot)
    if not redis.alive:
        return Verdict("stopped", f"Nothing is delivered: no worker runs. {waiting}")
    if redis.is_stopped and redis.breaker.state == "halted":
        return Verdict("stopped", f"Delivery is halted until the cause is corrected. {waiting}")
    if postgres.paused and len(postgres.paused) == postgres.shards:
        stopped = " Before the pause, Customer.io had a problem." if redis.is_stopped else ""
        return Verdict("paused", f"Delivery is paused.{stopped} {waiting}")
    if redis.is_stopped:
        return Verdict(
            "stopped",
            f"Delivery has stopped because of Customer.io, and resumes by itself. {waiting}",
        )
    if families := [breaker.family for breaker in redis.stopped if breaker.family]:
        impaired = listed([DELIVERS[family] for family in families])
        return Verdict(
            "delivering",
            f"Delivering, but not {impaired}: Customer.io has a problem there. {waiting}",
        )
    recent = last_minute(snapshot)
    if not recent and not snapshot.undelivered:
        return Verdict("idle", _ALL_DELIVERED)
    return Verdict(
        "delivering",
        f"Delivering: {count(recent, 'job')} in the last minute. "
        f"{waiting}{_time_left(snapshot, recent)}",
    )


def _time_left(snapshot: Snapshot, recent: int) -> str:
    minutes = snapshot.undelivered / recent if recent else 0.0
    return f" At this rate that takes {duration(minutes * 60)}." if minutes >= 2 else ""


def _waiting(snapshot: Snapshot) -> str:
    age = snapshot.age(snapshot.oldest)
    if not snapshot.undelivered or age is None:
        return "No job waits."
    oldest = "for" if snapshot.undelivered == 1 else "the oldest for"
    return f"{jobs_wait(snapshot.undelivered)}, {oldest} {duration(age)}."


def last_minute(snapshot: Snapshot) -> int:
    """Return about how many jobs were delivered in the last sixty seconds.

    Deliveries are counted by the minute; of the minute before the current one, a share counts.
    """
    if snapshot.redis is None or len(snapshot.redis.delivered) < 2:
        return 0
    current, before = snapshot.redis.delivered[:2]
    return round(current + before * (1 - snapshot.now % 60 / 60))
