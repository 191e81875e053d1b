"""Sending a packed request and learning what became of each of its jobs: halving what is refused, halting for all."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from trackrelay.worker.endpoint_families import Family
from trackrelay.worker.failpoints import failpoint
from trackrelay.worker.storage.stored_job import Job
from trackrelay.worker.track_api import request_builder
from trackrelay.worker.track_api.http_client import TooLateError, TrackApi
from trackrelay.worker.track_api.region import Verdict
from trackrelay.worker.track_api.responses import (
    Accepted,
    Answer,
    AuthRejected,
    EndpointFailure,
    NoAnswer,
    Refusal,
    Refused,
    classify_response,
)

from .admission import choose_probes
from .batching import Packed, Route
from .breaker import Breaker, BreakerState, BreakerStates, Reason
from .outcomes import Deferred, Delivered, Failed, Rejected, Result
from .rate_limiter import RateLimiter, SendingBlockedError, Weight

log = structlog.get_logger("trackrelay.delivery")

#: Why delivery halts, by what the region endpoint said.
HALTS: dict[str, Reason] = {"denied": "credentials", "region": "region", "workspace": "workspace"}

_NOT_ANSWERED = "the request before it was not answered"


class Sender:
    """Sends for one shard's holder. Several requests may be on their way at once, from threads of the holder's.

    Args:
        account: asks the region endpoint whether the credentials are good for this region and workspace.
        on_recovery: called with the family of which delivery has become possible again; None: all of them.
    """

    def __init__(
        self,
        api: TrackApi,
        rate_limiter: RateLimiter,
        breaker: Breaker,
        account: Callable[[], Verdict],
        on_recovery: Callable[[Family | None], None],
    ) -> None:
        self._api = api
        self._rate_limiter = rate_limiter
        self._breaker = breaker
        self._account = account
        self._on_recovery = on_recovery

    def ask(self, breakers: BreakerStates) -> BreakerStates:
        """Ask the region endpoint about the credentials when halted delivery may be tried again."""
        if breakers.shared.phase != "probe":
            return breakers
        verdict = self._account()
        if verdict.problem:
            self._breaker.halt(HALTS.get(verdict.problem, "credentials"), verdict.message)
            return replace(breakers, shared=replace(breakers.shared, phase="halted"))
        if self._breaker.resumed():
            log.info("delivery_resumed")
            self._on_recovery(None)
        return self._breaker.read_states(may_probe=None)

    def choose_probes(self, ready: Sequence[Job], breakers: BreakerStates) -> dict[Family, Job]:
        """Choose the jobs that are sent to see whether delivery is possible again, one for each family whose probe is ours.

        The tokens of families for which there is no job are given back, for a shard that has one.
        """
        probes = choose_probes(ready, breakers)
        self._breaker.release_probes(breakers.probing - probes.keys())
        for family, job in probes.items():
            self._breaker.probing(family, job.keys[0])
        return probes

    def release_probes(self, breakers: BreakerStates) -> None:
        """Leave the probes to a shard that has jobs for them."""
        self._breaker.release_probes(breakers.probing)
        if breakers.shared.phase == "probe":
            self._breaker.release_shared_probe()

    def send(
        self, packed: Packed, shard: int, token: str, breaker_state: BreakerState
    ) -> list[Result]:
        """Send ``packed``; a result for each of its jobs, in order.

        Args:
            token: the lease's.
            breaker_state: of the breaker that the request depends on.

        Raises:
            LeaseLostError: the shard is another holder's now; nothing more was sent.
        """
        return _Sending(self, packed, shard, token, breaker_state).run(packed.jobs)


class _Sending:
    """One packed request, and the smaller ones it may fall into."""

    def __init__(
        self, sender: Sender, packed: Packed, shard: int, token: str, breaker_state: BreakerState
    ) -> None:
        self._sender = sender
        self._route: Route = packed.route
        self._family = packed.family
        self._shard = shard
        self._token = token
        self._breaker_state = breaker_state
        self._words: set[str] = set()
        self._refused_alone = 0
        self._sampled = False

    def run(self, jobs: Sequence[Job]) -> list[Result]:
        results = self._attempt(jobs)
        if (
            len(jobs) > 1
            and self._route != "segment"
            and self._refused_alone == len(jobs)
            and len(self._words) == 1
            and not _known_bad(jobs, self._breaker_state)
        ):
            return self._halt_refused(jobs)
        return results

    def _attempt(self, jobs: Sequence[Job]) -> list[Result]:
        weight: Weight = "batch" if self._route == "v2" else "single"
        try:
            request = self._request(jobs)
            probing = self._breaker_state.phase == "probe"
            permit = self._sender._rate_limiter.wait(
                self._shard, self._token, self._family, weight, probing=probing
            )
            failpoint("before_send")
            started = time.monotonic()
            answer = self._sender._api.send(request, permit.send_until)
            failpoint("after_send")
        except request_builder.UnsendableDocumentError as error:
            return [Rejected(job, Refusal(str(error), 0)) for job in jobs]
        except TooLateError:
            if started <= permit.send_until:
                return self._troubled(
                    jobs, EndpointFailure("connecting took longer than the lease would have lasted")
                )
            return [
                Deferred(job, "late", "the lease would not have outlasted the request")
                for job in jobs
            ]
        except SendingBlockedError as closed:
            return [Deferred(job, "breaker", str(closed)) for job in jobs]
        _log_request(self._shard, request, answer, started)
        return self._learn(jobs, request, answer)

    def _request(self, jobs: Sequence[Job]) -> request_builder.Request:
        bodies = [job.body for job in jobs]
        match self._route:
            case "v2":
                return request_builder.batch(bodies)
            case "segment":
                return request_builder.segment(bodies)
        return request_builder.single(jobs[0].operation, bodies[0])

    def _learn(
        self, jobs: Sequence[Job], request: request_builder.Request, answer: Answer | NoAnswer
    ) -> list[Result]:
        match classify_response(request, answer):
            case Accepted(refused):
                return self._accepted(jobs, refused)
            case Refused(refusal) if len(jobs) == 1:
                return self._refused_one(jobs[0], refusal)
            case Refused(refusal) if self._route == "segment" and not self._sampled:
                return self._refused_segment(jobs, refusal)
            case Refused():
                return self._halved(jobs)
            case AuthRejected(status, error):
                return self._denied(jobs, status, error)
            case EndpointFailure() as trouble:
                return self._troubled(jobs, trouble)
        raise AssertionError("every classify_response has a case")

    def _refused_segment(self, jobs: Sequence[Job], refusal: Refusal) -> list[Result]:
        # What they have in common is the segment. If a few people alone are refused in the same words, it is the segment that
        # Customer.io does not take: no reason to stop delivery, and not worth a request for each of a thousand.
        self._sampled = True
        sample = {job.id: job for job in (jobs[0], jobs[len(jobs) // 2], jobs[-1])}
        others = [job for job in jobs if job.id not in sample]
        results = [result for job in sample.values() for result in self._attempt([job])]
        if all(
            isinstance(each, Rejected) and each.refusal.message == refusal.message
            for each in results
        ):
            return results + [Rejected(job, refusal) for job in others]
        if any(isinstance(each, Failed | Deferred) for each in results):
            return results + [Deferred(job, "breaker", _NOT_ANSWERED) for job in others]
        return results + (self._halved(others) if others else [])

    def _halved(self, jobs: Sequence[Job]) -> list[Result]:
        half = len(jobs) // 2
        return self._in_turn(jobs[:half], jobs[half:]) if half else self._attempt(jobs)

    def _in_turn(self, first: Sequence[Job], second: Sequence[Job]) -> list[Result]:
        results = self._attempt(first)
        if any(isinstance(each, Failed | Deferred) for each in results):
            return results + [Deferred(job, "breaker", _NOT_ANSWERED) for job in second]
        return results + self._attempt(second)

    def _accepted(self, jobs: Sequence[Job], refused: Any) -> list[Result]:
        delivered = len(jobs) - len(refused)
        try:
            # A 207 that refuses everything still says that the endpoint works.
            breaker = self._sender._breaker
            self._recovered(
                breaker.delivered(self._family, delivered)
                if delivered
                else breaker.answered(self._family)
            )
        except (RedisError, SQLAlchemyError, OSError) as error:
            # What Customer.io took must be written down, whatever else fails: not everything has an id that it would know again.
            log.error("success_not_recorded", error=type(error).__name__)
        return [
            Rejected(job, refused[index]) if index in refused else Delivered(job)
            for index, job in enumerate(jobs)
        ]

    def _refused_one(self, job: Job, refusal: Refusal) -> list[Result]:
        if self._breaker_state.phase == "probe" and self._breaker_state.words == refusal.message:
            # Still the same words that stopped delivery: not this job's fault.
            self._halt_family(f"everything is refused: {refusal.message}", refusal.message)
            return [Deferred(job, "halted", refusal.message)]
        self._refused_alone += 1
        self._words.add(refusal.message)
        self._recovered(self._sender._breaker.answered(self._family))
        return [Rejected(job, refusal)]

    def _halt_refused(self, jobs: Sequence[Job]) -> list[Result]:
        (words,) = self._words
        self._halt_family(
            f"every operation of a batch was refused in the same words: {words}", words
        )
        return [
            Failed(job, words, 400, len(jobs), self._breaker_state.last_success) for job in jobs
        ]

    def _denied(self, jobs: Sequence[Job], status: int, error: str) -> list[Result]:
        verdict = self._sender._account()
        if verdict.problem == "unreachable":
            return self._troubled(jobs, EndpointFailure(verdict.message, status))
        if verdict.problem:
            self._halt(HALTS[verdict.problem], verdict.message)
            return [Deferred(job, "halted", verdict.message) for job in jobs]
        self._recovered(self._sender._breaker.answered(self._family))
        said = f"{error}, though the credentials are good"
        return [
            Failed(job, said, status, len(jobs), self._breaker_state.last_success, its_own=True)
            for job in jobs
        ]

    def _troubled(self, jobs: Sequence[Job], trouble: EndpointFailure) -> list[Result]:
        if trouble.too_fast:
            self._sender._rate_limiter.slow_down()
        probing = self._breaker_state.phase == "probe"
        failure = self._sender._breaker.failed(
            self._family,
            trouble.error,
            rate_limited=trouble.too_fast,
            retry_after_s=trouble.retry_after_s,
            probing=probing,
        )
        if failure.opened:
            log.warning(
                "delivery_stopped",
                family=self._family,
                error=trouble.error,
                next_probe_s=round(failure.wait_s, 1),
            )
        if probing:
            # That a probe fails says nothing against its job, whoever succeeded before the outage.
            return [Deferred(job, "breaker", trouble.error) for job in jobs]
        return [
            Failed(job, trouble.error, trouble.status, len(jobs), failure.last_success, failure.at)
            for job in jobs
        ]

    def _halt(self, reason: Reason, message: str) -> None:
        if (
            self._sender._breaker.halt(reason, message).opened
            or self._breaker_state.phase != "probe"
        ):
            log.error("delivery_halted", reason=reason, message=message)

    def _halt_family(self, message: str, words: str) -> None:
        if (
            self._sender._breaker.halt_refused(self._family, message, words).opened
            or self._breaker_state.phase != "probe"
        ):
            log.error("delivery_halted", family=self._family, reason="refused", message=message)

    def _recovered(self, was_closed: bool) -> None:
        if was_closed:
            log.info("delivery_resumed", family=self._family)
            self._sender._on_recovery(self._family)


def _known_bad(jobs: Sequence[Job], breaker_state: BreakerState) -> bool:
    # They were refused like this before, and somebody else succeeded since: it is the jobs, not the endpoint.
    return all(0 < job.failed_at < breaker_state.last_success for job in jobs)


def _log_request(
    shard: int, request: request_builder.Request, answer: Answer | NoAnswer, started: float
) -> None:
    status = answer.status if isinstance(answer, Answer) else None
    log.info(
        "request",
        shard=shard,
        path=request.path if request.kind != "v1" else _endpoint(request.path),
        batch=request.size,
        bytes=len(request.body),
        status=status,
        ms=round((time.monotonic() - started) * 1000, 1),
        **({"error": answer.error} if isinstance(answer, NoAnswer) else {}),
    )


def _endpoint(path: str) -> str:
    # The path of a v1 request may name a person or a delivery.
    parts = path.partition("?")[0].split("/")
    if parts[1] == "unsubscribe":
        return "/unsubscribe/…"
    return "/".join("…" if index == 4 and part else part for index, part in enumerate(parts))
