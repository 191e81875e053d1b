"""Pruning: the ledger and settled dead letters by age, in chunks that hold nobody up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import sqlalchemy as sa

from .pool_process import is_ending
from .resources import Resources
from .store import dead_letters, ledger


def prune_all(resources: Resources) -> dict[str, int]:
    """Delete what has been kept long enough; returns how many rows of each."""
    settings = resources.settings
    return {
        "ledger": prune_ledger(resources.engine, settings.ledger_retention, settings.dead_letter_retention),
        "dead_letters": _in_chunks(
            resources.engine, lambda connection: dead_letters.prune(connection, settings.dead_letter_retention)
        ),
    }


def prune_ledger(engine: sa.Engine, retention: timedelta, dead_letter_retention: timedelta) -> int:
    """Delete ledger rows older than ``retention``, deletes and suppressions only when no dead letter is older."""
    return _in_chunks(engine, lambda connection: ledger.prune(connection, retention, dead_letter_retention))


def _in_chunks(engine: sa.Engine, prune: Callable[[sa.Connection], int]) -> int:
    total = 0
    while True:
        with engine.begin() as connection:
            count = prune(connection)
        total += count
        if count == 0 or is_ending():
            return total
