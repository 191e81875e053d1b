"""The idempotency ledger: one row for each delivered job, without its payload."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from trackrelay.operations.registry import ACTIONS
from trackrelay.worker.reasons import LedgerOutcome

from . import ledger_partitions, ledger_rotation
from .ledger_periods import IDS, IN_PERIODS, KEPT, searched
from .ledger_rotation import OLDEST
from .pg_values import number_array, text_array
from .stored_job import Job
from .tables import LEDGER

_INSERT = sa.text(LEDGER.insert("ON CONFLICT DO NOTHING"))

# Jobs that are not sent, because their person was forgotten. Idempotency keys may name the person.
_INSERT_DROPPED = sa.text(
    LEDGER.insert(
        "ON CONFLICT DO NOTHING RETURNING id",
        outcome="CAST(:outcome AS text)",
        attempts="attempts",
        idempotency_key="NULL",
    )
)
# A holder had sent it before it learned of the request, and another process erased it meanwhile.
_IN_PERIODS = IN_PERIODS.format(of="")
_DELIVERED_AFTER_ALL = sa.text(f"""
    UPDATE trackrelay_ledger SET outcome = 'delivered'
    WHERE id = ANY({IDS}) AND {_IN_PERIODS} AND outcome <> 'delivered'
""")

_PROVE_INSERT = sa.text("""
    INSERT INTO trackrelay_ledger (id, key, operation, enqueued_at, delivered_at, attempts, period)
    SELECT :id, 'proof', 'proof', now(), now(), 0, period
    FROM unnest(CAST(:periods AS int[])) AS period ON CONFLICT DO NOTHING
""")
_PROVE_DELETE = sa.text(
    "DELETE FROM trackrelay_ledger WHERE id = :id AND period = ANY(CAST(:periods AS int[]))"
)

# Rows that this transaction inserted, or marked as delivered after all.
_WRITTEN_NOW = sa.text(f"""
    SELECT id FROM trackrelay_ledger
    WHERE id = ANY({IDS}) AND {_IN_PERIODS} AND outcome = 'delivered'
        AND xmin = CAST(pg_current_xact_id() AS xid)
""")

_AMONG = sa.text(f"""
    SELECT id FROM trackrelay_ledger WHERE id = ANY({IDS}) AND {_IN_PERIODS}
""")

_RECORDED_BEFORE = sa.text(f"""
    SELECT id FROM trackrelay_ledger
    WHERE id = ANY({IDS}) AND {_IN_PERIODS} AND delivered_at < now()
""")

#: The operations that remove a person, as a list in SQL. An older operation that is delivered later
#: would create the person again.
REMOVALS = ", ".join(f"'{action.name}'" for action in ACTIONS if action.removes_person)

_IS_REMOVAL = f"operation IN ({REMOVALS})"
# Deletions and suppressions stay while there is a dead letter that must not be replayed past them.
# A discarded one can be replayed, too.
_IS_NEEDED = f"""
    delivered_at >= {OLDEST.replace("retention_s", "longer_s")} OR delivered_at > coalesce(
        (SELECT min(d.enqueued_at) FROM trackrelay_dead_letters d
         WHERE d.state IN ('open', 'replaying', 'discarded')), 'infinity')
"""
PRUNABLE = f"""
    delivered_at < {OLDEST}
    AND (NOT {_IS_REMOVAL} OR NOT ({_IS_NEEDED}))
"""

# Through the table itself: our user may have no privileges on a partition.
_PRUNE = sa.text(f"""
    WITH old AS (
        SELECT id, period FROM trackrelay_ledger
        WHERE (NOT :is_partitioned OR period = {KEPT}) AND {PRUNABLE}
        LIMIT :chunk FOR UPDATE SKIP LOCKED)
    DELETE FROM trackrelay_ledger l USING old
    WHERE (NOT :is_partitioned OR l.period = {KEPT}) AND l.id = old.id AND l.period = old.period
