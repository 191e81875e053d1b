"""What was delivered, what died and what waited, as charts. Pure: made of the counters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from trackrelay.worker.storage.counters import Point
from trackrelay.worker.storage.counts import LATENCY_BOUNDS, Name, Tally, quantile

#: The counters that the charts need.
NAMES = (Name.DELIVERED, Name.DIED, Name.WAITING)
Unit = Literal["jobs", "s"]


@dataclass(frozen=True, slots=True)
class TimeRange:
    """How far back charts go, and how long each of their points is."""

    step: Literal["minute", "hour", "day"]
    step_s: int
    points: int
    title: str

    def times(self, now: float) -> list[int]:
        """Return when each step begins, the current one last."""
        last = int(now // self.step_s) * self.step_s
        return [last - back * self.step_s for back in reversed(range(self.points))]


RANGES: dict[str, TimeRange] = {
    "hour": TimeRange("minute", 60, 60, "the last hour by minute"),
    "days": TimeRange("hour", 3_600, 72, "three days by hour"),
    "month": TimeRange("day", 86_400, 31, "a month by day"),
}


@dataclass(frozen=True, slots=True)
class Series:
    """One line, or one row of bars. None: not known."""

    label: str
    tone: str
    values: list[float | None]


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart."""

    name: str
    title: str
    kind: Literal["bars", "lines"]
    unit: Unit
    step_s: int
    times: list[int]
    series: list[Series]

    def document(self) -> dict[str, Any]:
        """Return what the script of the page draws."""
        return {
            "step": self.step_s,
            "unit": self.unit,
            "times": self.times,
            "series": [
                {"label": each.label, "tone": each.tone, "values": each.values}
                for each in self.series
            ],
        }

    def rows(self) -> list[tuple[int, list[float | None]]]:
        """Return the chart as a table, the latest first, without steps in which nothing was."""
        rows = zip(self.times, *(each.values for each in self.series), strict=True)
        return [(at, list(values)) for at, *values in reversed(list(rows)) if any(values)]


def flow_charts(points: Sequence[Point], span: TimeRange, now: float) -> list[Chart]:
    """Return the charts of a range."""
    times = span.times(now)

    def chart(
        name: str, title: str, kind: Literal["bars", "lines"], unit: Unit, *series: Series
    ) -> Chart:
        return Chart(name, title, kind, unit, span.step_s, times, list(series))

    delivered = by_time(points, Name.DELIVERED)
    died = by_time(points, Name.DIED)
    waiting = by_time(points, Name.WAITING)
    # Nothing was delivered where there is no row; what waited was not looked at there.
    return [
        chart(
            "delivered",
            "Delivered",
            "bars",
            "jobs",
            Series("delivered", "fill", _values(times, delivered, _number, missing=0)),
            Series("dead letters", "bad", _values(times, died, _number, missing=0)),
        ),
        chart(
            "waiting",
            "Waiting",
            "lines",
            "jobs",
            Series("jobs that wait", "warn", _values(times, waiting, _number)),
        ),
        chart(
            "lag",
            "Time to arrival",
            "lines",
            "s",
            Series("95 of 100 within", "fill", _values(times, delivered, _quantile)),
            Series("the oldest that waits", "warn", _values(times, waiting, _age)),
        ),
    ]


def by_time(points: Iterable[Point], name: Name) -> dict[int, Tally]:
    """Return the sum of a counter over its labels, by the beginning of each step."""
    found: dict[int, Tally] = {}
    for point in points:
        if point.name == name:
            at = round(point.at)
            found[at] = _sum(found[at], point.tally) if at in found else point.tally
    return found


def _sum(first: Tally, second: Tally) -> Tally:
    few, many = sorted((first.buckets, second.buckets), key=len)
    buckets = [
        number + (few[place] if place < len(few) else 0) for place, number in enumerate(many)
    ]
    return Tally(first.value + second.value, first.sum_s + second.sum_s, buckets)


def _values(
    times: Sequence[int],
    found: dict[int, Tally],
    value: Callable[[Tally], float | None],
    missing: float | None = None,
) -> list[float | None]:
    return [value(found[at]) if at in found else missing for at in times]


def _number(tally: Tally) -> float:
    return tally.value


def _age(tally: Tally) -> float:
    return round(tally.sum_s, 1)


def _quantile(tally: Tally) -> float | None:
    found = quantile(tally, 0.95, LATENCY_BOUNDS)
    return None if found is None else round(found, 2)
