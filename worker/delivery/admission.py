"""Which of the jobs that are ready may be sent while the breakers of some endpoint families are open. Pure."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from trackrelay.worker.endpoint_families import Family
from trackrelay.worker.storage.backlog import BacklogItem
from trackrelay.worker.storage.stored_job import Job

from .breaker import BreakerStates


@dataclass(slots=True)
class Admission:
    """What may be sent now, and what must wait."""

    ready: list[Job] = field(default_factory=list)
    #: New jobs, which go to the backlog. Those that came out of it stay there as they are.
    waiting: list[BacklogItem] = field(default_factory=list)


def choose_probes(jobs: Sequence[Job], breakers: BreakerStates) -> dict[Family, Job]:
    """Choose one job for each family that may send a probe: the first of its keys, at random.

    Where there is a choice, the probe is not of the key of the probe before it. At random, because two jobs that can never succeed
    would otherwise be tried in turn for ever.
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
    """Split ``jobs``, given in order, into those that may be sent and those that wait for their family or behind their key."""
    admission = Admission()
    blocked: set[str] = set()
    for job in jobs:
        state = breakers.of(job.family).phase
        if not blocked.isdisjoint(job.keys):
            reason = "key_waits"
        elif state == "closed" or probes.get(job.family) is job:
            admission.ready.append(job)
            continue
        else:
            reason = "halted" if state == "halted" else "breaker"
        blocked.update(job.keys)
        if not job.from_backlog:
            admission.waiting.append(BacklogItem(job=job, reason=reason))
    return admission
