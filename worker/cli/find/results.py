"""What was found, job by job."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from trackrelay.worker.storage.queries.job_search import Trace

_ORDER = ("stream", "backlog", "dead_letters", "ledger", "outbox")


@dataclass(frozen=True, slots=True)
class FoundJob:
    """One job, with every place it was found in."""

    traces: tuple[Trace, ...]

    @property
    def first(self) -> Trace:
        """The place that says most about where it is now."""
        return self.traces[0]

    @property
    def id(self) -> str:
        """Its id."""
        return self.first.id

    @property
    def where(self) -> str:
        """One word: ``unrelayed``, ``queued``, ``waiting``, ``delivered``, ``dead``, ``replaying`` or ``discarded``."""
        places = {trace.place: trace for trace in self.traces}
        if "ledger" in places:
            return "delivered"
        if "dead_letters" in places and "backlog" not in places:
            state = places["dead_letters"].state or "open"
            return "dead" if state == "open" else state
        if "backlog" in places:
            return "replaying" if "dead_letters" in places else "waiting"
        return "queued" if "stream" in places else "unrelayed"


def shown(jobs: Sequence[FoundJob], limit: int) -> list[FoundJob]:
    """The latest ``limit``, and of the others those that a key's jobs wait for."""
    return [
        *jobs[:limit],
        *(job for job in jobs[limit:] if any(trace.is_first for trace in job.traces)),
    ]


def by_job(traces: Iterable[Trace]) -> list[FoundJob]:
    """The jobs, latest enqueued first."""
    jobs: dict[str, list[Trace]] = {}
    for trace in traces:
        jobs.setdefault(trace.id, []).append(trace)
    found = [
        FoundJob(tuple(sorted(each, key=lambda trace: _ORDER.index(trace.place))))
        for each in jobs.values()
    ]
    return sorted(found, key=lambda job: (job.first.enqueued_at, job.id), reverse=True)
