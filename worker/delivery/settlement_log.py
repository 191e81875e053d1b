"""What a settlement says in the log: no payload, and keys as they are stored."""

from __future__ import annotations

from collections import Counter

import structlog

from trackrelay.worker.storage.settlement import Settlement

log = structlog.get_logger("trackrelay.delivery")


def log_settlement(shard: int, outcome: Settlement) -> None:
    """One line for all jobs moved aside, one for each that failed, one for each dead letter."""
    # In an outage a million jobs are moved aside: no line for each.
    if aside := Counter(each.reason for each in outcome.waiting if each.reason != "failed"):
        log.info("jobs_deferred", shard=shard, jobs=aside.total(), reasons=dict(aside))
    for each in (each for each in outcome.waiting if each.reason == "failed"):
        log.info(
            "job_deferred", job=each.job.id, key=each.job.keys[0], operation=each.job.operation, reason=each.reason,
            status=each.status, error=each.error, attempts=each.job.attempts,
        )  # fmt: skip
    for death in outcome.dead:
        log.warning(
            "dead_letter", job=death.job.id, key=death.job.keys[0], operation=death.job.operation,
            reason=death.reason, status=death.status, error=death.error, field=death.field,
        )  # fmt: skip
