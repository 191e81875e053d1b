"""``status --json``: the snapshot as one document."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from trackrelay.worker.cli.common.incident_report import as_json as incident_as_json
from trackrelay.worker.cli.common.output import moment
from trackrelay.worker.queue.failed_calls import KINDS, FailedCalls, Kind
from trackrelay.worker.storage.queries.backlog_overview import Overview

from .finding_status import document as finding_document
from .plan_line import plan_document
from .snapshot import BreakerStatus, RedisStatus, Snapshot
from .status_hints import Hint
from .status_verdict import last_minute, verdict
from .verification_status import document as verification_document


def status_document(
    snapshot: Snapshot, what_to_do: Iterable[Hint], failed: Iterable[str]
) -> dict[str, Any]:
    """Return the document. Ages are in seconds; what is not known is null."""
    current = verdict(snapshot)
    return {
        "at": moment(snapshot.now),
        "state": current.state,
        "summary": current.sentence,
        "problems": snapshot.problems,
        "failed": list(failed),
        "what_to_do": [
            {"severity": hint.severity, "text": hint.text, "command": hint.command}
            for hint in what_to_do
        ],
        "oldest_s": _age(snapshot, snapshot.oldest)
        if snapshot.redis and snapshot.postgres
        else None,
        "outbox": {"jobs": snapshot.outbox.jobs, "oldest_s": _age(snapshot, snapshot.outbox.oldest)}
        if snapshot.outbox
        else None,
        **(_redis(snapshot, snapshot.redis) if snapshot.redis else dict.fromkeys(_OF_REDIS)),
        **(
            _postgres(snapshot, snapshot.postgres)
            if snapshot.postgres
            else dict.fromkeys(_OF_POSTGRES)
        ),
    }


_OF_REDIS = (
    "queue", "delivered", "breaker", "budget", "beat",
    "delivers_to", "workers", "refusing", "memory", "calls",
)  # fmt: skip
_OF_POSTGRES = (
    "backlog", "dead_letters", "lost", "forgotten", "paused", "verification", "findings",
    "plan",
)  # fmt: skip


def _age(snapshot: Snapshot, at: float | None) -> float | None:
    age = snapshot.age(at)
    return None if age is None else round(age, 1)


def _redis(snapshot: Snapshot, redis: RedisStatus) -> dict[str, Any]:
    return {
        "queue": _queue(snapshot, redis),
        "delivered": {
            "last_minute": last_minute(snapshot),
            "last_5_minutes": sum(redis.delivered[:5]),
            "last_hour": sum(redis.delivered),
            "by_minute": redis.delivered,
        },
        "breaker": {
            **_breaker(redis.breaker),
            "last_success": moment(redis.shared_breaker.last_success or None),
            "families": {breaker.family: _breaker(breaker) for breaker in redis.breakers},
        },
        "budget": {
            "requests_per_second": snapshot.settings.requests_per_second,
            "now": round(redis.rate, 1),
        },
        "beat": {"seen": moment(redis.beat), "age_s": _age(snapshot, redis.beat)},
        "delivers_to": [
            {
                "endpoint": each.endpoint,
                "region": each.region or None,
                "workspace": each.workspace or None,
            }
            for each in redis.destinations
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
            for worker in redis.workers
        ],
        "calls": {kind: _calls(redis.failed_calls, kind) for kind in KINDS},
        "refusing": [
            {"message": message, "processes": names} for message, names in redis.refusing.items()
        ],
        "memory": {
            "used": redis.memory.used,
            "limit": redis.memory.limit or None,
            "policy": redis.memory.policy,
        },
    }


def _breaker(breaker: BreakerStatus) -> dict[str, Any]:
    closed = breaker.state == "closed"
    return {
        "state": breaker.state,
        "reason": breaker.reason or None,
        "message": breaker.message or None,
        "since": None if closed else moment(breaker.since or None),
        "until": None if closed else moment(breaker.until or None),
        "last_success": moment(breaker.last_success or None),
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


def _queue(snapshot: Snapshot, redis: RedisStatus) -> dict[str, Any]:
    return {
        "jobs": redis.queued,
        "pending": sum(shard.pending for shard in redis.shards),
        "oldest_s": _age(snapshot, redis.oldest),
        "shards": [
            {
                "shard": shard.number,
                "live": shard.lanes["live"].length,
                "bulk": shard.lanes["bulk"].length,
                "pending": shard.pending,
                "oldest_s": _age(snapshot, shard.oldest),
                "held": shard.held,
                "paused": shard.number in snapshot.postgres.paused if snapshot.postgres else None,
            }
            for shard in redis.shards
        ],
    }


def _postgres(snapshot: Snapshot, postgres: Overview) -> dict[str, Any]:
    reasons = sorted({each.reason for each in postgres.backlog})
    return {
        "backlog": {
            "jobs": postgres.waiting,
            "oldest_s": _age(snapshot, postgres.oldest),
            "by_reason": {reason: _backlog(snapshot, postgres, reason) for reason in reasons},
        },
        "dead_letters": {
            "open": postgres.dead("open"),
            "replaying": postgres.dead("replaying"),
            "by_reason": {
                each.reason: each.jobs for each in postgres.dead_letters if each.state == "open"
            },
        },
        "lost": {
            "jobs": postgres.lost,
            "incidents": [incident_as_json(each) for each in postgres.incidents],
        },
        "forgotten": {
            "keys": postgres.forgotten.keys,
            "blocked_jobs": postgres.forgotten.jobs,
            "unfinished": postgres.forgotten.unfinished,
        },
        "paused": [
            {"shard": shard, "since": moment(since)}
            for shard, since in sorted(postgres.paused.items())
        ],
        "verification": verification_document(postgres.verification),
        "findings": finding_document(snapshot),
        "plan": plan_document(postgres.plan),
    }


def _backlog(snapshot: Snapshot, postgres: Overview, reason: str) -> dict[str, Any]:
    waiting = [each for each in postgres.backlog if each.reason == reason]
    return {
        "jobs": sum(each.jobs for each in waiting),
        "due": sum(each.due for each in waiting),
        "oldest_s": _age(snapshot, min(each.oldest for each in waiting)),
    }
