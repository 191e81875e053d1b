"""Prune the ledger, settled dead letters and histories by age, in chunks that delay nobody."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta

import sqlalchemy as sa
import structlog

from trackrelay.queue.redis_keys import PREFIX
from trackrelay.worker.celery_app.graceful_shutdown import is_ending
from trackrelay.worker.resources import Resources
from trackrelay.worker.storage import (
    acts,
    alert_records,
    catalog_rows,
    counters,
    dead_letters,
    finding_records,
    forgotten,
    identity_links,
    incident_log,
    ledger,
    ledger_rotation,
    plan_violations,
    plans,
    sent_subjects,
    verdicts,
)

from .redis_leftovers import remove_leftovers

log = structlog.get_logger("trackrelay.worker")

#: SQLSTATE of a user who does not own the ledger: then the tables' owner makes partitions.
INSUFFICIENT_PRIVILEGE = "42501"

#: How often the fleet prunes, however many beats and workers ask for it.
PRUNE_S = 600.0
PRUNE_KEY = PREFIX + "pruned"


def prune_all(resources: Resources) -> dict[str, int]:
    """Delete what is older than its retention, and return how many rows of each table.

    Do nothing if the fleet pruned a moment ago.
    """
    if not resources.redis.set(PRUNE_KEY, int(time.time()), nx=True, px=int(PRUNE_S * 800)):
        return {}
    engine, settings = resources.engine, resources.settings
    return _each(
        {
            "ledger": lambda: prune_ledger(
                engine, settings.ledger_retention, settings.dead_letter_retention
            ),
            "dead_letters_discarded": lambda: _discard_old_letters(
                engine, settings.open_dead_letter_retention
            ),
            "dead_letters": lambda: _in_chunks(
                engine,
                lambda connection: dead_letters.prune(connection, settings.dead_letter_retention),
            ),
            "sent": lambda: _in_chunks(
                engine, lambda connection: sent_subjects.prune(connection, settings.verify_window)
            ),
            "verdicts": lambda: _in_chunks(
                engine, lambda connection: verdicts.prune(connection, settings.verdict_retention)
            ),
            "catalog": lambda: _in_chunks(engine, catalog_rows.prune),
            "identities": lambda: _in_chunks(engine, identity_links.prune),
            "plan_violations": lambda: _in_chunks(engine, plan_violations.prune),
            "findings": lambda: _once(
                engine, lambda connection: finding_records.prune(connection, catalog_rows.KEPT_DAYS)
            ),
            "counters": lambda: _once(engine, counters.fold),
            "acts": lambda: _in_chunks(engine, acts.prune),
            "incidents": lambda: _once(engine, incident_log.prune),
            "alerts": lambda: _once(engine, alert_records.prune),
            "plans": lambda: _once(engine, plans.prune),
            "forgotten": lambda: _once(
                engine,
                lambda connection: forgotten.prune(connection, settings.forgotten_retention),
            ),
            "redis": lambda: remove_leftovers(resources.redis, engine),
        }
    )


def look_after_partitions(
    engine: sa.Engine, retention: timedelta, dead_letter_retention: timedelta
) -> int:
    """Make the ledger's next partitions and drop old ones. Return about how many rows went.

    Do nothing if another user owns the ledger, who then calls `trackrelay ledger prune`.
    """

    def make_ahead() -> int:
        if made := ledger_rotation.make_ahead(engine, retention):
            log.info("ledger_partitions_made", partitions=made)
        return len(made)

    def prune_detached() -> int:
        if young := ledger.prune_detached(engine, retention, dead_letter_retention):
            log.warning("ledger_partitions_detached", partitions=young)
        return len(young)

    def drop_old() -> int:
        rows, busy = ledger.prune(engine, retention, dead_letter_retention)
        if busy:
            log.warning("ledger_partitions_busy", partitions=busy)
        return rows

    try:
        # A full disk, or a lock on one table, must not prevent what frees the disk.
        # What is detached has names that new partitions may need.
        steps = {"detached": prune_detached, "made": make_ahead, "dropped": drop_old}
        return _each(steps)["dropped"]
    except sa.exc.ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) != INSUFFICIENT_PRIVILEGE:
            raise
        log.warning("ledger_partitions_left")
        return 0


def _each(steps: Mapping[str, Callable[[], int]]) -> dict[str, int]:
    """Take all steps, and return what each returned. If some fail, take the others all the same.

    Raises:
        SQLAlchemyError: the first failure.
    """
    results: dict[str, int] = {}
    failures: list[sa.exc.DBAPIError] = []
    for name, step in steps.items():
        try:
            results[name] = step()
        except sa.exc.DBAPIError as error:
            if error.connection_invalidated:
                raise  # the server is away, for the others too
            failures.append(error)
    if failures:
        raise failures[0]
    return results


def prune_ledger(engine: sa.Engine, retention: timedelta, dead_letter_retention: timedelta) -> int:
    """Delete ledger rows older than ``retention``, and return about how many.

    Rows of deletions and suppressions stay while there is an older dead letter.
    """
    dropped = look_after_partitions(engine, retention, dead_letter_retention)
    return dropped + _in_chunks(
        engine, lambda connection: ledger.prune_rows(connection, retention, dead_letter_retention)
    )


def _discard_old_letters(engine: sa.Engine, retention: timedelta) -> int:
    count = _in_chunks(engine, lambda connection: dead_letters.discard_old(connection, retention))
    if count:
        log.warning("dead_letters_discarded", letters=count, open_for=str(retention))
    return count


def _once(engine: sa.Engine, prune: Callable[[sa.Connection], int]) -> int:
    with engine.begin() as connection:
        return prune(connection)


def _in_chunks(engine: sa.Engine, prune: Callable[[sa.Connection], int]) -> int:
    total = 0
    while True:
        with engine.begin() as connection:
            count = prune(connection)
        total += count
        if count == 0 or is_ending():
            return total
