"""Observe the jobs that a worker process delivers, and add what was seen to the catalog.

Counts are kept in memory and written in bulk a few seconds later, by a thread of their own, so that
delivery never waits for the catalog. The observer spends a bounded share of the process's time:
above :data:`MAX_JOBS_PER_S` it looks at evenly spread jobs only. What it could not write stays in
memory, in bounded numbers.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec
import structlog
from sqlalchemy.exc import SQLAlchemyError

from trackrelay.worker.storage.pg_values import sanitize_text
from trackrelay.worker.storage.stored_job import Job

from .lateness import lateness_type
from .shapes import MAX_PATH, Shape, pairs, shape_of

log = structlog.get_logger("trackrelay.quality")

#: Jobs of one process that are looked at in a second; half a percent of a core.
MAX_JOBS_PER_S = 250.0
#: Counts are written this often.
FLUSH_S = 5.0
#: Different shapes in memory. What has another shape is counted as not observed.
MAX_SHAPES = 2_000
#: Sources that one process tells apart.
MAX_SOURCES = 100
#: Characters of a source and of an event's name.
MAX_NAME = 100

#: Types of rows about whole jobs; their path is empty.
SEEN, OBSERVED, OVERFLOW = "seen", "job", "not observed"


# An email address, or a phone number with its plus.
_ADDRESS = re.compile(r"[^\s.]*@\S*|\+\d{6,}")


class Subject(NamedTuple):
    """What is counted together: events of one name from one source, or one other operation."""

    source: str
    operation: str
    name: str


class Observation(NamedTuple):
    """How often a path of a subject had a type. An empty path: the jobs themselves."""

    subject: Subject
    path: str
    type: str
    jobs: int
    size: int = 0


class JobData(msgspec.Struct, gc=False):
    """The parts of a document that are observed."""

    name: Any = None
    timestamp: Any = None
    attributes: Any = None
    device: Any = None


class Notes(Protocol):
    """What is noted of the observed jobs beside their names and types, one thread at a time."""

    def note(self, subject: Subject, job: Job, data: JobData, now: float) -> None:
        """Note a job, at the server's time ``now``. It must be fast, and raise nothing."""

    def skipped(self) -> None:
        """Learn that some jobs are not looked at."""

    def observations(self) -> Iterable[Observation]:
        """Return what is to be counted in the catalog, and forget it."""

    def take(self) -> Callable[[], None]:
        """Return what writes down the rest without the lock; the rest is forgotten here."""


class _Counts(msgspec.Struct):
    """What was counted of a subject since the last write."""

    shapes: dict[Shape, int]
    lateness: dict[str, int]
    size: int = 0


_decode = msgspec.json.Decoder(JobData).decode
Store = Callable[[Sequence[Observation]], None]


