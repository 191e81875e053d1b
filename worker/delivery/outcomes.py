"""What became of each job of a request, and what follows for the stores. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trackrelay.worker.reasons import DeathReason, DeferReason
from trackrelay.worker.storage.backlog import BacklogItem
from trackrelay.worker.storage.dead_letters import NewDeadLetter
from trackrelay.worker.storage.settlement import Settlement
from trackrelay.worker.storage.stored_job import Job
from trackrelay.worker.track_api.responses import Refusal

#: A job that fails alone while others succeed waits this long before its first retry, at most …
BACKOFF_BASE_S = 2.0
#: … and this long before any retry.
MAX_BACKOFF_S = 600.0


@dataclass(frozen=True, slots=True)
class Delivered:
    """Customer.io has the job."""

    job: Job


@dataclass(frozen=True, slots=True)
class Rejected:
    """Customer.io will never take the job as it is."""

    job: Job
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Failed:
    """A request that carried the job failed."""

    job: Job
    error: str
    status: int | None
    #: How many jobs the request carried.
    request_size: int
    #: Unix seconds of the fleet's last request to the family that delivered something.
    last_success: float
    #: When it failed, by the same clock. A worker's own clock may be minutes off, and would count
    #: an outage against its jobs.
    at: float = 0.0
    #: Whether the endpoint blames this request and not itself (a 403 with good credentials).
    blames_request: bool = False

    @property
    def rate_limited(self) -> bool:
        """Whether requests come too fast, which says nothing against any job."""
        return self.status == 429


@dataclass(frozen=True, slots=True)
class Deferred:
    """The job was not sent."""

    job: Job
    reason: DeferReason
    message: str = ""


Result = Delivered | Rejected | Failed | Deferred


def full_jitter(
    attempt: int, fraction: float, *, base_s: float = BACKOFF_BASE_S, cap_s: float = MAX_BACKOFF_S
) -> float:
    """Return how long to wait before a retry: exponential backoff with full jitter.

    Args:
        attempt: 1 for the first retry.
        fraction: a random number from 0 to 1.
        base_s: the longest wait before the first retry.
        cap_s: the longest wait before any retry.

    Returns:
        From 0 to ``base_s * 2 ** (attempt - 1)`` seconds, and at most ``cap_s``.
    """
    return fraction * min(cap_s, base_s * 2.0 ** min(attempt - 1, 60))


def blocked_keys(results: Sequence[Result]) -> set[str]:
    """Return the keys for which no later job of this cycle may be sent."""
    return {key for each in results if isinstance(each, Failed | Deferred) for key in each.job.keys}


def shrink_batch(job: Job, last_success: float) -> Job:
    """Return ``job`` with the batch size that its next request may have.

    The size is halved if the family delivered anything since the job failed: then the job itself,
    or one that it was sent with, may be the cause.
    """
    if job.failed_at and last_success > job.failed_at and job.max_batch > 1:
        return job.with_(max_batch=math.ceil(job.max_batch / 2))
    return job


def settlement_of(
    results: Sequence[Result], *, now: float, max_attempts: int, fraction: float
) -> Settlement:
    """Return what the stores must record for ``results``.

    Args:
        results: of all jobs of a settlement.
        now: unix seconds.
        max_attempts: a job dies after this many counted attempts.
        fraction: a random number from 0 to 1, for the backoff.
    """
    settlement = Settlement()
    for each in results:
        match each:
            case Delivered(job):
                settlement.delivered.append(job)
            case Rejected(job, refusal):
                settlement.dead.append(_rejected(job, refusal, now))
            case Deferred(job, reason, message):
                # A backlog job stays in the backlog as it is.
                if not job.from_backlog:
                    settlement.waiting.append(
                        BacklogItem(job=job, reason=reason, error=message or None)
                    )
            case Failed():
                _add_failed(settlement, each, now, max_attempts, fraction)
    return settlement


def _rejected(job: Job, refusal: Refusal, now: float) -> NewDeadLetter:
    event: dict[str, Any] = {
        "at": now,
        "what": "rejected",
        "status": refusal.status,
        "error": refusal.message,
        "field": refusal.field,
    }
    if refusal.errors:
        event["errors"] = [asdict(each) for each in refusal.errors]
    return NewDeadLetter(
        job=job.with_(attempts=job.attempts + 1),
        reason=DeathReason.REJECTED,
        error=refusal.message,
        field=refusal.field,
        status=refusal.status,
        history=(event,),
    )


def _add_failed(
    settlement: Settlement, failed: Failed, now: float, max_attempts: int, fraction: float
) -> None:
    job = failed.job
    if failed.rate_limited:
        if not job.from_backlog:
            settlement.waiting.append(_waiting(job, DeferReason.RATE_LIMITED, failed))
        return None
    others_succeeded = failed.last_success > job.failed_at > 0
    if failed.request_size == 1 and (failed.blames_request or others_succeeded):
        return _count_attempt(settlement, failed, now, max_attempts, fraction)
    if job.from_backlog and job.failed_at and not (others_succeeded or failed.blames_request):
        # In an outage the breaker alone decides when to retry. Rewriting the row would be wasted.
        return None
    size = failed.request_size
    max_batch = math.ceil(size / 2) if failed.blames_request else size
    changed = job.with_(failed_at=failed.at or now, max_batch=max(1, max_batch))
    settlement.waiting.append(_waiting(changed, DeferReason.FAILED, failed))
    return None


def _waiting(job: Job, reason: DeferReason, failed: Failed) -> BacklogItem:
    return BacklogItem(job=job, reason=reason, error=failed.error, status=failed.status)


def _count_attempt(
    settlement: Settlement, failed: Failed, now: float, max_attempts: int, fraction: float
) -> None:
    job = failed.job.with_(
        attempts=failed.job.attempts + 1, failed_at=failed.at or now, max_batch=1
    )
    event: dict[str, Any] = {
        "at": now,
        "what": "failed",
        "status": failed.status,
        "error": failed.error,
    }
    if job.attempts >= max_attempts:
        settlement.dead.append(
            NewDeadLetter(
                job=job,
                reason=DeathReason.EXHAUSTED,
                error=f"failed alone {job.attempts} times while other jobs were delivered; "
                f"last: {failed.error}",
                status=failed.status,
                history=(event,),
            )
        )
        return
    settlement.waiting.append(
        BacklogItem(
            job=job,
            reason=DeferReason.FAILED,
            error=failed.error,
            status=failed.status,
            not_before=now + full_jitter(job.attempts, fraction),
            history=(event,),
        )
    )
