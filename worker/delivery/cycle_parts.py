"""What the delivery cycles of one process share."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Protocol

import sqlalchemy as sa

from trackrelay.worker.storage.blocklist import Blocklist
from trackrelay.worker.storage.settlement import Remember
from trackrelay.worker.storage.stored_job import Job

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