class CatalogObserver:
    """The observer of one process. Several threads may use it.

    Args:
        store: adds observations to the catalog.
        clock: a clock that only goes forward, in seconds.
        notes: what else is noted of the same jobs.
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float] = time.monotonic,
        notes: Sequence[Notes] = (),
    ) -> None:
        self._store = store
        self._clock = clock
        self._notes = notes
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._timer: threading.Timer | None = None
        self._budget = MAX_JOBS_PER_S
        self._refilled_at = clock()
        self._unwritten: list[Observation] = []
        self._start()

    def _start(self) -> None:
        self._counts: dict[Subject, _Counts] = {}
        self._shape_count = 0
        self._seen: Counter[tuple[str, str]] = Counter()
        self._overflow: Counter[str] = Counter()

    def note(self, jobs: Sequence[Job], now: float) -> None:
        """Count jobs that are read for the first time.

        Args:
            jobs: the jobs.
            now: unix seconds by a server's clock.
        """
        if not jobs:
            return
        with self._lock:
            if self._timer is None:
                self._timer = threading.Timer(FLUSH_S, self.flush)
                self._timer.daemon = True
                self._timer.start()
            self._seen.update([(job.source or "", job.operation) for job in jobs])
            chosen = self._affordable(jobs)
            for job in chosen:
                try:
                    data = _decode(job.body)
                except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
                    continue
                name = data.name[:MAX_NAME] if isinstance(data.name, str) else ""
                subject = Subject(job.source or "", job.operation, name)
                self._note(subject, job, data, now)
                for notes in self._notes:
                    notes.note(subject, job, data, now)
            if len(chosen) < len(jobs):
                for notes in self._notes:
                    notes.skipped()

    def flush(self) -> None:
        """Write the counts. If Postgres does not take them, they stay for the next time."""
        with self._writing:
            with self._lock:
                noted = [each for notes in self._notes for each in notes.observations()]
                writers = [notes.take() for notes in self._notes]
                observations = [*self._unwritten, *self._observations(), *noted]
                if self._timer is not None:
                    self._timer.cancel()
                self._timer = None
                self._start()
            self._write(merged(observations))
            for write in writers:
                write()

    def _write(self, observations: list[Observation]) -> None:
        if not observations:
            return
        try:
            self._store(observations)
        except SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            log.warning("catalog_not_written", error=type(cause).__name__)
            self._unwritten = observations[: 10 * MAX_SHAPES]
        else:
            self._unwritten = []

    def _affordable(self, jobs: Sequence[Job]) -> Sequence[Job]:
        now = self._clock()
        earned = (now - self._refilled_at) * MAX_JOBS_PER_S
        self._refilled_at = now
        self._budget = min(self._budget + earned, 4 * MAX_JOBS_PER_S)
        step = max(1, -(-len(jobs) // max(1, int(self._budget))))
        chosen = jobs[::step] if self._budget >= 1 else ()
        self._budget -= len(chosen)
        return chosen

    def _note(self, subject: Subject, job: Job, data: JobData, now: float) -> None:
        attributes = data.attributes
        shape = shape_of(attributes) if isinstance(attributes, dict) else ()
        counts = self._counts.get(subject)
        number = counts.shapes.get(shape) if counts else None
        if number is None:
            if self._shape_count >= MAX_SHAPES:
                self._overflow[subject.source] += 1
                return
            self._shape_count += 1
            number = 0
        if counts is None:
            counts = self._counts[subject] = _Counts({}, {})
        counts.shapes[shape] = number + 1
        counts.size += len(job.body)
        if subject.name and type(data.timestamp) is int:
            late = lateness_type(now - data.timestamp)
            counts.lateness[late] = counts.lateness.get(late, 0) + 1

    def _observations(self) -> Iterable[Observation]:
        for (source, operation), count in self._seen.items():
            yield Observation(Subject(source, operation, ""), "", SEEN, count)
        for source, count in self._overflow.items():
            yield Observation(Subject(source, "", ""), "", OVERFLOW, count)
        for subject, counts in self._counts.items():
            for late, count in counts.lateness.items():
                yield Observation(subject, "", late, count)
            yield Observation(subject, "", OBSERVED, sum(counts.shapes.values()), counts.size)
            for shape, count in counts.shapes.items():
                for path, of_type in pairs(shape):
                    yield Observation(subject, path[:MAX_PATH], of_type, count)


def merged(observations: Iterable[Observation]) -> list[Observation]:
    """Add up observations of the same path and type; return them in a fixed order."""
    counts: Counter[tuple[Subject, str, str]] = Counter()
    sizes: Counter[tuple[Subject, str, str]] = Counter()
    sources: dict[str, None] = {}
    for each in observations:
        source = storable(each.subject.source[:MAX_NAME])
        if source not in sources and len(sources) >= MAX_SOURCES:
            source = OVERFLOW
        sources[source] = None
        subject = Subject(source, each.subject.operation, _named(each.subject.name))
        key = (subject, _named(each.path), each.type)
        counts[key] += each.jobs
        sizes[key] += each.size
    return [Observation(*key, counts[key], sizes[key]) for key in sorted(counts)]


def _named(name: str) -> str:
    """Return a name as Postgres takes it, without the addresses that an application put into it."""
    return storable(_ADDRESS.sub("…", name) if "@" in name or "+" in name else name)


def storable(text: str) -> str:
    """Return a text that Postgres takes."""
    return sanitize_text(text) or ""
