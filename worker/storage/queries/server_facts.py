"""The database server, our privileges there, and how much the tables hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from weakref import WeakSet

import sqlalchemy as sa

from trackrelay.worker.storage import ledger_partitions, ledger_rotation
from trackrelay.worker.storage.ledger import PRUNABLE, ages
from trackrelay.worker.storage.ledger_periods import KEPT

_SERVER = sa.text("""
    SELECT current_setting('server_version') AS version,
        CAST(extract(epoch FROM clock_timestamp()) AS float8) AS now,
        pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS read_only
""")
_STANDBYS = sa.text("""
    SELECT count(*) AS connected,
        -- Without pg_read_all_stats, the states of others' sessions are NULL.
        count(*) FILTER (WHERE coalesce(sync_state, 'sync') IN ('sync', 'quorum')) AS synchronous,
        current_setting('synchronous_standby_names') <> ''
            AND current_setting('synchronous_commit') NOT IN ('off', 'local') AS commits_wait
    FROM pg_stat_replication
""")
_TIMELINE = sa.text("SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)")
_MISSING_PRIVILEGES = sa.text("""
    SELECT name FROM unnest(CAST(:tables AS text[])) AS name
    WHERE to_regclass(quote_ident(name)) IS NULL
        OR EXISTS (
            SELECT 1 FROM unnest(CAST('{SELECT,INSERT,UPDATE,DELETE}' AS text[])) AS privilege
            WHERE NOT has_table_privilege(quote_ident(name), privilege))
""")
_TOTALS = sa.text("""
    SELECT (SELECT count(*) FROM trackrelay_ledger) AS ledger,
        (SELECT count(DISTINCT job_id) FROM trackrelay_backlog) AS backlog,
        (SELECT count(*) FROM trackrelay_dead_letters) AS dead_letters
""")
_BACKLOG_SIZE = sa.text("SELECT count(*) FROM trackrelay_backlog WHERE sends")
_PRUNABLE = sa.text(f"""
    SELECT count(*) FROM trackrelay_ledger
    WHERE (NOT :is_partitioned OR period = {KEPT}) AND {PRUNABLE}
""")


@dataclass(frozen=True, slots=True)
class Server:
    """What the server reports about itself."""

    version: str
    #: Unix seconds.
    now: float
    read_only: bool


def server(connection: sa.Connection) -> Server:
    """Return the facts of the server."""
    row = connection.execute(_SERVER).one()
    return Server(str(row.version).split()[0], row.now, bool(row.read_only))


#: Engines whose server does not tell its timeline, as some managed ones.
_without_timeline: WeakSet[sa.Engine] = WeakSet()


def timeline(connection: sa.Connection) -> str | None:
    """Return the timeline of the server's write-ahead log, which changes when a standby takes over.

    None if the server does not tell. The transaction cannot be used after this.
    """
    if connection.engine in _without_timeline:
        return None
    try:
        return str(connection.execute(_TIMELINE).scalar_one())
    except sa.exc.DBAPIError as error:
        # Insufficient privilege, undefined function, feature not supported.
        if getattr(error.orig, "sqlstate", None) not in ("42501", "42883", "0A000"):
            raise
        _without_timeline.add(connection.engine)
        return None


@dataclass(frozen=True, slots=True)
class Standbys:
    """The servers that replicate this one."""

    connected: int
    #: How many of them are synchronous; all of them if our user may not see that.
    synchronous: int
    #: Whether commits of our user wait for them.
    commits_wait: bool


def standbys(connection: sa.Connection) -> Standbys:
    """Return the facts of replication."""
    row = connection.execute(_STANDBYS).one()
    return Standbys(row.connected, row.synchronous, bool(row.commits_wait))


def missing_privileges(connection: sa.Connection, tables: Sequence[str]) -> list[str]:
    """Return those of ``tables`` that do not exist, or that we may not read and write."""
    parameters = {"tables": list(tables)}
    return [row.name for row in connection.execute(_MISSING_PRIVILEGES, parameters)]


def totals(connection: sa.Connection) -> dict[str, int]:
    """Return how many of each thing the tables hold, by its name in the singular."""
    row = connection.execute(_TOTALS).one()
    return {"ledger row": row.ledger, "waiting job": row.backlog, "dead letter": row.dead_letters}


def backlog_size(connection: sa.Connection) -> int:
    """Return the number of jobs in the backlog."""
    return int(connection.execute(_BACKLOG_SIZE).scalar_one())


def prunable(
    connection: sa.Connection, retention: timedelta, dead_letter_retention: timedelta
) -> int:
    """Return about how many rows of the ledger pruning would delete now."""
    present = ledger_partitions.read(connection)
    droppable = ledger_rotation.droppable(present, retention)
    values = ages(retention, dead_letter_retention) | {"is_partitioned": present.is_partitioned}
    rows = connection.execute(_PRUNABLE, values).scalar_one()
    return int(rows) + sum(
        each.rows
        for each in droppable
        if not ledger_rotation.has_young_rows(connection, each.name, retention)
    )
