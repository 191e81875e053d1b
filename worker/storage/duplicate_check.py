"""Look up which jobs are known already: those of a read, and those that an outbox relayed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from trackrelay.queue.redis_keys import Lane
from trackrelay.worker.endpoint_families import ALL_FAMILIES, Family

from .ledger_periods import IDS, IN_PERIODS, searched
from .pg_values import text_array
from .sql_files import sql

_IN_PERIODS = IN_PERIODS.format(of="")
_KNOWN = sql("find_duplicates", ids=IDS, in_periods=_IN_PERIODS)

# The holder of each of a two-key job's shards keeps a row. The job has arrived when all rows exist.
_SETTLED = sa.text(f"""
    SELECT id FROM trackrelay_ledger WHERE id = ANY({IDS}) AND {_IN_PERIODS}
    UNION ALL
    SELECT job_id FROM trackrelay_dead_letters
    WHERE job_id = ANY(CAST(:ids AS text[]))
        AND (:discarded OR state IN ('open', 'replaying'))
    UNION ALL
    SELECT job_id FROM trackrelay_backlog WHERE job_id = ANY(CAST(:ids AS text[]))
    GROUP BY job_id HAVING count(*) >= max(parts)
""")


@dataclass(frozen=True, slots=True)
class DueFilter:
    """Which due jobs of the lane's backlog to look for."""

    #: The lowest position.
    start: int = 0
    families: frozenset[Family] = ALL_FAMILIES


@dataclass(frozen=True, slots=True)
class DuplicateCheck:
    """What the stores know of a read."""

    #: Jobs that were delivered, are dead letters or wait already: duplicates.
    jobs: frozenset[str]
    #: Keys for which an earlier job waits in the backlog.
    waiting_keys: frozenset[str]
    #: Whether the lane's backlog has a due job that matches the filter.
    has_due: bool = False
    #: Which keys of forgotten people are blocked; see ``blocklist``. None: it was not asked.
    block_version: int | None = None
    #: Which tracking plan is in force; see ``plans``. None: it was not asked.
    plan_version: int | None = None


def find_duplicates(
    connection: sa.Connection,
    shard: int,
    lane: Lane,
    ids: Sequence[str],
    keys: Sequence[str],
    due: DueFilter | None = DueFilter(),
) -> DuplicateCheck:
    """Look up ``ids`` in ledger, backlog and dead letters, and ``keys`` in the lane's backlog.

    Args:
        keys: as stored.
        due: which due jobs to look for. None: none.
    """
    if not ids:
        return DuplicateCheck(frozenset(), frozenset())
    rows = connection.execute(
        _KNOWN,
        {
            "ids": text_array(ids),
            "keys": text_array(keys),
            "shard": shard,
            "lane": lane,
            "due_from": due and due.start,
            "families": text_array(sorted(due.families) if due else ()),
            **searched(ids),
        },
    ).all()
    versions = next((row.name.split() for row in rows if row.what == "versions"), (None, None))
    block_version, plan_version = (None if each is None else int(each) for each in versions)
    return DuplicateCheck(
        jobs=frozenset(row.name for row in rows if row.what == "job"),
        waiting_keys=frozenset(row.name for row in rows if row.what == "key"),
        has_due=any(row.what == "due" for row in rows),
        block_version=block_version,
        plan_version=plan_version,
    )


def settled(connection: sa.Connection, ids: Sequence[str], *, discarded: bool) -> set[str]:
    """Return the jobs that were delivered, are dead letters, or have all their backlog rows.

    Args:
        discarded: whether settled dead letters count. Such a letter says that its job has arrived
            once, but a later call with the same id would be delivered.
    """
    if not ids:
        return set()
    parameters = {"ids": list(ids), "discarded": discarded, **searched(ids)}
    return {row.id for row in connection.execute(_SETTLED, parameters)}
