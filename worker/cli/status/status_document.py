"""``status --json``: everything a program may want to know, in one document."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from trackrelay.worker.cli.common.output import moment
from trackrelay.worker.cli.incidents_command import document as document_of
from trackrelay.worker.storage.queries.backlog_overview import Overview

from .failed_calls import KINDS, FailedCalls, Kind
from .redis_snapshot import RedisSide
from .snapshot import Snapshot
from .status_hints import Hint
from .status_verdict import last_minute, verdict


def document(now: Snapshot, what_to_do: Iterable[Hint], failed: Iterable[str]) -> dict[str, Any]:
    """The document. Ages are in seconds; what cannot be known now is null."""
    said = verdict(now)
    return {
        "at": moment(now.now),
        "state": said.state,
        "summary": said.sentence,
        "problems": now.problems,
        "failed": list(failed),
        "what_to_do": [
            {"severity": hint.severity, "text": hint.text, "command": hint.command}
            for hint in what_to_do
        ],
        "oldest_s": _age(now, now.oldest) if now.redis and now.postgres else None,
        "outbox": {"jobs": now.outbox.jobs, "oldest_s": _age(now, now.outbox.oldest)}
        if now.outbox
        else None,
        **(_redis(now, now.redis) if now.redis else dict.fromkeys(_OF_REDIS)),
        **(_postgres(now, now.postgres) if now.postgres else dict.fromkeys(_OF_POSTGRES)),
    }


_OF_REDIS = (
    "queue", "delivered", "breaker", "budget", "beat", "delivers_to", "workers", "refusing", "memory", "calls",
)  # fmt: skip
_OF_POSTGRES = ("backlog", "dead_letters", "lost", "paused")


def _age(now: Snapshot, at: float | None) -> float | None:
    age = now.age(at)
    return None if age is None else round(age, 1)


def _redis(now: Snapshot, side: RedisSide) -> dict[str, Any]:
    return {
        "queue": _queue(now, side),
        "delivered": {
            "last_minute": last_minute(now),
            "last_5_minutes": sum(side.delivered[:5]),
            "last_hour": sum(side.delivered),
            "by_minute": side.delivered,
        },
        "breaker": {
            "state": side.breaker.state,
            "reason": side.breaker.reason or None,
            "message": side.breaker.message or None,
            "since": moment(side.breaker.since or None) if side.breaker.state != "closed" else None,
            "until": moment(side.breaker.until or None) if side.breaker.state != "closed" else None,
            "last_success": moment(side.shared_breaker.last_success or None),
            "families": {
                breaker.family: {
                    "state": breaker.state,
                    "reason": breaker.reason or None,
                    "message": breaker.message or None,
                    "since": moment(breaker.since or None) if breaker.state != "closed" else None,
                    "until": moment(breaker.until or None) if breaker.state != "closed" else None,
                    "last_success": moment(breaker.last_success or None),
                }
                for breaker in side.breakers
            },
        },
        "budget": {
            "requests_per_second": now.settings.requests_per_second,
            "now": round(side.rate, 1),
        },
        "beat": {"seen": moment(side.beat), "age_s": _age(now, side.beat)},
        "delivers_to": [
            {
                "endpoint": each.endpoint,
                "region": each.region or None,
                "workspace": each.workspace or None,
            }
            for each in side.destinations
        ],
        "workers": [
            {
                "name": worker.hostname,
                "alive": worker.alive,
                "seen": moment(worker.seen),
                "pool": worker.pool or None,
                "concurrency": worker.concurrency or None,
                "version": worker.version or None,
                "pid": worker.pid or None,
                "started": moment(worker.started or None),
            }
            for worker in side.workers
        ],
        "calls": {kind: _calls(side.failed_calls, kind) for kind in KINDS},
        "refusing": [
            {"message": message, "processes": names} for message, names in side.refusing.items()
        ],
        "memory": {
            "used": side.memory.used,
            "limit": side.memory.limit or None,
            "policy": side.memory.policy,
        },
    }


def _calls(failed: FailedCalls, kind: Kind) -> dict[str, Any]:
    why = "field" if kind == "refused" else "reason"
    return {
        "last_24_hours": failed.count(kind),
        "by": [
            {
                "source": each.source or None,
                "operation": each.operation or None,
                why: each.field or None,
                "calls": each.calls,
            }
            for each in failed.of(kind)
        ],
    }


def _queue(now: Snapshot, side: RedisSide) -> dict[str, Any]:
    return {
        "jobs": side.queued,
        "pending": sum(shard.pending for shard in side.shards),
        "oldest_s": _age(now, side.oldest),
        "shards": [
            {
                "shard": shard.number,
                "live": shard.lanes["live"].length,
                "bulk": shard.lanes["bulk"].length,
                "pending": shard.pending,
                "oldest_s": _age(now, shard.oldest),
                "held": shard.held,
                "paused": shard.number in now.postgres.paused if now.postgres else None,
            }
            for shard in side.shards
        ],
    }


def _postgres(now: Snapshot, side: Overview) -> dict[str, Any]:
    reasons = sorted({each.reason for each in side.backlog})
    return {
        "backlog": {
            "jobs": side.waiting,
            "oldest_s": _age(now, side.oldest),
            "by_reason": {reason: _waits(now, side, reason) for reason in reasons},
        },
        "dead_letters": {
            "open": side.dead("open"),
            "replaying": side.dead("replaying"),
            "by_reason": {
                each.reason: each.jobs for each in side.dead_letters if each.state == "open"
            },
        },
        "lost": {"jobs": side.lost, "incidents": [document_of(each) for each in side.incidents]},
        "paused": [
            {"shard": shard, "since": moment(since)} for shard, since in sorted(side.paused.items())
        ],
    }


def _waits(now: Snapshot, side: Overview, reason: str) -> dict[str, Any]:
    waiting = [each for each in side.backlog if each.reason == reason]
    return {
        "jobs": sum(each.jobs for each in waiting),
        "due": sum(each.due for each in waiting),
        "oldest_s": _age(now, min(each.oldest for each in waiting)),
    }
