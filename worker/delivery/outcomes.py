"""What became of each job of a request, and what follows for the stores. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trackrelay.worker.storage.backlog import BacklogItem
from trackrelay.worker.storage.dead_letters import NewDeadLetter
from trackrelay.worker.storage.settlement import Settlement
from trackrelay.worker.storage.stored_job import Job
from trackrelay.worker.track_api.responses import Refusal

from .backoff import full_jitter


@dataclass(frozen=True, slots=True)
class Delivered:
    """Customer.io has it."""

    job: Job


@dataclass(frozen=True, slots=True)
class Rejected:
    """Customer.io will never take it as it is."""

    job: Job
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Failed:
    """A request that carried it failed."""

    job: Job
    error: str
    status: int | None
    #: How many jobs the request carried.
    together: int
    #: Unix seconds of the last request of the same endpoint family, by anybody, that delivered something.
    last_success: float
    #: When it failed, by the same clock: a worker's own may be minutes off, and count an outage against its jobs.
    at: float = 0.0
    #: The endpoint says that it is this request's problem and not its own (a 403 with good credentials).
    its_own: bool = False

    @property
    def rate_limited(self) -> bool:
        """Whether the endpoint said that requests come too fast, which says nothing against any job."""
        return self.status == 429


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not sent: the breaker is open, delivery is halted, or the lease was too short."""

    job: Job
    reason: str
    message: str = ""


Result = Delivered | Rejected | Failed | Deferred


def blocked_keys(results: Sequence[Result]) -> set[str]:
    """The keys whose order would break if anything more were sent for them in this read."""
    return {key for each in results if isinstance(each, Failed | Deferred) for key in each.job.keys}


def shrink_batch(job: Job, last_success: float) -> Job:
    """The job with the batch size its next request may have: half of the failed one's, if anybody succeeded since."""
    if job.failed_at and last_success > job.failed_at and job.max_batch > 1:
        return job.with_(max_batch=math.ceil(job.max_batch / 2))
    return job


def settlement_of(
    results: Sequence[Result], *, now: float, max_attempts: int, fraction: float
) -> Settlement:
    """What to write down.

    Args:
        now: unix seconds.
        max_attempts: counted attempts after which a job is dead.
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
        reason="rejected",
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
            waiting = BacklogItem(
                job=job, reason="rate_limited", error=failed.error, status=failed.status
            )
            settlement.waiting.append(waiting)
        return None
    others_succeeded = failed.last_success > job.failed_at > 0
    if failed.together == 1 and (failed.its_own or others_succeeded):
        return _count_attempt(settlement, failed, now, max_attempts, fraction)
    if job.from_backlog and job.failed_at and not (others_succeeded or failed.its_own):
        return None  # An outage: the breaker is the one clock, and nothing is rewritten.
    together = math.ceil(failed.together / 2) if failed.its_own else failed.together
    changed = job.with_(failed_at=failed.at or now, max_batch=max(1, together))
    settlement.waiting.append(
        BacklogItem(job=changed, reason="failed", error=failed.error, status=failed.status)
    )
    return None


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
        error = f"failed {job.attempts} times by itself while other jobs were delivered; last: {failed.error}"
        settlement.dead.append(
            NewDeadLetter(
                job=job, reason="exhausted", error=error, status=failed.status, history=(event,)
            )
        )
        return
    settlement.waiting.append(
        BacklogItem(
            job=job,
            reason="failed",
            error=failed.error,
            status=failed.status,
            not_before=now + full_jitter(job.attempts, fraction),
            history=(event,),
        )
    )
