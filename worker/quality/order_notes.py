"""Note which events are about the same order: by keyed hashes of order ids, in bounded memory.

Only counts leave the memory: how many events had an order, and how many of these another event of
the same order had been seen for shortly before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from trackrelay.worker.storage.stored_job import Job

from . import names
from .catalog_observer import JobData, Observation, Subject

#: Orders in memory. The oldest are forgotten.
MAX_ORDERS = 20_000
#: Events of one order that are remembered.
MAX_EVENTS = 4
#: Events of two applications about one fact come within this time; a shipment comes later.
TOGETHER_S = 300
#: A repetition comes within this time. A later payment for the same order is none.
AGAIN_S = 3_600
#: Characters of an order's id.
MAX_ID = 200

#: Types of rows of the catalog: events with an order, and those whose order was there before.
WITH_ORDER, AGAIN = "with order", "order again"
_OTHER = "order of\t"

Digest = Callable[[str], str]


def other_type(other: Subject) -> str:
    """Return the type of the row that counts orders which another event is about too."""
    return f"{_OTHER}{other.source}\t{other.name}"


def other_of(of_type: str) -> tuple[str, str] | None:
    """Return the application and the name of the other event; None if it is another type."""
    parts = of_type.split("\t")
    return (parts[1], parts[2]) if of_type.startswith(_OTHER) and len(parts) == 3 else None


def is_order_count(of_type: str) -> bool:
    """Return whether a row of the catalog counts orders."""
    return of_type in (WITH_ORDER, AGAIN) or of_type.startswith(_OTHER)


@lru_cache(maxsize=10_000)
def _is_order_id(name: str) -> bool:
    return names.is_order_id(name)


@lru_cache(maxsize=10_000)
def _is_purchase(event: str) -> bool:
    return names.is_purchase(event)


class OrderNotes:
    """The orders that one process has seen lately. The observer calls it, one thread at a time.

    Args:
        digest: turns a text into a keyed digest.
    """

    def __init__(self, digest: Digest) -> None:
        self._digest = digest
        self._orders: dict[str, tuple[tuple[Subject, float], ...]] = {}
        self._counts: Counter[tuple[Subject, str]] = Counter()

    def note(self, subject: Subject, job: Job, data: JobData, now: float) -> None:
        """Note the order that an event is about.

        Args:
            subject: what the catalog counts it under.
            job: a job that is looked at.
            data: its document.
            now: unix seconds.
        """
        if not subject.name or not isinstance(data.attributes, dict):
            return
        order = _order_in(data.attributes)
        if not order:
            return
        at = float(data.timestamp) if type(data.timestamp) is int else now
        digest = self._digest(order)
        before = self._orders.pop(digest, ())
        self._counts[subject, WITH_ORDER] += 1
        for other, other_at in before:
            apart = abs(at - other_at)
            if other == subject:
                self._counts[subject, AGAIN] += apart <= AGAIN_S
            elif apart <= TOGETHER_S and (_is_purchase(subject.name) or _is_purchase(other.name)):
                self._counts[subject, other_type(other)] += 1
                self._counts[other, other_type(subject)] += 1
        others = tuple(each for each in before if each[0] != subject)
        self._orders[digest] = (*others[1 - MAX_EVENTS :], (subject, at))
        if len(self._orders) > MAX_ORDERS:
            del self._orders[next(iter(self._orders))]

    def skipped(self) -> None:
        """Learn that some jobs are not looked at: fewer orders are seen twice then."""

    def observations(self) -> Iterator[Observation]:
        """Yield what is to be counted in the catalog, and forget it."""
        for (subject, of_type), jobs in self._counts.items():
            if jobs:
                yield Observation(subject, "", of_type, jobs)
        self._counts.clear()

    def take(self) -> Callable[[], None]:
        """Return what writes down the rest: nothing else leaves the memory."""
        return lambda: None


def _order_in(attributes: dict[str, Any]) -> str:
    for name, value in attributes.items():
        if type(value) in (str, int) and _is_order_id(name):
            text = str(value)
            return text if len(text) <= MAX_ID else ""
    return ""
