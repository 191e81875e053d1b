"""A holder asks the tracking plan about what it can send now, and counts each job once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trackrelay.operations.limits import OPERATION_BYTES
from trackrelay.worker.delivery.cycle_parts import Enforced
from trackrelay.worker.delivery.intake import Intake
from trackrelay.worker.delivery.plan_gate import PlanGate
from trackrelay.worker.endpoint_families import ALL_FAMILIES, Family
from trackrelay.worker.reasons import DeathReason, DeferReason
from trackrelay.worker.storage.backlog import BacklogItem
from trackrelay.worker.storage.dead_letters import NewDeadLetter
from trackrelay.worker.storage.settlement import Settlement
from trackrelay.worker.storage.stored_job import Job


def job(number: int, *, large: bool = False, **values: Any) -> Job:
    """Return a job. A large one belongs to another family."""
    given = {
        "id": f"{number:026}",
        "operation": "person.event",
        "keys": ("id:42",),
        "shards": (0,),
        "body": b"{" + b" " * (OPERATION_BYTES if large else 0) + b"}",
        "lane": "live",
        "enqueued_at": 1.0,
        "age_from": 1.0,
        "entry": f"{number}-0",
    }
    return Job(**{**given, **values})


@dataclass
class FakePlan:
    """Fixes every job, and makes dead letters of some."""

    is_on: bool = True
    dead: frozenset[str] = frozenset()
    asked: list[str] = field(default_factory=list)
    settled: list[str] = field(default_factory=list)
    stored: list[str] = field(default_factory=list)

    def learn(self, connection: Any, number: int | None) -> None:
        raise NotImplementedError

    def flush(self) -> None:
        raise NotImplementedError

    def enforce(self, jobs: Sequence[Job], now: float, may_be_sent_already: bool) -> Enforced:
        self.asked += [each.id for each in jobs]
        enforced = Enforced(found={each.id: () for each in jobs})
        for each in jobs:
            if each.id in self.dead:
                letter = NewDeadLetter(job=each, reason=DeathReason.PLAN, error="wrong")
                enforced.dead.append(letter)
            else:
                enforced.ready.append(each.with_(plan_note="fixed"))
        return enforced

    def count(
        self, found: Mapping[str, Any], settled: Iterable[Job], stored: Iterable[Job]
    ) -> None:
        self.settled += [each.id for each in settled]
        self.stored += [each.id for each in stored]


def test_jobs_that_cannot_be_sent_now_are_not_asked_about_and_keep_their_places() -> None:
    first, second, third, fourth = (job(number, large=number == 2) for number in range(1, 5))
    plan = FakePlan(dead=frozenset([third.id]))
    intake = Intake("live")
    passed = PlanGate(plan).pass_jobs(
        [first, second, third, fourth], intake, ALL_FAMILIES - {Family.V1_EVENTS}, 1.0
    )
    assert plan.asked == [first.id, third.id, fourth.id]
    assert [(each.id, each.plan_note) for each in passed] == [
        (first.id, "fixed"),
        (second.id, None),
        (fourth.id, "fixed"),
    ]
    assert [each.job.id for each in intake.decided.dead] == [third.id]


def test_without_a_plan_in_force_nothing_is_asked() -> None:
    jobs = [job(1)]
    for plan in (None, FakePlan(is_on=False)):
        gate = PlanGate(plan)
        assert gate.pass_jobs(jobs, Intake("live"), ALL_FAMILIES, 1.0) is jobs
        gate.count(Settlement(delivered=jobs))
        assert plan is None or (plan.asked, plan.settled) == ([], [])


def test_what_was_tried_is_counted_and_what_waits_as_it_was_fixed_is_told_apart() -> None:
    plan = FakePlan()
    gate = PlanGate(plan)
    delivered, failed, deferred, again = jobs = [
        job(1),
        job(2, failed_at=1.0),
        job(3),
        job(4, entry=None),
    ]
    gate.pass_jobs(jobs, Intake("live"), ALL_FAMILIES, 1.0)
    waiting = [
        BacklogItem(job=failed, reason=DeferReason.FAILED),
        BacklogItem(job=deferred, reason=DeferReason.RATE_LIMITED),
        BacklogItem(job=again, reason=DeferReason.RATE_LIMITED),
    ]
    gate.count(Settlement(delivered=[delivered], waiting=waiting))
    assert plan.settled == [delivered.id, failed.id]
    assert plan.stored == [deferred.id]
