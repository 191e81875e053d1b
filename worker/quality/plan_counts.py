"""Count in memory how often jobs do not keep to the tracking plan, and write it down in bulk.

A thread of its own writes every few seconds: delivery never waits for the counts. What could not be
written stays in memory, in bounded numbers.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import structlog
from sqlalchemy.exc import SQLAlchemyError

from trackrelay.worker.storage.pg_values import sanitize_text
from trackrelay.worker.storage.plan_violations import MAX_JOBS, NO_ROOM, ViolationCount
from trackrelay.worker.storage.queries.plan_overview import UNREADABLE

log = structlog.get_logger("trackrelay.quality")

#: Counts are written this often.
FLUSH_S = 5.0
#: Different counts in memory. What else comes is counted together.
MAX_COUNTS = 2_000
#: Characters of a name, of a path, and of what was expected.
MAX_NAME, MAX_PATH, MAX_WORDS = 100, 200, 300

_INDEX = re.compile(r"\[\d+\]")
# An application may write an address or a number into a name.
_ADDRESS = re.compile(r"[^\s.]*@\S*")
_LONG_NUMBER = re.compile(r"\d{6,}")

Store = Callable[[Sequence[ViolationCount]], None]


class Point(NamedTuple):
    """What is counted together."""

    version: int
    source: str
    subject: str
    path: str
    kind: str
    action: str

    @classmethod
    def of(cls, version: int, source: str, subject: str, path: str, kind: str) -> Point:
        """Return the point of something that was only counted. Texts are cut, indexes left out."""
        return cls(
            version,
            _clean(source, MAX_NAME),
            _clean(without_personal(subject), MAX_NAME),
            _clean(without_personal(_INDEX.sub("[]", path)), MAX_PATH),
            kind,
            "warn",
        )


@dataclass(slots=True)
class _Count:
    expected: str
    actual: str
    count: int
    #: The latest first.
    jobs: tuple[str, ...]


class PlanCounts:
    """The counts of one process. Several threads may use it.

    Args:
        store: adds counts to those in Postgres.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._timer: threading.Timer | None = None
        self._counts: dict[Point, _Count] = {}

    def add(self, point: Point, expected: str, actual: str, job: str | None) -> None:
        """Count one job."""
        with self._lock:
            self._add(point, _Count(expected, actual, 1, (job,) if job else ()))
            if self._timer is None:
                self._timer = threading.Timer(FLUSH_S, self.flush)
                self._timer.daemon = True
                self._timer.start()

    def add_unreadable(self, version: int, problem: str) -> None:
        """Count a worker that cannot read a version of the plan."""
        point = Point.of(version, "", socket.gethostname(), "", UNREADABLE)
        self.add(point, "a plan that this worker can read", problem, None)

    def flush(self) -> None:
        """Write the counts. If Postgres does not take them, they stay for the next time."""
        with self._flushing:
            with self._lock:
                taken, self._counts = self._counts, {}
                if self._timer is not None:
                    self._timer.cancel()
                self._timer = None
            if not taken:
                return
            try:
                self._store(list(_rows(taken)))
            except SQLAlchemyError as error:
                cause = getattr(error, "orig", None) or error
                log.warning("plan_counts_not_written", error=type(cause).__name__)
                with self._lock:
                    newer, self._counts = self._counts, {}
                    for point, count in (*taken.items(), *newer.items()):
                        self._add(point, count)

    def _add(self, point: Point, new: _Count) -> None:
        if point not in self._counts and len(self._counts) >= MAX_COUNTS:
            point = Point(point.version, "", "", "", NO_ROOM, "warn")
            new = _Count("", "", new.count, ())
        known = self._counts.get(point)
        if known is None:
            self._counts[point] = new
            return
        known.expected, known.actual = new.expected, new.actual
        known.count += new.count
        known.jobs = (*new.jobs, *known.jobs)[:MAX_JOBS]


def without_personal(text: str) -> str:
    """Return names without the addresses and long numbers in them."""
    return _LONG_NUMBER.sub("…", _ADDRESS.sub("…", text))


def _rows(counts: dict[Point, _Count]) -> Iterable[ViolationCount]:
    # In one order, so that no two writers wait for each other.
    for point in sorted(counts):
        each = counts[point]
        yield ViolationCount(
            **point._asdict(),
            expected=_clean(each.expected, MAX_WORDS),
            actual=_clean(each.actual, MAX_WORDS),
            count=each.count,
            jobs=each.jobs,
        )


def _clean(text: str, limit: int) -> str:
    return sanitize_text(text[:limit]) or ""
