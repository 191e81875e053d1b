"""What the delivery cycles of one process share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, Protocol

import sqlalchemy as sa

from trackrelay.worker.storage.blocklist import Blocklist
from trackrelay.worker.storage.dead_letters import NewDeadLetter
from trackrelay.worker.storage.settlement import Remember
from trackrelay.worker.storage.stored_job import Job
from trackrelay.worker.telemetry.exemplars import ExemplarNotes

from .breaker import Breaker
from .entry_decoder import Decoder
from .sender import Sender


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings say."""

    max_age_s: float
    max_attempts: int
    merge_delay_s: float


class JobObserver(Protocol):
    """Looks at jobs that are read for the first time. It must be fast, and raise nothing."""

    def note(self, jobs: Sequence[Job], now: float) -> None:
        """Look at jobs, at the server's time ``now``."""

    def flush(self) -> None:
        """Write down what was noted, because the process ends."""


@dataclass(slots=True)
class Enforced:
    """What the tracking plan makes of some jobs. Each job is in one of the lists."""

    #: In order. Some are fixed.
    ready: list[Job] = field(default_factory=list)
    dead: list[NewDeadLetter] = field(default_factory=list)
    #: By the job's id: what to count once the job is settled.
    found: dict[str, Any] = field(default_factory=dict)


class PlanEnforcement(Protocol):
    """Compares jobs with the tracking plan before they are sent first. It raises nothing."""

    @property
    def is_on(self) -> bool:
        """Whether a plan is in force."""

    def learn(self, connection: sa.Connection, number: int | None) -> None:
        """Load the plan, unless ``number`` (None: unknown) is that of the plan it knows."""

    def enforce(self, jobs: Sequence[Job], now: float, may_be_sent_already: bool) -> Enforced:
        """Compare jobs that may be sent, at the server's time ``now``."""

    def count(
        self, found: Mapping[str, Any], settled: Iterable[Job], stored: Iterable[Job]
    ) -> None:
        """Count what was found in jobs that are settled now, or wait as they were fixed."""

    def flush(self) -> None:
        """Write down what was counted, because the process ends."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a process's cycles share."""

    engine: sa.Engine
    decoder: Decoder
    breaker: Breaker
    sender: Sender
    executor: Executor
    rules: Rules
    blocklist: Blocklist
    #: Remembers what was sent, to verify it; None if nothing is verified.
    remember: Remember | None = None
    #: None if nothing is observed.
    observer: JobObserver | None = None
    #: None if no tracking plan is enforced.
    plan: PlanEnforcement | None = None
    #: None if nothing is traced.
    exemplars: ExemplarNotes | None = None
