"""What is counted of jobs and requests, and the counts of one settlement. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise

#: Upper bounds of the buckets of the time from a call to the arrival, in seconds.
LATENCY_BOUNDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 21600, 86400)
#: Upper bounds of the buckets of the duration of a request, in seconds.
REQUEST_BOUNDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Name(StrEnum):
    """What is counted."""

    #: Jobs that Customer.io has. Label: family. Durations: from the call to the arrival.
    DELIVERED = "delivered"
    #: New dead letters. Label: reason.
    DIED = "died"
    #: Jobs that were put into the backlog, or back into it. Label: reason.
    DEFERRED = "deferred"
    #: Jobs that were not sent. Label: a `Dropped`.
    DROPPED = "dropped"
    #: Requests to the Track API. Labels: family, status. Durations: of the request.
    REQUESTS = "requests"
    #: Shards that a holder lost while it delivered. Label: what it lost first, lease or fence.
    SHARDS_LOST = "shards_lost"
    #: A sample, once a minute: jobs in queue and backlog. Duration: the age of the oldest.
    WAITING = "waiting"


class Dropped(StrEnum):
    """Why a job was not sent, and is not needed any more."""

    #: The same job was enqueued before.
    REPEAT = "repeat"
    #: An earlier holder settled it, and could not acknowledge it.
    REDELIVERED = "redelivered"
    #: Its person was forgotten.
    BLOCKED = "blocked"


#: Names of samples. The sample of a longer period is the largest of the shorter ones.
SAMPLES = frozenset({Name.WAITING})
#: The bounds of each histogram.
BOUNDS: dict[Name, tuple[float, ...]] = {
    Name.DELIVERED: LATENCY_BOUNDS,
    Name.REQUESTS: REQUEST_BOUNDS,
}


@dataclass(slots=True)
class Tally:
    """A count, and the durations of what was counted."""

    value: int = 0
    sum_s: float = 0.0
    #: How many durations are in each bucket, not cumulative. The last bucket has no bound.
    buckets: Sequence[int] = ()


class Counts:
    """Counts that are to be added to the counters."""

    __slots__ = ("_tallies",)

    def __init__(self) -> None:
        self._tallies: dict[tuple[Name, tuple[str, ...]], Tally] = {}

    def __bool__(self) -> bool:
        return bool(self._tallies)

    def __iter__(self) -> Iterator[tuple[Name, tuple[str, ...], Tally]]:
        """Yield each count once, in the order in which all processes write them."""
        for (name, labels), tally in sorted(self._tallies.items()):
            yield name, labels, tally

    def copy(self) -> Counts:
        """Return the same counts, to be added to."""
        copied = Counts()
        for key, tally in self._tallies.items():
            copied._tallies[key] = replace(tally)
        return copied

    def only(self, name: Name) -> Counts:
        """Return the counts of one name."""
        found = Counts()
        found._tallies = {key: each for key, each in self._tallies.items() if key[0] == name}
        return found

    def add(self, name: Name, *labels: str, number: int = 1) -> None:
        """Count ``number`` more."""
        if number:
            self._tally(name, labels).value += number

    def observe(self, name: Name, *labels: str, seconds: Iterable[float]) -> None:
        """Count each duration."""
        bounds, tally = BOUNDS[name], self._tally(name, labels)
        buckets = list(tally.buckets) or [0] * (len(bounds) + 1)
        for duration in seconds:
            buckets[bisect_left(bounds, duration)] += 1
            tally.value += 1
            tally.sum_s += max(0.0, duration)
        tally.buckets = buckets

    def _tally(self, name: Name, labels: tuple[str, ...]) -> Tally:
        return self._tallies.setdefault((name, labels), Tally())


#: What :func:`status_class` returns.
STATUS_CLASSES = ("1xx", "2xx", "3xx", "4xx", "429", "5xx", "none", "other")


def status_class(status: int | None) -> str:
    """Return the label of an HTTP status: ``2xx``, ``429``, ``none`` without an answer."""
    if status is None:
        return "none"
    if status == 429:
        return "429"
    return f"{status // 100}xx" if 100 <= status < 600 else "other"


def quantile(tally: Tally, part: float, bounds: Sequence[float]) -> float | None:
    """Return the duration that ``part`` of the durations do not exceed, as Prometheus estimates it.

    Args:
        tally: of a histogram.
        part: from 0 to 1.
        bounds: of the histogram's buckets.

    Returns:
        Seconds, interpolated within a bucket. Beyond the last bound: that bound. None: no duration.
    """
    total = sum(tally.buckets)
    if not total:
        return None
    rank, below = part * total, 0
    for (lower, upper), number in zip(pairwise((0.0, *bounds)), tally.buckets, strict=False):
        if number and below + number >= rank:
            return lower + (upper - lower) * (rank - below) / number
        below += number
    return float(bounds[-1])
