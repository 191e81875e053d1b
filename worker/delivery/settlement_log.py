"""What the log says of a settlement."""

from __future__ import annotations

from collections import Counter

import structlog

from trackrelay.worker.reasons import DeferReason
from trackrelay.worker.storage.settlement import Settlement
from trackrelay.worker.telemetry.job_traces import trace_fields

log = structlog.get_logger("trackrelay.delivery")


def log_settlement(shard: int, outcome: Settlement) -> None:
    """Log a settlement: no payload, and keys only as they are stored.

    One line says how many jobs were deferred: an outage defers millions, and a line for each would
    fill a disk. Each job that failed and each dead letter has a line of its own.
    """
    failed = [each for each in outcome.waiting if each.reason == DeferReason.FAILED]
    if len(failed) < len(outcome.waiting):
        reasons = Counter(str(each.reason) for each in outcome.waiting)
        del reasons[DeferReason.FAILED]
        log.info("jobs_deferred", shard=shard, jobs=reasons.total(), reasons=dict(reasons))
    for each in failed:
        log.info(
            "job_deferred",
            job=each.job.id,
            key=each.job.keys[0],
            operation=each.job.operation,
            reason=str(each.reason),
            status=each.status,
            error=each.error,
            attempts=each.job.attempts,
            **trace_fields(each.job.trace),
        )
    if outcome.blocked:
        log.info("jobs_blocked", shard=shard, jobs=len(outcome.blocked))
    for letter in outcome.dead:
        log.warning(
            "dead_letter",
            job=letter.job.id,
            key=letter.job.keys[0],
            operation=letter.job.operation,
            reason=str(letter.reason),
            status=letter.status,
            error=letter.error,
            field=letter.field,
            **trace_fields(letter.job.trace),
        )
