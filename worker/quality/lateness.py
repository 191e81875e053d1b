"""How late events arrive: classes of the time from an event to its delivery. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping

#: The upper bounds of the classes, in seconds.
BOUNDS_S = (1, 5, 15, 60, 300, 900, 3_600, 21_600, 86_400, 259_200)
#: An event that is newer than now by more than this many seconds lies in the future.
MAX_AHEAD_S = 120

_PREFIX = "late "
FUTURE = f"{_PREFIX}future"
_CLASSES = (*(f"{_PREFIX}{bound}" for bound in BOUNDS_S), f"{_PREFIX}more")


def lateness_type(seconds: float) -> str:
    """Return the class of an event that is this old when it is delivered."""
    if seconds < -MAX_AHEAD_S:
        return FUTURE
    return _CLASSES[bisect_left(BOUNDS_S, seconds)]


def is_lateness(of_type: str) -> bool:
    """Return whether a row of the catalog counts a class of lateness."""
    return of_type.startswith(_PREFIX)


def share_over(counts: Mapping[str, int], seconds: float) -> float:
    """Return the share of events that arrived later than ``seconds``, a bound of a class."""
    total = sum(counts.values())
    late = sum(
        counts.get(each, 0)
        for each, bound in zip(_CLASSES, (*BOUNDS_S, float("inf")), strict=True)
        if bound > seconds
    )
    return late / total if total else 0.0


def quantile_s(counts: Mapping[str, int], share: float) -> float | None:
    """Return a bound in seconds that ``share`` of the past events kept, or None without events.

    The result is the upper bound of a class; ``inf`` for more than three days.
    """
    total = sum(counts.get(each, 0) for each in _CLASSES)
    reached = 0
    for each, bound in zip(_CLASSES, (*BOUNDS_S, float("inf")), strict=True):
        reached += counts.get(each, 0)
        if total and reached >= share * total:
            return bound
    return None
