"""Exemplars of the time from a call to the arrival: for each bucket, the trace of one job.

A process writes some of its jobs every few seconds. The counters stay exact without them.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from trackrelay.worker.storage import state
from trackrelay.worker.storage.counts import LATENCY_BOUNDS
from trackrelay.worker.storage.stored_job import Job

from .job_traces import trace_fields

#: The name of the fact that holds them.
STATE = "exemplars"
#: A process writes at most every so many seconds.
INTERVAL_S = 10.0


class Exemplar(NamedTuple):
    """One job of a bucket."""

    trace_id: str
    seconds: float
    #: When it was delivered, in unix seconds.
    at: float


class ExemplarNotes:
    """Writes exemplars for one process."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._rests_until = 0.0

    def note(self, jobs: Sequence[Job], now: float) -> None:
        """Keep some of ``jobs``, which were delivered at the server's time ``now``."""
        if time.monotonic() < self._rests_until:
            return
        if found := exemplars_of(jobs, now):
            self._rests_until = time.monotonic() + INTERVAL_S
            # They are not worth an error: the next ones will do.
            with suppress(SQLAlchemyError), self._engine.begin() as connection:
                state.merge(connection, STATE, found)


def exemplars_of(jobs: Sequence[Job], now: float) -> dict[str, Exemplar]:
    """Return an exemplar for each family and bucket that has a job in a recorded trace."""
    found = {}
    for job in jobs:
        if fields := trace_fields(job.trace):
            seconds = max(0.0, now - job.enqueued_at)
            place = f"{job.family}:{bisect_left(LATENCY_BOUNDS, seconds)}"
            found[place] = Exemplar(fields["trace_id"], seconds, now)
    return found


def read(connection: sa.Connection) -> dict[tuple[str, int], Exemplar]:
    """Return the exemplars by family and number of the bucket."""
    stored: Mapping[str, Any] = state.get(connection, STATE) or {}
    return {
        (family, int(bucket)): Exemplar(*values)
        for (family, _, bucket), values in (
            (place.partition(":"), values) for place, values in stored.items()
        )
    }
