"""The tracking plan in a holder's cycles: which jobs may be sent, and what is counted of them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from trackrelay.worker.endpoint_families import Family
from trackrelay.worker.storage.settlement import Settlement
from trackrelay.worker.storage.stored_job import Job

from .cycle_parts import PlanEnforcement
from .intake import Intake


class PlanGate:
    """What one holder asks of the tracking plan.

    Args:
        plan: None if no plan is enforced.
    """

    def __init__(self, plan: PlanEnforcement | None) -> None:
        self._plan = plan
        #: What was found in jobs of this cycle that are not settled yet.
        self._found: dict[str, Any] = {}

    def pass_jobs(
        self, jobs: list[Job], intake: Intake, may_send: Collection[Family], now: float
    ) -> list[Job]:
        """Return the jobs that may be sent, some of them fixed. The others are dead letters.

        Args:
            jobs: in order.
            intake: the read that they come from.
            may_send: the families whose breakers let jobs pass.
            now: unix seconds by a server's clock.
        """
        if self._plan is None or not self._plan.is_on:
            return jobs
        # What cannot be sent now waits as it came, for the plan that will be in force then.
        asked = [job for job in jobs if job.family in may_send]
        enforced = self._plan.enforce(asked, now, intake.may_be_sent_already)
        self._found = enforced.found
        intake.decided.dead += enforced.dead
        if len(asked) == len(jobs):
            return enforced.ready
        passed = {job.id: job for job in enforced.ready}
        dead = {letter.job.id for letter in enforced.dead}
        return [passed.get(job.id, job) for job in jobs if job.id not in dead]

    def count(self, outcome: Settlement) -> None:
        """Count what was found in the jobs of a settlement."""
        if self._plan is None or not self._found:
            return
        waiting = [each.job for each in outcome.waiting]
        dead = [letter.job for letter in outcome.dead]
        tried = [*outcome.delivered, *dead, *(job for job in waiting if job.failed_at)]
        stored = [job for job in waiting if not (job.failed_at or job.from_backlog)]
        self._plan.count(self._found, tried, stored)
