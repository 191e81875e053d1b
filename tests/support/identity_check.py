"""Observe a shop's people in memory and in Postgres, and return what is wrong with their names.

By hand, on a database of its own that `trackrelay migrate` has set up::

    python -m tests.support.identity_check DATABASE_URL [CALLS]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from tests.support.catalog_memory import CatalogMemory
from tests.support.people_traffic import ACCIDENTS, Accident, People
from tests.support.retention_traffic import NOW
from trackrelay.worker.quality.all_rules import findings
from trackrelay.worker.quality.catalog_observer import CatalogObserver
from trackrelay.worker.quality.identity_notes import IdentityNotes
from trackrelay.worker.quality.identity_rules import identity_findings
from trackrelay.worker.quality.order_notes import OrderNotes
from trackrelay.worker.quality.rules import Severity
from trackrelay.worker.quality.state_notes import StateNotes
from trackrelay.worker.settings import sqlalchemy_url
from trackrelay.worker.storage import identity_links
from trackrelay.worker.storage.identity_links import Link
from trackrelay.worker.storage.key_hasher import KeyHasher
from trackrelay.worker.storage.queries.identity_query import identities

#: Writes of one run.
FLUSHES = 60
_PAST = sa.text("""
    UPDATE trackrelay_identities SET
        first_seen = CASE WHEN first_seen > now() - interval '1 h' THEN :at ELSE first_seen END,
        last_seen = CASE WHEN last_seen > now() - interval '1 h' THEN :at ELSE last_seen END
    WHERE last_seen > now() - interval '1 h'
""")


def findings_of(engine: sa.Engine, count: int, accidents: Sequence[Accident]) -> list[str]:
    """Return the keys of findings above info in traffic with accidents. Empties the table."""
    with engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM trackrelay_identities"))
        connection.execute(sa.text("DELETE FROM trackrelay_state WHERE name = 'identities'"))
    hasher, memory, moment = KeyHasher(b"secret"), CatalogMemory(), [0.0]
    with engine.connect() as connection:
        clock: datetime = connection.execute(sa.text("SELECT now()")).scalar_one()

    def store(links: Sequence[tuple[Link, str]]) -> int:
        limit = identity_links.add(engine, links)
        # As if it had been written when the jobs were delivered.
        at = clock - timedelta(hours=2, seconds=NOW - memory.now)
        with engine.begin() as connection:
            connection.execute(_PAST, {"at": at})
        return limit

    notes: Any = (
        IdentityNotes(hasher.hidden, store, clock=lambda: moment[0]),
        OrderNotes(hasher.digest),
        StateNotes(),
    )
    observer = CatalogObserver(memory.add, clock=lambda: moment[0], notes=notes)
    people = People(count, hasher.stored, tuple(accidents))
    for number, call in enumerate(people.calls(), 1):
        observer.note([call.job()], call.at)
        moment[0] += 1.0
        if number % (count // FLUSHES) == 0:
            memory.now = call.at
            observer.flush()
    memory.now = NOW
    observer.flush()
    catalog = memory.catalog()
    with engine.connect() as connection:
        found = [*findings(catalog, NOW), *identity_findings(identities(connection), catalog)]
    return [each.key for each in found if each.severity != Severity.INFO]


def main(url: str, count: int) -> None:
    """Print what is found of each accident alone, of all together, and in clean traffic."""
    engine = sa.create_engine(sqlalchemy_url(url))
    runs: list[tuple[str, tuple[Accident, ...]]] = [("clean", ())]
    runs += [(each.name, (each,)) for each in ACCIDENTS]
    for name, accidents in runs:
        started = time.process_time()
        found = findings_of(engine, count, accidents)
        seconds = time.process_time() - started
        expected = [each.finding for each in accidents]
        right = all(any(key.startswith(each) for key in found) for each in expected)
        print(f"{name}: {'ok' if right else 'MISSED'} {seconds:.0f} s {found}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 200_000)