""")

PRUNE_CHUNK = 5_000


def among(connection: sa.Connection, ids: Sequence[str]) -> frozenset[str]:
    """Return those of ``ids`` that were delivered."""
    return frozenset(row.id for row in connection.execute(_AMONG, asked(ids)))


def record(connection: sa.Connection, jobs: Sequence[Job]) -> Sequence[Job]:
    """Record that ``jobs`` were delivered. Existing rows stay.

    Returns:
        the jobs that were not recorded as delivered before.
    """
    if not jobs:
        return ()
    in_order = sorted(jobs, key=lambda job: job.id)
    rows = _new_rows(connection, in_order)
    with ledger_partitions.relying_on_known(connection):
        inserted = connection.execute(_INSERT, rows).rowcount
    if inserted == len(jobs):
        return jobs
    given = asked([job.id for job in in_order])
    new = {row.id for row in connection.execute(_WRITTEN_NOW, given)}
    return list({job.id: job for job in jobs if job.id in new}.values())


def recorded_before(connection: sa.Connection, ids: Sequence[str]) -> frozenset[str]:
    """Return those of ``ids`` that an earlier transaction recorded as delivered."""
    rows = connection.execute(_RECORDED_BEFORE, asked(ids))
    return frozenset(row.id for row in rows)


def record_dropped(
    connection: sa.Connection, jobs: Sequence[Job], outcome: LedgerOutcome
) -> frozenset[str]:
    """Record that ``jobs`` were dropped, and return the ids of the new rows.

    Nothing with their ids is sent any more.
    """
    if not jobs:
        return frozenset()
    in_order = sorted({job.id: job for job in jobs}.values(), key=lambda job: job.id)
    values = _new_rows(connection, in_order) | {"outcome": str(outcome)}
    with ledger_partitions.relying_on_known(connection):
        rows = connection.execute(_INSERT_DROPPED, values)
    return frozenset(row.id for row in rows)


def mark_delivered_after_all(connection: sa.Connection, jobs: Sequence[Job]) -> None:
    """Note that ``jobs`` were delivered, even if they were recorded as dropped meanwhile."""
    if jobs:
        connection.execute(_DELIVERED_AFTER_ALL, asked([job.id for job in jobs]))


def prove_writable(connection: sa.Connection, shard: int, ids: Sequence[str]) -> None:
    """Insert a row where each id would be recorded, and delete it.

    That fails if the disk is full, or if such a partition is locked or missing.
    """
    periods = set(ledger_partitions.periods(connection).of(ids))
    row = {"id": f"proof-{shard}", "periods": number_array(sorted(periods))}
    with ledger_partitions.relying_on_known(connection):
        connection.execute(_PROVE_INSERT, row)
    connection.execute(_PROVE_DELETE, row)


_STILL_NEEDED = f"{_IS_REMOVAL} AND ({_IS_NEEDED})"


def prune(
    engine: sa.Engine, retention: timedelta, dead_letter_retention: timedelta
) -> tuple[int, list[str]]:
    """Drop the partitions with nothing but rows older than ``retention``.

    Rows of deletions and suppressions stay while there is an older dead letter. Call
    :func:`prune_rows` for what is left in the table without a day.

    Returns:
        about how many rows went, and the partitions that long statements use.
    """
    values = ages(retention, dead_letter_retention)
    return ledger_rotation.drop_old(engine, retention, _STILL_NEEDED, values)


def prune_detached(
    engine: sa.Engine, retention: timedelta, dead_letter_retention: timedelta
) -> list[str]:
    """Drop detached partitions of such rows, and return those that have younger ones."""
    values = ages(retention, dead_letter_retention)
    return ledger_rotation.drop_left_over(engine, retention, _STILL_NEEDED, values)


def prune_rows(
    connection: sa.Connection, retention: timedelta, dead_letter_retention: timedelta
) -> int:
    """Delete one chunk of rows older than ``retention``, and return how many.

    They are in the partition of kept rows, or in a ledger without partitions. Call it until it
    returns 0, with a commit after each call.
    """
    values = ages(retention, dead_letter_retention) | {
        "chunk": PRUNE_CHUNK,
        "is_partitioned": ledger_partitions.periods(connection).is_partitioned,
    }
    return connection.execute(_PRUNE, values).rowcount


def ages(retention: timedelta, dead_letter_retention: timedelta) -> dict[str, float]:
    """Return the parameters of :data:`PRUNABLE`."""
    longer = max(retention, dead_letter_retention) + timedelta(days=1)
    return ledger_rotation.age(retention) | {"longer_s": longer.total_seconds()}


def asked(ids: Sequence[str]) -> dict[str, Any]:
    """Return the parameters of a statement that looks ids up in the ledger."""
    return {"ids": text_array(ids)} | searched(ids)


def _new_rows(connection: sa.Connection, jobs: Sequence[Job]) -> dict[str, Any]:
    known = ledger_partitions.periods(connection)
    periods = known.of([job.id for job in jobs])
    # A partition has each id once, so Postgres recognises a repeat in the same one.
    doubtful = [
        job.id for job, period in zip(jobs, periods, strict=True) if known.may_be_elsewhere(period)
    ]
    if doubtful and (present := among(connection, doubtful)):
        jobs = [job for job in jobs if job.id not in present]
        periods = known.of([job.id for job in jobs])
    return LEDGER.inserted(job=jobs, period=periods)
