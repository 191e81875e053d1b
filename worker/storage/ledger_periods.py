"""The ledger's periods: in which partition a job is recorded, and where an id is looked for.

The ledger is partitioned by ``period``, a whole number:

- a day, counted from 1970, for ids that were made about then: nearly all of them;
- a negative day for ids whose own time says nothing: those derived from idempotency keys, which
  carry a time long past, and those that a caller chose. The day is when they were recorded;
- :data:`KEPT` for the few rows that outlive their partition;
- :data:`BEFORE` for rows of a ledger that was not partitioned yet.

An id is recorded either under the day of its own time or under a period that is not positive. So
it is looked for there and nowhere else, however many partitions there are. An id whose time is that
of derived ids, or earlier, is never recorded under its own day, even if a clock says so.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from trackrelay.operations.ids import DERIVED_FROM_MS, DERIVED_SPAN_MS, first_id_of, milliseconds_of

#: Rows of removals that are still needed, and rows for which there is no other partition.
KEPT = 0
#: Rows of before the ledger was partitioned. In a ledger without partitions, all rows.
BEFORE = -1

#: An id is recorded under the day of its own time if that is so many days ago at most. Later, as
#: after a long outage or for a replay, it is recorded as an id without a time.
FRESH_DAYS = 3

DAY_S = 86_400
_DAY_MS = DAY_S * 1000
_MAX_PERIOD = 2**31 - 1
#: The first id whose time is not that of a derived id.
_FIRST_WITH_TIME = first_id_of(DERIVED_FROM_MS + DERIVED_SPAN_MS)

#: SQL that finds the rows of some ids in few partitions; its parameters: :func:`searched`.
IN_PERIODS = "({of}period <= 0 OR {of}period BETWEEN :first_period AND :last_period)"


#: SQL for the ids that a statement looks up. As the result of a subquery, they are unknown to the
#: planner, which would otherwise look at each of them for each partition.
IDS = "CAST((SELECT CAST(:ids AS text[])) AS text[])"

#: SQL that finds the rows recorded since a time in few partitions; its parameter:
#: :func:`first_since`.
SINCE_PERIOD = "(period <= 0 OR period >= :first_period)"


def day_at(seconds: float) -> int:
    """Return the day of a time in unix seconds."""
    return int(seconds // DAY_S)


def day_of(id: str) -> int:
    """Return the day of the id's own time."""
    return milliseconds_of(id) // _DAY_MS


def first_since(seconds: float) -> int:
    """Return the lowest day of rows recorded since a time in unix seconds.

    Rows of periods that are not positive may be of any time.
    """
    return day_at(seconds) - FRESH_DAYS - 1


def searched(ids: Iterable[str]) -> dict[str, int]:
    """Return the parameters of :data:`IN_PERIODS` for some ids."""
    with_time = [id for id in ids if id >= _FIRST_WITH_TIME]
    if not with_time:
        return {"first_period": 1, "last_period": 0}
    first, last = 1, _MAX_PERIOD
    lowest, highest = min(with_time), max(with_time)
    if len(lowest) == len(highest) == len(_FIRST_WITH_TIME):
        with suppress(ValueError):  # not all of them are ULIDs
            first, last = day_of(lowest), day_of(highest)
    return {"first_period": min(first, _MAX_PERIOD), "last_period": min(last, _MAX_PERIOD)}


@dataclass(frozen=True, slots=True)
class Periods:
    """The partitions that there are, and so the period under which an id is recorded now."""

    #: First and last day of each partition, in order.
    days: tuple[tuple[int, int], ...] = ()
    #: The same for ids without a time of their own.
    untimed: tuple[tuple[int, int], ...] = ()
    is_partitioned: bool = True
    #: Whether the ledger is about to lose its partitions.
    is_closing: bool = False
    #: Whether there are rows of before it was partitioned.
    has_before: bool = False
    #: By the clock of the database's server, as the times of the rows.
    today: int = field(default_factory=lambda: day_at(time.time()))

    def of(self, ids: Sequence[str]) -> list[int]:
        """Return the period under which to record each id."""
        if not self.is_partitioned or self.is_closing:
            return [BEFORE] * len(ids)
        today = self.today
        if not _covers(self.days, today):
            return [self._of(id) for id in ids]
        low = max(first_id_of(today * _DAY_MS), _FIRST_WITH_TIME)
        high = first_id_of((today + 1) * _DAY_MS)
        return [today if low <= id < high else self._of(id) for id in ids]

    def may_be_elsewhere(self, period: int) -> bool:
        """Return whether an id of this period may be recorded in another partition already."""
        return self.is_partitioned and (period <= KEPT or self.has_before)

    def _of(self, id: str) -> int:
        day = day_of(id)
        is_fresh = self.today - FRESH_DAYS <= day <= self.today + 1
        if is_fresh and id >= _FIRST_WITH_TIME and _covers(self.days, day):
            return day
        if _covers(self.untimed, self.today):
            return -self.today
        # Nobody has made partitions for a while: the latest one takes what comes.
        return -self.untimed[-1][1] if self.untimed else KEPT


def _covers(partitions: tuple[tuple[int, int], ...], day: int) -> bool:
    at = bisect_right(partitions, (day, _MAX_PERIOD)) - 1
    return at >= 0 and day <= partitions[at][1]
