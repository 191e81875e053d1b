"""Send a packed request, and find out what became of each of its jobs.

A refused batch is halved until the refused jobs are found. An endpoint that refuses everything
halts delivery instead of rejecting jobs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from trackrelay.transport.answers import Answer, NoAnswer
from trackrelay.worker.endpoint_families import Family
from trackrelay.worker.failpoints import failpoint
from trackrelay.worker.reasons import DeferReason, StopReason
from trackrelay.worker.storage.stored_job import Job
from trackrelay.worker.telemetry.work_spans import NO_SPAN, WorkSpan
from trackrelay.worker.track_api import request_builder
from trackrelay.worker.track_api.http_client import TooLateError, TrackApi
from trackrelay.worker.track_api.region import Verdict
from trackrelay.worker.track_api.responses import (
    Accepted,
    AuthRejected,
    Classification,
    EndpointFailure,
    Refusal,
    Refused,
    classify_response,
)

from .admission import choose_probes
from .batching import Exchange, PackedRequest
from .breaker import Breaker, BreakerState, BreakerStates, Phase
from .outcomes import Deferred, Delivered, Failed, Rejected, Result
from .rate_limiter import RateLimiter, SendingBlockedError, Weight
from .request_spans import endpoint_of, note_response, request_span

log = structlog.get_logger("trackrelay.delivery")

#: Why delivery halts, by what the region endpoint said.
HALTS: dict[str, StopReason] = {
    "denied": StopReason.CREDENTIALS,
    "region": StopReason.REGION,
    "workspace": StopReason.WORKSPACE,
}

_NOT_ANSWERED = "the request before it was not answered"


class Sender:
    """Sends for the holders of one process, from several threads at once.

    Args:
        api: the Track API.
        rate_limiter: permits each request.
        breaker: learns what became of each request.
        check_account: asks the region endpoint whether the credentials are good for this region and
            workspace.
        on_recovery: called with the family of which delivery has become possible again; None for
            all families.
        traced: whether requests are recorded as spans.
    """

    def __init__(
        self,
        api: TrackApi,
        rate_limiter: RateLimiter,
        breaker: Breaker,
        check_account: Callable[[], Verdict],
        on_recovery: Callable[[Family | None], None],
        traced: bool = False,
    ) -> None:
        self.api = api
        self.rate_limiter = rate_limiter
        self.breaker = breaker
        self.check_account = check_account
        self._on_recovery = on_recovery
        self._traced = traced

    def check_credentials(self, breakers: BreakerStates) -> BreakerStates:
        """Ask the region endpoint about the credentials when a probe of halted delivery is due."""
        if breakers.shared.phase != Phase.PROBE:
            return breakers
        verdict = self.check_account()
        if verdict.problem:
            reason = HALTS.get(verdict.problem, StopReason.CREDENTIALS)
            self.breaker.halt(reason, verdict.message)
            return replace(breakers, shared=replace(breakers.shared, phase=Phase.HALTED))
        if self.breaker.resumed():
            log.info("delivery_resumed")
            self._on_recovery(None)
        return self.breaker.read_states(may_probe=None)

    def choose_probes(self, ready: Sequence[Job], breakers: BreakerStates) -> dict[Family, Job]:
        """Choose one job as the probe of each family whose token the caller holds.

        Tokens of families without a job are given back, for a shard that has one.
        """
        probes = choose_probes(ready, breakers)
        self.breaker.release_probes(breakers.probing - probes.keys())
        for family, job in probes.items():
            self.breaker.note_probe(family, job.keys[0])
        return probes

    def release_probes(self, breakers: BreakerStates) -> None:
        """Give all tokens back, for a shard that has jobs to probe with."""
        self.breaker.release_probes(breakers.probing)
        if breakers.shared.phase == Phase.PROBE:
            self.breaker.release_shared_probe()

    def send(
        self, packed: PackedRequest, shard: int, token: str, state: BreakerState
    ) -> list[Result]:
        """Send ``packed``. Return a result for each of its jobs, in order.

        Args:
            packed: the jobs of one request.
            shard: the held shard.
            token: of its lease.
            state: of the breaker that the request depends on.

        Raises:
            LeaseLostError: another worker holds the shard; nothing more was sent.
        """
        return _Sending(self, packed, shard, token, state).run(packed.jobs)

    def span(self, request: request_builder.Request, jobs: Sequence[Job], shard: int) -> WorkSpan:
        """Return the span of a request, as a context manager."""
        return request_span(request, jobs, shard, self.api.base_url) if self._traced else NO_SPAN

    def note_recovery(self, family: Family, was_closed: bool) -> None:
        """Tell everybody that delivery is possible again, if a request just closed a breaker."""
        if was_closed:
            log.info("delivery_resumed", family=family)
            self._on_recovery(family)


class _Sending:
    """One packed request, and the smaller ones that it may be split into.

    Args:
        sender: what all requests of the process share.
        packed: the jobs.
        shard: the held shard.
        token: of its lease.
        state: of the breaker before the request.
    """

    def __init__(
        self, sender: Sender, packed: PackedRequest, shard: int, token: str, state: BreakerState
    ) -> None:
        self._sender = sender
        self._route = packed.route
        self._exchanges = packed.exchanges
        self._family = packed.family
        self._shard = shard
        self._token = token
        self._state = state
        self._probing = state.phase == Phase.PROBE
        #: What the endpoint said to jobs that were refused alone, and how many those are.
        self._refusal_words: set[str] = set()
        self._refused_alone = 0
        self._sampled = False

    def run(self, jobs: Sequence[Job]) -> list[Result]:
        results = self._attempt(jobs)
        if (
            len(jobs) > 1
            and self._route != "segment"
            and self._refused_alone == len(jobs)
            and len(self._refusal_words) == 1
            and not _known_bad(jobs, self._state)
        ):
            return self._halt_refused(jobs)
        return results

    def _attempt(self, jobs: Sequence[Job]) -> list[Result]:
        weight: Weight = "batch" if self._route == "v2" else "single"
        try:
            request = self._request(jobs)
            permit = self._sender.rate_limiter.wait(
                self._shard, self._token, self._family, weight, probing=self._probing
            )
            failpoint("before_send")
            started = time.monotonic()
            with self._sender.span(request, jobs, self._shard) as span:
                answer = self._sender.api.send(request, permit.send_until)
                failpoint("after_send")
                duration_s = time.monotonic() - started
                response = classify_response(request, answer)
                note_response(span, response, answer, len(jobs))
                _log_request(self._shard, request, answer, duration_s)
        except request_builder.UnsendableDocumentError as error:
            return [Rejected(job, Refusal(str(error), 0)) for job in jobs]
        except TooLateError:
            if started <= permit.send_until:
                message = "connecting took longer than the lease would have lasted"
                return self._endpoint_failed(jobs, EndpointFailure(message))
            message = "the lease would not have outlasted the request"
            return [Deferred(job, DeferReason.LATE, message) for job in jobs]
        except SendingBlockedError as blocked:
            return [Deferred(job, DeferReason.BREAKER, str(blocked)) for job in jobs]
        status = answer.status if isinstance(answer, Answer) else None
        self._exchanges.append(Exchange(self._family, status, duration_s))
        return self._learn(jobs, response)

    def _request(self, jobs: Sequence[Job]) -> request_builder.Request:
        bodies = [job.body for job in jobs]
        match self._route:
            case "v2":
                return request_builder.batch(bodies)
            case "segment":
                return request_builder.segment(bodies)
        return request_builder.single(jobs[0].operation, bodies[0])

    def _learn(self, jobs: Sequence[Job], response: Classification) -> list[Result]:
        match response:
            case Accepted(refused):
                return self._accepted(jobs, refused)
            case Refused(refusal) if len(jobs) == 1:
                return self._refused_one(jobs[0], refusal)
            case Refused(refusal) if self._route == "segment" and not self._sampled:
                return self._refused_segment(jobs, refusal)
            case Refused():
                return self._halved(jobs)
            case AuthRejected(status, error):
                return self._auth_rejected(jobs, status, error)
            case EndpointFailure() as failure:
                return self._endpoint_failed(jobs, failure)
        raise AssertionError("every class of responses has a case")

    def _refused_segment(self, jobs: Sequence[Job], refusal: Refusal) -> list[Result]:
        # The jobs have the segment in common. If a few of them are refused alone in the same words,
        # Customer.io refuses the segment. That is no reason to stop delivery, and not worth a
        # request for each of a thousand jobs.
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
            return results + [Deferred(job, DeferReason.BREAKER, _NOT_ANSWERED) for job in others]
        return results + (self._halved(others) if others else [])

    def _halved(self, jobs: Sequence[Job]) -> list[Result]:
        half = len(jobs) // 2
        if not half:
            return self._attempt(jobs)
        results = self._attempt(jobs[:half])
        if any(isinstance(each, Failed | Deferred) for each in results):
            # Jobs of the second half may share a key with a job that failed.
            rest = [Deferred(job, DeferReason.BREAKER, _NOT_ANSWERED) for job in jobs[half:]]
            return [*results, *rest]
        return results + self._attempt(jobs[half:])

    def _accepted(self, jobs: Sequence[Job], refused: Mapping[int, Refusal]) -> list[Result]:
        delivered = len(jobs) - len(refused)
        breaker = self._sender.breaker
        try:
            # A 207 that refuses everything still says that the endpoint works.
            was_closed = (
                breaker.delivered(self._family, delivered)
                if delivered
                else breaker.answered(self._family)
            )
            self._sender.note_recovery(self._family, was_closed)
        except (RedisError, SQLAlchemyError, OSError) as error:
            # Settle what Customer.io took, whatever else fails: not every operation has an id by
            # which Customer.io would recognize it.
            log.error("success_not_recorded", error=type(error).__name__)
        return [
            Rejected(job, refused[index]) if index in refused else Delivered(job)
            for index, job in enumerate(jobs)
        ]

    def _refused_one(self, job: Job, refusal: Refusal) -> list[Result]:
        if self._probing and self._state.words == refusal.message:
            # The endpoint still answers what stopped delivery. The job is not the cause.
            self._halt_family(f"everything is refused: {refusal.message}", refusal.message)
            return [Deferred(job, DeferReason.HALTED, refusal.message)]
        self._refused_alone += 1
        self._refusal_words.add(refusal.message)
        self._note_answered()
        return [Rejected(job, refusal)]

    def _halt_refused(self, jobs: Sequence[Job]) -> list[Result]:
        (words,) = self._refusal_words
        message = f"every operation of a batch was refused in the same words: {words}"
        self._halt_family(message, words)
        return [Failed(job, words, 400, len(jobs), self._state.last_success) for job in jobs]

    def _auth_rejected(self, jobs: Sequence[Job], status: int, error: str) -> list[Result]:
        verdict = self._sender.check_account()
        if verdict.problem == "unreachable":
            return self._endpoint_failed(jobs, EndpointFailure(verdict.message, status))
        if verdict.problem:
            self._halt(HALTS[verdict.problem], verdict.message)
            return [Deferred(job, DeferReason.HALTED, verdict.message) for job in jobs]
        self._note_answered()
        said, success = f"{error}, though the credentials are good", self._state.last_success
        return [Failed(job, said, status, len(jobs), success, blames_request=True) for job in jobs]

    def _endpoint_failed(self, jobs: Sequence[Job], failure: EndpointFailure) -> list[Result]:
        if failure.too_fast:
            self._sender.rate_limiter.slow_down()
        recorded = self._sender.breaker.failed(
            self._family,
            failure.error,
            rate_limited=failure.too_fast,
            retry_after_s=failure.retry_after_s,
            probing=self._probing,
        )
        if recorded.opened:
            log.warning(
                "delivery_stopped",
                family=self._family,
                error=failure.error,
                next_probe_s=round(recorded.wait_s, 1),
            )
        if self._probing:
            # A failed probe says nothing against its job, even if others succeeded before the
            # outage.
            return [Deferred(job, DeferReason.BREAKER, failure.error) for job in jobs]
        return [
            Failed(
                job, failure.error, failure.status, len(jobs), recorded.last_success, recorded.at
            )
            for job in jobs
        ]

    def _halt(self, reason: StopReason, message: str) -> None:
        if self._sender.breaker.halt(reason, message).opened or not self._probing:
            log.error("delivery_halted", reason=str(reason), message=message)

    def _halt_family(self, message: str, words: str) -> None:
        halted = self._sender.breaker.halt_refused(self._family, message, words)
        if halted.opened or not self._probing:
            reason = str(StopReason.REFUSED)
            log.error("delivery_halted", family=self._family, reason=reason, message=message)

    def _note_answered(self) -> None:
        was_closed = self._sender.breaker.answered(self._family)
        self._sender.note_recovery(self._family, was_closed)


def _known_bad(jobs: Sequence[Job], state: BreakerState) -> bool:
    # The jobs failed before, and the family delivered something since. So they are the cause, and
    # not the endpoint.
    return all(0 < job.failed_at < state.last_success for job in jobs)


def _log_request(
    shard: int, request: request_builder.Request, answer: Answer | NoAnswer, duration_s: float
) -> None:
    status = answer.status if isinstance(answer, Answer) else None
    log.info(
        "request",
        shard=shard,
        path=endpoint_of(request),
        batch=request.size,
        bytes=len(request.body),
        status=status,
        ms=round(duration_s * 1000, 1),
        **({"error": answer.error} if isinstance(answer, NoAnswer) else {}),
    )
