"""A catalog in memory, with the same counts as the table in Postgres."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.support.retention_traffic import NOW, Call
from trackrelay.worker.quality.catalog import Catalog, catalog_of
from trackrelay.worker.quality.catalog_observer import OBSERVED, CatalogObserver, Observation
from trackrelay.worker.storage.queries.catalog_query import CatalogRow


class CatalogMemory:
    """Adds observations as `trackrelay.worker.storage.catalog_rows` does."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str, str, str, str], CatalogRow] = {}

    def add(self, observations: Sequence[Observation]) -> None:
        """Add observations."""
        added = {each.subject: each.jobs for each in observations if each.type == OBSERVED}
        before = {
            subject: row.count
            for subject in added
            if (row := self.rows.get((*subject, "", OBSERVED)))
        }
        for each in observations:
            start = before.get(each.subject, 0)
            end = start + added.get(each.subject, 0)
            key = (*each.subject, each.path, each.type)
            old = self.rows.get(key)
            self.rows[key] = CatalogRow(
                *key,
                count=each.jobs + (old.count if old else 0),
                bytes=each.size + (old.bytes if old else 0),
                first_at=old.first_at if old else start,
                last_at=max(end, old.last_at if old else 0),
                first_seen=NOW,
                last_seen=NOW,
            )


def observed(calls: Iterable[Call], flush_after: int = 5_000, together: int = 500) -> Catalog:
    """Return the catalog of calls that one worker process delivers, as fast as it is allowed to.

    Args:
        calls: the calls.
        flush_after: the calls between two writes.
        together: the calls that are read at once, at most 500.
    """
    memory, moment = CatalogMemory(), [0.0]
    observer = CatalogObserver(memory.add, clock=lambda: moment[0])
    batch: list[Call] = []
    for number, call in enumerate(calls, 1):
        batch.append(call)
        if len(batch) == together:
            observer.note([each.job() for each in batch], NOW)
            # As many jobs a second as are observed without choosing.
            moment[0] += 2.0
            batch = []
        if number % flush_after == 0:
            observer.flush()
    observer.note([each.job() for each in batch], NOW)
    observer.flush()
    return catalog_of(memory.rows.values())
