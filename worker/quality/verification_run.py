"""Verifies a few deliveries within the budget: one run of the fleet at a time, a few seconds long.

A run never delivers and never holds a shard. If the App API is slow, the run is cut: the worker's
slot is free again after ``RUN_S``.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from uuid import uuid4

import redis
import sqlalchemy as sa
import structlog

from trackrelay.app_api import (
    AppApi,
    AppApiAuthError,
    AppApiError,
    AppApiResponseError,
    AppApiUnavailableError,
)
from trackrelay.app_api.request_budget import LIMIT
from trackrelay.app_api.requester import Cancellation, CancelledReadError
from trackrelay.errors import ConfigurationError
from trackrelay.queue.redis_keys import PREFIX
from trackrelay.worker.celery_app.graceful_shutdown import is_ending
from trackrelay.worker.resources import Resources
from trackrelay.worker.settings import Settings
from trackrelay.worker.storage import sent_subjects, state
from trackrelay.worker.storage.sent_subjects import Subject
from trackrelay.worker.telemetry.job_traces import trace_fields
from trackrelay.worker.telemetry.work_spans import NO_SPAN, Work, WorkSpan, work_span

from .complaint_poll import MIN_AGE_S, ComplaintPoll
from .verdict_rules import Judgement, due_names
from .verifier import Look, Verifier, database_time

log = structlog.get_logger("trackrelay.verification")

#: Exists while a run works, and while the budget rests after one.
RUN_KEY = PREFIX + "verification"
#: A run ends after so many seconds, and its requests are cut.
RUN_S = 4.0
#: A run that was killed holds up the next one for so long.
LEASE_S = 30.0
#: Seconds whose budget one run may use up. A subject that was begun is finished.
BUDGET_S = 1.0
#: Requests of a run that may follow one another without a pause.
BURST = 5
#: A run is followed by a rest of so many times its length, so that it never occupies a slot.
REST_RATIO = 4.0
#: The longest that one request may take.
REQUEST_S = 3.0
#: How long the fleet rests: when nothing is due, when the App API fails, when it refuses the key.
IDLE_S, OUTAGE_S, REFUSED_S = 5.0, 15.0, 60.0
#: A subject about which the App API cannot be asked is put off, each time for twice as long.
PUT_OFF_S, MAX_PUT_OFF_S = 15.0, 3_600.0
#: The name of the fact that says how verification is.
STATE = "verification"
#: How often that is renewed while nothing changes.
RENEW_S = 10.0


@dataclass(slots=True)
class Run:
    """What one run did."""

    requests: int = 0
    #: Subjects that were compared.
    compared: int = 0
    complaints: int = 0
    #: Why it could not do more, or "".
    problem: str = ""
    #: How long the fleet rests, at least.
    rest_s: float = 0.0
    #: Whether comparisons are recorded as spans.
    traced: bool = False


def run_verification(resources: Resources, api: AppApi | None = None) -> Run | None:
    """Verify what is due, unless another process does.

    Args:
        resources: of this process.
        api: the client; None: as the settings say.

    Returns:
        what was done; None if verification is off, at work elsewhere, or resting.
    """
    configured = resources.settings
    if configured.verify == "off":
        return None
    lease = _Lease(resources.redis)
    if not lease.take():
        return None
    began = time.monotonic()
    run = Run(rest_s=OUTAGE_S, traced=configured.tracing)
    try:
        _work(run, resources, api)
        _note_state(resources.engine, run)
    finally:
        took_s = time.monotonic() - began
        earned_s = run.requests / configured.verify_rate - took_s
        lease.rest(max(run.rest_s, earned_s, REST_RATIO * took_s))
    return run


def make_api(configured: Settings, *, reserve: int = 0, retry_for: float = 0.0) -> AppApi:
    """Return the client of the App API that the workers' settings describe.

    Raises:
        ConfigurationError: there is no key.
    """
    return AppApi(
        reserve=reserve,
        retry_for=retry_for,
        app_api_key=configured.app_api_key.get_secret_value(),
        region=configured.region,
        app_url=configured.app_url,
        allow_http=configured.allow_http,
        request_timeout=min(configured.request_timeout.total_seconds(), REQUEST_S),
        redis_url=configured.redis_url.get_secret_value(),
    )


@lru_cache(maxsize=2)
def _api_of(pid: int, configured: Settings) -> AppApi:
    # Room for people and for the applications' own reads stays free.
    reserve = LIMIT - min(LIMIT - 1, max(BURST, math.ceil(configured.verify_rate)))
    return make_api(configured, reserve=reserve)


def _work(run: Run, resources: Resources, api: AppApi | None) -> None:
    configured = resources.settings
    try:
        api = api or _api_of(os.getpid(), configured)
    except ConfigurationError as error:
        run.problem, run.rest_s = str(error), REFUSED_S
        return
    after_s = configured.verify_after.total_seconds()
    verifier = Verifier(resources.engine, resources.redis, api, resources.hasher, after_s)
    poll = ComplaintPoll(
        resources.engine,
        api,
        resources.hasher,
        configured.verify_window.total_seconds(),
        # A complaint about a job that is not settled yet would be nobody's.
        min_age_s=min(MIN_AGE_S, after_s),
    )
    budget = max(1, int(configured.verify_rate * BUDGET_S))
    run.rest_s = 0.0
    try:
        with _deadline(RUN_S):
            now = database_time(resources.engine)
            # Half of the budget, so that complaints never starve comparisons.
            run.complaints = poll.run(now, max(1, budget // 2))
            _compare(run, verifier, now, max(1, budget - poll.requests))
    except AppApiAuthError as error:
        run.problem, run.rest_s = str(error), REFUSED_S
    except (CancelledReadError, AppApiUnavailableError) as error:
        run.problem, run.rest_s = _outage(error), OUTAGE_S
    except AppApiError as error:
        run.problem, run.rest_s = str(error), OUTAGE_S
    run.requests = verifier.reader.requests + poll.requests


def _compare(run: Run, verifier: Verifier, now: float, budget: int) -> None:
    began = time.monotonic()
    with verifier.engine.connect() as connection:
        subjects = sent_subjects.due(connection, budget)
    for subject in subjects:
        if verifier.reader.requests >= budget or is_ending():
            return
        _compare_one(run, verifier, subject, now + time.monotonic() - began)
        run.compared += 1
    run.rest_s = 0.0 if len(subjects) == budget else min(IDLE_S, max(verifier.after_s, 0.1))


def _compare_one(run: Run, verifier: Verifier, subject: Subject, now: float) -> None:
    names = due_names(subject, now, verifier.after_s)
    if not names:
        verifier.conclude(Look(subject, ()))
        return
    try:
        with _span(subject, names) if run.traced else NO_SPAN as span:
            look = verifier.look(subject, names, now)
            judgement = verifier.conclude(look)
            if judgement is not None:
                _note(span, judgement)
    except AppApiResponseError as error:
        # Of this subject alone, as it seems: the others go on.
        run.problem = str(error)
        _put_off(verifier.engine, subject)
    except AppApiError:
        _put_off(verifier.engine, subject)
        raise
    else:
        _log_verdicts(subject, judgement)


def _span(subject: Subject, names: Collection[str]) -> WorkSpan:
    """Return the span of a comparison, in the trace of the call that it is about."""
    items = [subject.items[name] for name in names]
    jobs = dict.fromkeys(item.job for item in items)
    work = Work(
        name="verify",
        kind="INTERNAL",
        size=len(jobs),
        job_id=next(iter(jobs)),
        attributes={"messaging.operation.name": "verify", "trackrelay.items": len(items)},
    )
    return work_span(work, [item.trace for item in items], needs_trace=True)


def _note(span: WorkSpan, judgement: Judgement) -> None:
    span.note(
        "items",
        verified=len(judgement.verified),
        wrong=len(judgement.final),
        pending=len(judgement.pending),
    )
    if judgement.final:
        span.failed(str(judgement.final[0].verdict))


def _log_verdicts(subject: Subject, judgement: Judgement | None) -> None:
    for finding in judgement.final if judgement else ():
        item = subject.items[finding.item]
        log.warning(
            "delivery_not_verified",
            job=item.job,
            key=subject.key,
            operation=item.operation,
            item=finding.item,
            verdict=str(finding.verdict),
            reason=finding.reason,
            **trace_fields(item.trace),
        )


def _put_off(engine: sa.Engine, subject: Subject) -> None:
    delay_s = min(PUT_OFF_S * 2.0 ** min(subject.tries, 20), MAX_PUT_OFF_S)
    with engine.begin() as connection:
        sent_subjects.put_off(connection, subject.key, delay_s)


def _outage(error: AppApiError) -> str:
    if isinstance(error, CancelledReadError):
        return f"the App API did not answer within {RUN_S:g} s"
    return str(error)


def _note_state(engine: sa.Engine, run: Run) -> None:
    """Write down how verification is, for `status`."""
    if run.problem:
        _log_once(run.problem)
    else:
        _log_once.cache_clear()
    with engine.begin() as connection:
        before = state.get(connection, STATE) or {}
        now = float(connection.execute(sa.text("SELECT extract(epoch FROM now())")).scalar_one())
        is_same = before.get("problem") == run.problem
        if not is_same or now - before.get("at", 0.0) >= RENEW_S:
            since = before.get("since", now) if is_same else now
            state.put(connection, STATE, {"problem": run.problem, "since": since, "at": now})


@lru_cache(maxsize=16)
def _log_once(problem: str) -> None:
    log.error("verification_impossible", problem=problem)


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """Cut the requests of this thread after some seconds."""
    cancellation = Cancellation()
    timer = threading.Timer(seconds, cancellation.cancel)
    timer.daemon = True
    timer.start()
    try:
        with cancellation.applied():
            yield
    finally:
        timer.cancel()


@dataclass(slots=True)
class _Lease:
    """Lets one process of the fleet verify at a time."""

    redis: redis.Redis
    token: str = field(default_factory=lambda: uuid4().hex)

    def take(self) -> bool:
        return bool(self.redis.set(RUN_KEY, self.token, nx=True, px=int(LEASE_S * 1000)))

    def rest(self, seconds: float) -> None:
        """Let the next run begin after some seconds, unless another process holds the lease."""
        held = self.redis.get(RUN_KEY)
        if held == self.token.encode():
            self.redis.pexpire(RUN_KEY, max(1, int(seconds * 1000)))
