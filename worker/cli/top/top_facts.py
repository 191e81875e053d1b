"""What ``trackrelay top`` shows: the facts of ``status``, and how the counters change."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from threading import Event, Thread
from types import TracebackType
from typing import Self

from sqlalchemy.exc import SQLAlchemyError

from trackrelay.worker.cli.common.command_stores import Stores
from trackrelay.worker.cli.status.flow_charts import RANGES, by_time
from trackrelay.worker.cli.status.snapshot import Snapshot
from trackrelay.worker.cli.status.snapshot_reader import read_snapshot
from trackrelay.worker.reasons import DeferReason
from trackrelay.worker.storage import counters
from trackrelay.worker.storage.counters import Point
from trackrelay.worker.storage.counts import LATENCY_BOUNDS, Name, Tally, quantile

#: Seconds over which a rate is measured: settlements come in bursts.
WINDOW_S = 10.0
#: Between two readings is a pause of at least so many times the duration of one.
REST = 5.0
#: Minutes back from now for which the time to arrival is estimated.
ARRIVAL_MINUTES = 5

_NAMES = (Name.DELIVERED, Name.DIED, Name.DEFERRED, Name.REQUESTS, Name.WAITING)
_RETRIES = (str(DeferReason.FAILED), str(DeferReason.RATE_LIMITED))


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything at one moment."""

    snapshot: Snapshot
    #: The counters of the last hour, by minute. None: Postgres does not answer.
    points: Sequence[Point] | None


def read_top(stores: Stores) -> Reading:
    """Read everything. What a store does not answer is not known."""
    snapshot = read_snapshot(stores)
    return Reading(snapshot, _points(stores, snapshot) if snapshot.postgres else None)


def _points(stores: Stores, snapshot: Snapshot) -> Sequence[Point] | None:
    since = RANGES["hour"].times(snapshot.now)[0]
    try:
        with stores.engine.connect() as connection:
            return counters.series(connection, "minute", since, names=_NAMES)
    except SQLAlchemyError:
        return None


@dataclass(frozen=True, slots=True)
class Flow:
    """How often something happened."""

    label: str
    #: None: there is no earlier reading, or none of the counters.
    per_second: float | None
    last_minute: int
    last_hour: int
    #: The current minute is last.
    by_minute: list[int]


@dataclass(frozen=True, slots=True)
class Flows:
    """What happens, how much waits, and how long it takes."""

    rows: list[Flow]
    #: Change of the number of waiting jobs. None: not known.
    waiting_per_second: float | None
    #: Samples by minute; None: not sampled. The current minute is last.
    waiting: list[int | None]
    oldest_s: list[float | None]
    #: 95 of 100 jobs of the last minutes arrived within so many seconds. None: none arrived.
    arrival_s: float | None


def flows(now: Reading, before: Reading | None) -> Flows | None:
    """Return what the counters say. None: they are not known.

    Args:
        now: the latest reading.
        before: an earlier one, for the rates.
    """
    if now.points is None:
        return None
    chosen = {
        "delivered": (Name.DELIVERED, _any),
        "retried": (Name.DEFERRED, _is_retry),
        "dead letters": (Name.DIED, _any),
        "requests": (Name.REQUESTS, _any),
    }
    times = RANGES["hour"].times(now.snapshot.now)
    samples = by_time(now.points, Name.WAITING)
    delivered = by_time(now.points, Name.DELIVERED)
    return Flows(
        [_flow(label, name, which, now, before) for label, (name, which) in chosen.items()],
        _waiting_per_second(now.snapshot, before.snapshot if before else None),
        [samples[at].value if at in samples else None for at in times],
        [samples[at].sum_s if at in samples else None for at in times],
        _arrival_s([delivered[at] for at in times[-ARRIVAL_MINUTES:] if at in delivered]),
    )


def _any(_point: Point) -> bool:
    return True


def _is_retry(point: Point) -> bool:
    return bool(point.labels) and point.labels[0] in _RETRIES


def _flow(
    label: str,
    name: Name,
    which: Callable[[Point], bool],
    now: Reading,
    before: Reading | None,
) -> Flow:
    times = RANGES["hour"].times(now.snapshot.now)
    counted = by_time(filter(which, now.points or ()), name)
    by_minute = [counted[at].value if at in counted else 0 for at in times]
    # Of the minute before the current one, the part counts that is not over for a minute.
    part = 1 - now.snapshot.now % 60 / 60
    return Flow(
        label,
        _per_second(by_time(filter(which, before.points), name), counted, before, now)
        if before and before.points is not None
        else None,
        round(by_minute[-1] + by_minute[-2] * part),
        sum(by_minute),
        by_minute,
    )


def _per_second(
    earlier: dict[int, Tally], later: dict[int, Tally], before: Reading, now: Reading
) -> float | None:
    passed = now.snapshot.now - before.snapshot.now
    if passed <= 0:
        return None
    # A settlement counts in the minute in which it began, which may be over by now. Minutes that
    # only the earlier reading has have left the hour.
    more = sum(
        tally.value - (earlier[at].value if at in earlier else 0) for at, tally in later.items()
    )
    return max(0, more) / passed


def _waiting_per_second(now: Snapshot, before: Snapshot | None) -> float | None:
    if before is None or now.now <= before.now or not _counts(now) or not _counts(before):
        return None
    return (now.undelivered - before.undelivered) / (now.now - before.now)


def _counts(snapshot: Snapshot) -> bool:
    return snapshot.redis is not None and snapshot.postgres is not None


def _arrival_s(tallies: Iterable[Tally]) -> float | None:
    buckets = [0] * (len(LATENCY_BOUNDS) + 1)
    for tally in tallies:
        for place, number in enumerate(tally.buckets):
            buckets[place] += number
    return quantile(Tally(buckets=buckets), 0.95, LATENCY_BOUNDS)


@dataclass(slots=True)
class Reader:
    """Reads in a thread again and again, so that keys work while a store does not answer.

    A context manager. It does not wait for a reading that is on its way when it ends.

    Args:
        read: returns a reading.
        interval_s: between two readings.
        clock: monotonic seconds.
    """

    read: Callable[[], Reading]
    interval_s: float
    clock: Callable[[], float] = time.monotonic
    #: What went wrong in the thread. It has ended.
    error: Exception | None = None
    #: When the reading that is on its way began.
    began: float | None = None
    _readings: deque[Reading] = field(default_factory=deque)
    _stop: Event = field(default_factory=Event)

    def __enter__(self) -> Self:
        Thread(target=self._work, name="trackrelay-top", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()

    @property
    def latest(self) -> tuple[Reading, Reading | None] | None:
        """The latest reading, and an earlier one. None: there is none yet.

        Raises:
            Exception: what ended the thread.
        """
        if self.error is not None:
            raise self.error
        readings = list(self._readings)
        if not readings:
            return None
        return readings[-1], readings[0] if len(readings) > 1 else None

    @property
    def late_s(self) -> float:
        """For how long the reading that is on its way has taken."""
        began = self.began
        return 0.0 if began is None else self.clock() - began

    def _work(self) -> None:
        try:
            while not self._stop.is_set():
                self.began = began = self.clock()
                self.add(self.read())
                self.began = None
                self._stop.wait(max(self.interval_s, REST * (self.clock() - began)))
        except Exception as error:
            self.error = error

    def add(self, reading: Reading) -> None:
        """Remember a reading, and forget those that are too old for a rate."""
        self._readings.append(reading)
        # The oldest one that is left covers the window.
        while (
            len(self._readings) > 2
            and reading.snapshot.now - self._readings[1].snapshot.now >= WINDOW_S
        ):
            self._readings.popleft()
