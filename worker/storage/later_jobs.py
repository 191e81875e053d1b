"""Jobs that explain why Customer.io has something else than an earlier job sent."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from .ledger_periods import SINCE_PERIOD, first_since
from .pg_values import text_array

_WAITS = sa.text(
    "SELECT EXISTS (SELECT 1 FROM trackrelay_backlog WHERE key = ANY(CAST(:keys AS text[])))"
)

#: Operations that change nothing about people and objects that a comparison sees.
_NO_WRITES = """'person.event', 'person.page', 'person.screen', 'anonymous.event', 'anonymous.page',
    'anonymous.screen', 'delivery.event', 'delivery.metric'"""
_LATER = sa.text(f"""
    SELECT EXISTS (
        SELECT 1 FROM trackrelay_ledger
        WHERE (key = ANY(CAST(:keys AS text[])) OR other_key = ANY(CAST(:keys AS text[])))
            AND {SINCE_PERIOD} AND operation NOT IN ({_NO_WRITES}) AND outcome = 'delivered'
            AND delivered_at >= to_timestamp(:since) AND id <> ALL(CAST(:known AS text[])))
""")

_MERGED = sa.text(f"""
    SELECT EXISTS (
        SELECT 1 FROM trackrelay_ledger
        WHERE (key = ANY(CAST(:keys AS text[])) OR other_key = ANY(CAST(:keys AS text[])))
            AND {SINCE_PERIOD} AND operation = 'person.merge' AND outcome = 'delivered'
            AND delivered_at BETWEEN to_timestamp(:since) AND to_timestamp(:until))
""")


def is_waiting(connection: sa.Connection, keys: Collection[str]) -> bool:
    """Return whether a job of one of ``keys`` is in the backlog."""
    return bool(connection.execute(_WAITS, {"keys": text_array(sorted(keys))}).scalar_one())


def was_written(
    connection: sa.Connection, keys: Collection[str], since: float, known: Collection[str]
) -> bool:
    """Return whether a job that changes one of ``keys`` was delivered.

    Args:
        connection: of the workers' database.
        keys: stored keys.
        since: in unix seconds.
        known: ids of jobs that do not count.
    """
    values = {
        "keys": text_array(sorted(keys)),
        "since": since,
        "first_period": first_since(since),
        "known": text_array(sorted(known)),
    }
    return bool(connection.execute(_LATER, values).scalar_one())


def was_merged(
    connection: sa.Connection, keys: Collection[str], since: float, until: float
) -> bool:
    """Return whether a merge of one of ``keys`` was delivered between two times."""
    values = {
        "keys": text_array(sorted(keys)),
        "since": since,
        "until": until,
        "first_period": first_since(since),
    }
    return bool(connection.execute(_MERGED, values).scalar_one())
