"""Compare jobs with the tracking plan before they are sent first, and do what it says.

A job that was tried before is left alone: Customer.io may have it as it was. A version that cannot
be read is not enforced; it stops no job.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import sqlalchemy as sa
import structlog
from sqlalchemy.exc import SQLAlchemyError

from trackrelay.worker.dead_letters.patch import format_path
from trackrelay.worker.delivery.cycle_parts import Enforced
from trackrelay.worker.reasons import DeathReason
from trackrelay.worker.storage import plans
from trackrelay.worker.storage.dead_letters import NewDeadLetter
from trackrelay.worker.storage.plans import StoredPlan
from trackrelay.worker.storage.stored_job import Job

from .plan_counts import PlanCounts, Point, without_personal
from .plan_fixes import Fix, fix

if TYPE_CHECKING:
    from trackrelay.plan.plan_checker import PlanChecker, Violation
    from trackrelay.plan.plan_model import Plan

log = structlog.get_logger("trackrelay.quality")

#: The operations that a plan can say something about.
COVERED = frozenset(
    [
        "person.event",
        "anonymous.event",
        "person.identify",
        "object.identify",
        "object.identify_anonymous",
    ]
)
#: After an error of Postgres, the plan is asked for again this much later.
AGAIN_S = 5.0
#: A job that is older than the plan may have been sent without it. Clocks may differ by this much.
CLOCKS_S = 60.0
#: Violations that a dead letter names.
MAX_NAMED = 5
#: The kind of a count for an event that came later than its plan allows.
LATE = "late"


@dataclass(frozen=True, slots=True)
class PlanInForce:
    """A version of the plan, ready for use."""

    stored: StoredPlan
    plan: Plan
    checker: PlanChecker

    def is_in_force(self, now: float) -> bool:
        """Whether it has not ended."""
        until = self.stored.in_force_until
        return until is None or until > now


class _Noted(NamedTuple):
    """What is counted of a job once it is settled."""

    point: Point
    expected: str
    actual: str


class _Judged(NamedTuple):
    """What becomes of one job."""

    job: Job
    letter: NewDeadLetter | None = None
    noted: tuple[_Noted, ...] = ()


@dataclass(frozen=True, slots=True)
class _Known:
    number: int = 0
    #: The latest first. Empty: nothing is enforced.
    plans: tuple[PlanInForce, ...] = ()


class PlanEnforcer:
    """What one process knows of the plan. Several threads may use it.

    Args:
        counts: where it counts what it finds.
    """

    def __init__(self, counts: PlanCounts) -> None:
        self.counts = counts
        self._known = _Known()
        self._lock = threading.Lock()
        #: Versions that were read before, by their digest; None cannot be read.
        self._read: dict[str, tuple[Plan, PlanChecker] | None] = {}
        self._not_before = 0.0

    @property
    def is_on(self) -> bool:
        """Whether a plan is in force."""
        return bool(self._known.plans)

    def learn(self, connection: sa.Connection, number: int | None) -> None:
        """Load the plan, unless ``number`` (None: unknown) is that of the plan it knows."""
        if number is None or number == self._known.number:
            return
        with self._lock:
            if number != self._known.number and time.monotonic() >= self._not_before:
                self._load(connection, number)

    def _load(self, connection: sa.Connection, number: int) -> None:
        try:
            stored = plans.in_force(connection)
        except SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            log.error("plan_unreadable", error=type(cause).__name__)
            self._not_before = time.monotonic() + AGAIN_S
            return
        ready = [self._ready(each) for each in stored]
        self._read = {each.digest: self._read[each.digest] for each in stored}
        # Without its latest version, it is not known what holds.
        found = tuple(each for each in ready if each) if ready and ready[0] else ()
        self._known = _Known(number, found)
        if found:
            names = [f"{each.stored.name} {each.stored.version}" for each in found]
            log.info("plan_in_force", plans=names)

    def _ready(self, stored: StoredPlan) -> PlanInForce | None:
        if stored.digest not in self._read:
            self._read[stored.digest] = self._parse(stored)
        parsed = self._read[stored.digest]
        return PlanInForce(stored, *parsed) if parsed else None

    def _parse(self, stored: StoredPlan) -> tuple[Plan, PlanChecker] | None:
        try:
            return read(stored)
        except Exception as error:
            problem = f"{type(error).__name__}: {error}".splitlines()[0][:300]
            log.error("plan_unreadable", version=stored.version, error=problem)
            self.counts.add_unreadable(stored.version, problem)
            return None

    def enforce(self, jobs: Sequence[Job], now: float, may_be_sent_already: bool) -> Enforced:
        """Compare jobs with the plan, and fix them or make dead letters of them, as it says.

        Args:
            jobs: that may be sent now, in order.
            now: unix seconds by a server's clock.
            may_be_sent_already: whether an earlier holder read them and did not settle them.
        """
        enforced = Enforced()
        in_force = [each for each in self._known.plans if each.is_in_force(now)]
        if not in_force:
            enforced.ready = list(jobs)
            return enforced
        for job in jobs:
            judged = _Judged(job)
            if not (job.attempts or job.failed_at) and job.operation in COVERED:
                may_die = not may_be_sent_already or _is_older(in_force[0], job)
                try:
                    judged = _judge(job, in_force, may_die, now)
                except Exception as error:
                    _log_failure_once(in_force[0].stored.version, type(error).__name__)
            if judged.letter is None:
                enforced.ready.append(judged.job)
            else:
                enforced.dead.append(judged.letter)
            if judged.noted:
                enforced.found[job.id] = judged.noted
        return enforced

    def count(
        self, found: Mapping[str, Any], settled: Iterable[Job], stored: Iterable[Job]
    ) -> None:
        """Count what was found in jobs.

        Args:
            found: as :meth:`enforce` returned it.
            settled: jobs that were tried, or are dead letters. They are not compared again.
            stored: jobs that wait as they were fixed. What is left is found in them again.
        """
        for job in settled:
            self._count(job.id, found.get(job.id, ()))
        for job in stored:
            fixes = [each for each in found.get(job.id, ()) if each.point.action == "fix"]
            self._count(job.id, fixes)

    def _count(self, job: str, noted: Iterable[_Noted]) -> None:
        for each in noted:
            self.counts.add(each.point, each.expected, each.actual, job)

    def flush(self) -> None:
        """Write down what was counted, because the process ends."""
        self.counts.flush()


def read(stored: StoredPlan) -> tuple[Plan, PlanChecker]:
    """Return a stored plan, and its checker.

    Raises:
        PlanError: this version of trackrelay cannot read it.
        ConfigurationError: a package is missing.
    """
    # A worker without a plan needs none of the packages.
    from trackrelay.plan.plan_checker import PlanChecker
    from trackrelay.plan.plan_loader import parse_plan

    plan = parse_plan(stored.text, f"version {stored.version}")
    return plan, PlanChecker(plan)


@lru_cache(maxsize=64)
def _log_failure_once(version: int, error: str) -> None:
    log.error("plan_check_failed", version=version, error=error)


def _is_older(plan: PlanInForce, job: Job) -> bool:
    """Whether no holder has ever read the job without this plan."""
    return plan.stored.applied_at + CLOCKS_S < job.age_from


def _judge(job: Job, in_force: Sequence[PlanInForce], may_die: bool, now: float) -> _Judged:
    newest = in_force[0]
    document = msgspec.json.decode(job.body)
    violations = newest.checker.violations(job.operation, document, job.source)
    # During a deploy, a job may keep to the version before.
    if violations and any(
        not each.checker.violations(job.operation, document, job.source) for each in in_force[1:]
    ):
        return _Judged(job)
    noted = [late] if (late := _late(newest, job, document)) else []
    wanted = [each for each in violations if each.enforcement == "fix"]
    fixed = fix(job.body, wanted) if wanted else None
    left = violations
    if fixed:
        document = msgspec.json.decode(fixed.body)
        left = newest.checker.violations(job.operation, document, job.source)
    fatal = [each for each in left if each.enforcement == "dead_letter"]
    if fatal and may_die:
        # It stays as it was sent, for whoever repairs it.
        noted += [
            _noted(newest, job, each, "dead_letter" if each in fatal else "warn")
            for each in dict.fromkeys((*violations, *fatal))
        ]
        return _Judged(job, _letter(job, fatal, newest, now), tuple(dict.fromkeys(noted)))
    noted += [_noted(newest, job, each, "fix") for each in (fixed.fixed if fixed else ())]
    noted += [_noted(newest, job, each, "warn") for each in left]
    return _Judged(_with_fix(job, fixed) if fixed else job, None, tuple(dict.fromkeys(noted)))


def _with_fix(job: Job, fixed: Fix) -> Job:
    notes = "; ".join(filter(None, (job.plan_note, *fixed.notes)))
    # Keys inside an object may be addresses.
    return job.with_(body=fixed.body, plan_note=without_personal(notes)[:1_000])


def _noted(plan: PlanInForce, job: Job, violation: Violation, action: str) -> _Noted:
    point = Point.of(
        plan.stored.version, job.source or "", violation.subject, violation.path, violation.kind
    )
    return _Noted(point._replace(action=action), violation.expected, violation.actual)


def _late(plan: PlanInForce, job: Job, document: Mapping[str, Any]) -> _Noted | None:
    # History comes by the bulk lane, and is late on purpose.
    name, at = document.get("name"), document.get("timestamp")
    event = plan.plan.event(name) if isinstance(name, str) else None
    if event is None or event.lateness_s is None or job.lane == "bulk" or type(at) is not int:
        return None
    # An outage delays delivery, and is not the application's fault.
    if job.enqueued_at - at <= event.lateness_s:
        return None
    if plan.plan.enforcement(event.policy, job.source) == "off":
        return None
    point = Point.of(plan.stored.version, job.source or "", event.name, "", LATE)
    return _Noted(point, f"at most {event.lateness_s:,.0f} s after the event", "later")


def _letter(job: Job, fatal: Sequence[Violation], plan: PlanInForce, now: float) -> NewDeadLetter:
    texts = [each.text for each in fatal[:MAX_NAMED]]
    if more := len(fatal) - len(texts):
        texts.append(f"and {more:,} more")
    # The log shows it.
    error = without_personal("; ".join(texts))
    name = f"{plan.stored.name}, version {plan.stored.version}"
    at = fatal[0].at
    return NewDeadLetter(
        job=job,
        reason=DeathReason.PLAN,
        error=error,
        field=format_path(("attributes", *at)) if at else _FIELD.get(job.operation),
        history=({"at": now, "what": "plan", "note": name, "error": error},),
    )


#: The field that is wrong if the event itself is.
_FIELD = {"person.event": "name", "anonymous.event": "name"}
