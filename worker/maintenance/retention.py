"""Prune the ledger, settled dead letters and histories by age, in chunks that delay nobody."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

import sqlalchemy as sa
import structlog

from trackrelay.queue.redis_keys import PREFIX
from trackrelay.worker.celery_app.graceful_shutdown import is_ending
from trackrelay.worker.resources import Resources
from trackrelay.worker.storage import (
    acts,
    catalog_rows,
    counters,
    dead_letters,
    finding_records,
    identity_links,
    ledger,
    ledger_partitions,
    plan_violations,
    sent_subjects,
    verdicts,
)

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
    settings = resources.settings
    return {
        "ledger": prune_ledger(
            resources.engine, settings.ledger_retention, settings.dead_letter_retention
        ),
        "dead_letters": _in_chunks(
            resources.engine,
            lambda connection: dead_letters.prune(connection, settings.dead_letter_retention),
        ),
        "sent": _in_chunks(
            resources.engine,
            lambda connection: sent_subjects.prune(connection, settings.verify_window),
        ),
        "verdicts": _in_chunks(
            resources.engine,
            lambda connection: verdicts.prune(connection, settings.verdict_retention),
        ),
        "catalog": _in_chunks(resources.engine, catalog_rows.prune),
        "identities": _in_chunks(resources.engine, identity_links.prune),
        "plan_violations": _in_chunks(resources.engine, plan_violations.prune),
        "findings": _once(resources.engine),
        "counters": _fold_counters(resources.engine),
        "acts": _in_chunks(resources.engine, acts.prune),
    }


def look_after_partitions(
    engine: sa.Engine, retention: timedelta, dead_letter_retention: timedelta
) -> int:
    """Make the ledger's next partitions and drop old ones. Return about how many rows went.

    Do nothing if another user owns the ledger, who then calls `trackrelay ledger prune`.
    """
    try:
        ledger_partitions.drop_left_over(engine, retention)
        if made := ledger_partitions.make_ahead(engine, retention):
            log.info("ledger_partitions_made", partitions=made)
        return ledger.prune(engine, retention, dead_letter_retention)
    except sa.exc.ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) != INSUFFICIENT_PRIVILEGE:
            raise
        log.warning("ledger_partitions_left")
        return 0


def prune_ledger(engine: sa.Engine, retention: timedelta, dead_letter_retention: timedelta) -> int:
    """Delete ledger rows older than ``retention``, and return about how many.

    Rows of deletions and suppressions stay while there is an older dead letter.
    """
    dropped = look_after_partitions(engine, retention, dead_letter_retention)
    return dropped + _in_chunks(
        engine, lambda connection: ledger.prune_rows(connection, retention, dead_letter_retention)
    )


def _once(engine: sa.Engine) -> int:
    with engine.begin() as connection:
        return finding_records.prune(connection, catalog_rows.KEPT_DAYS)


def _fold_counters(engine: sa.Engine) -> int:
    with engine.begin() as connection:
        return counters.fold(connection)


def _in_chunks(engine: sa.Engine, prune: Callable[[sa.Connection], int]) -> int:
    total = 0
    while True:
        with engine.begin() as connection:
            count = prune(connection)
        total += count
        if count == 0 or is_ending():
            return total
