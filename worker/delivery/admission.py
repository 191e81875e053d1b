"""Which of the ready jobs may be sent while breakers are open. Pure."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from trackrelay.worker.endpoint_families import Family
from trackrelay.worker.reasons import DeferReason
from trackrelay.worker.storage.backlog import BacklogItem
from trackrelay.worker.storage.stored_job import Job

from .breaker import BreakerStates, Phase


@dataclass(slots=True)
class Admission:
    """What may be sent now, and what must wait."""

    ready: list[Job] = field(default_factory=list)
    #: New jobs that go to the backlog. Jobs that came out of the backlog stay there as they are.
    waiting: list[BacklogItem] = field(default_factory=list)


def choose_probes(jobs: Sequence[Job], breakers: BreakerStates) -> dict[Family, Job]:
    """Choose one job for each family whose probe the caller may send: the first of its keys.

    The choice is random, and avoids the key of the previous probe where it can. Otherwise two jobs
    that can never succeed could be tried in turn for ever.
    """
    candidates: dict[Family, list[Job]] = {family: [] for family in breakers.probing}
    if not candidates:
        return {}
    seen: set[str] = set()
    for job in jobs:
        if seen.isdisjoint(job.keys) and job.family in candidates:
            candidates[job.family].append(job)
        seen.update(job.keys)
    return {
        family: random.choice(
            [job for job in found if breakers.of(family).probe_key not in job.keys] or found
        )
        for family, found in candidates.items()
        if found
    }


def admit(jobs: Sequence[Job], breakers: BreakerStates, probes: Mapping[Family, Job]) -> Admission:
    """Split ``jobs`` into those that may be sent and those that wait for a breaker or their key.

    Args:
        jobs: in order.
        breakers: the states of all breakers.
        probes: the one job that each open breaker lets through.
    """
    admission = Admission()
    blocked: set[str] = set()
    for job in jobs:
        phase = breakers.of(job.family).phase
        if not blocked.isdisjoint(job.keys):
            reason = DeferReason.KEY_WAITS
        elif phase == Phase.CLOSED or probes.get(job.family) is job:
            admission.ready.append(job)
            continue
        else:
            reason = DeferReason.HALTED if phase == Phase.HALTED else DeferReason.BREAKER
        blocked.update(job.keys)
        if not job.from_backlog:
            admission.waiting.append(BacklogItem(job=job, reason=reason))
    return admission
