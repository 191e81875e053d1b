"""A catalog in memory, with the same counts as the tables in Postgres."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from tests.support.retention_traffic import NOW, Call
from trackrelay.worker.quality.catalog import Catalog, catalog_of
from trackrelay.worker.quality.catalog_observer import OBSERVED, CatalogObserver, Observation
from trackrelay.worker.quality.order_notes import OrderNotes
from trackrelay.worker.quality.state_notes import StateNotes
from trackrelay.worker.storage.key_hasher import KeyHasher
from trackrelay.worker.storage.queries.catalog_query import CatalogRow, DayRow


class CatalogMemory:
    """Adds observations as `trackrelay.worker.storage.catalog_rows` does."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str, str, str, str], CatalogRow] = {}
        self.days: Counter[tuple[str, str, str, str, int]] = Counter()
        #: When rows are written, in unix seconds.
        self.now = NOW

    def add(self, observations: Sequence[Observation]) -> None:
        """Add observations."""
        added = {each.subject: each.jobs for each in observations if each.type == OBSERVED}
        before = {
            each.subject: row.count if (row := self.rows.get((*each.subject, "", OBSERVED))) else 0
            for each in observations
        }
        for each in observations:
            start = before[each.subject]
            end = start + added.get(each.subject, 0)
            key = (*each.subject, each.path, each.type)
            old = self.rows.get(key)
            gap = int(self.now - old.last_seen) if old else 0
            self.rows[key] = CatalogRow(
                *key,
                count=each.jobs + (old.count if old else 0),
                bytes=each.size + (old.bytes if old else 0),
                first_at=old.first_at if old else start,
                last_at=max(end, old.last_at if old else 0),
                first_seen=old.first_seen if old else self.now,
                last_seen=self.now,
                longest_gap_s=max(gap, old.longest_gap_s if old else 0),
            )
            if each.path or each.type == OBSERVED:
                self.days[*each.subject, each.path, int(self.now // 86_400)] += each.jobs

    def catalog(self) -> Catalog:
        """Return what was added."""
        days = (DayRow(*key, {day: count}) for (*key, day), count in self.days.items())
        return catalog_of(self.rows.values(), days)


def observed(calls: Iterable[Call], flush_after: int = 5_000, together: int = 500) -> Catalog:
    """Return the catalog of calls that one worker process delivers, as fast as it is allowed to.

    Args:
        calls: the calls, in the order of their times.
        flush_after: the calls between two writes.
        together: the calls that are read at once, at most 500.
    """
    memory, moment = CatalogMemory(), [0.0]
    notes = (OrderNotes(KeyHasher(b"secret").digest), StateNotes())
    observer = CatalogObserver(memory.add, clock=lambda: moment[0], notes=notes)
    batch: list[Call] = []
    for number, call in enumerate(calls, 1):
        batch.append(call)
        if len(batch) == together:
            # As many jobs a second as are observed without choosing.
            moment[0] += 2.0
            observer.note([each.job() for each in batch], call.at)
            batch = []
        if number % flush_after == 0:
            memory.now = call.at
            observer.flush()
    if batch:
        moment[0] += 2.0
        memory.now = batch[-1].at
        observer.note([each.job() for each in batch], memory.now)
    observer.flush()
    return memory.catalog()


def spread(calls: Iterable[Call], over_s: float) -> list[Call]:
    """Return calls that are delivered evenly over the last seconds before `NOW`."""
    spread_calls = list(calls)
    for number, call in enumerate(spread_calls, 1):
        call.at = NOW - over_s * (1 - number / len(spread_calls))
    return spread_calls
