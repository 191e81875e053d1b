"""Give the present ledger partitions while delivery goes on, and take them away again.

Each step can be repeated; after an interruption the same command goes on where it stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

import sqlalchemy as sa

from . import ledger_partitions
from .ledger_partitions import BEFORE_TABLE, CLOSING, KEPT_TABLE, LEDGER
from .ledger_periods import BEFORE, KEPT

#: How long the exchange of the tables may wait for its lock, and so delay delivery.
EXCHANGE_TIMEOUT_MS = 2_000
#: Rows that are moved in one transaction.
MOVED_ROWS = 20_000
#: How often the exchange is tried, and seconds between two attempts.
_ATTEMPTS = 10
_PAUSE_S = 1.0

Note = Callable[[str], None]

_INDEXES = (
    ("delivered_at", "USING brin (delivered_at)"),
    ("idempotency_key", "(idempotency_key) WHERE idempotency_key IS NOT NULL"),
    ("key_enqueued_at", "(key, enqueued_at)"),
    ("other_key", "(other_key) WHERE other_key IS NOT NULL"),
    ("removals", "(delivered_at) WHERE operation IN ('person.delete', 'person.suppress')"),
)
_CHECK = "ck_trackrelay_ledger_before"
_HAS_CHECK = sa.text("""
    SELECT convalidated FROM pg_constraint
    WHERE conrelid = to_regclass('trackrelay_ledger') AND conname = 'ck_trackrelay_ledger_before'
""")
_INDEX = sa.text("""
    SELECT i.indisvalid FROM pg_index i WHERE i.indexrelid = to_regclass(:name)
""")
_PRESENT_INDEXES = sa.text("""
    SELECT indexname AS name, indexdef AS definition FROM pg_indexes
    WHERE schemaname = current_schema() AND tablename = 'trackrelay_ledger'
""")
_GRANTS = sa.text("""
    SELECT DISTINCT a.privilege_type AS privilege, coalesce(quote_ident(r.rolname), 'PUBLIC') AS
        grantee
    FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a
    LEFT JOIN pg_roles r ON r.oid = a.grantee
    WHERE c.oid = to_regclass(:name) AND a.grantee <> c.relowner
""")


class BusyError(Exception):
    """The tables could not be locked in time. Nothing was changed; try again."""


def partition(engine: sa.Engine, retention: timedelta, note: Note) -> bool:
    """Give the ledger partitions. The rows that it has stay in one of them until they are old.

    Workers of an older version can no longer record deliveries after this.

    Args:
        engine: whose user owns the ledger.
        retention: how long rows are kept.
        note: told each step in plain words.

    Returns:
        whether the ledger had no partitions before.

    Raises:
        BusyError: long statements hold the table.
    """
    with engine.connect() as connection:
        present = ledger_partitions.read(connection)
        if present.is_closing:
            _alone(engine, f"COMMENT ON TABLE {LEDGER} IS NULL")
            ledger_partitions.forget_known(engine)
        if present.is_partitioned:
            return present.is_closing
        has_check = connection.execute(_HAS_CHECK).scalar()
    note("Preparing the table; delivery goes on …")
    if has_check is None:
        _exclusively(
            engine,
            f"ALTER TABLE {LEDGER} ADD CONSTRAINT {_CHECK} CHECK (period = {BEFORE}) NOT VALID",
        )
    # Both read the whole table, and lock nobody out.
    _alone(engine, f"ALTER TABLE {LEDGER} VALIDATE CONSTRAINT {_CHECK}")
    name, definition = _INDEXES[-1]
    _index_without_lock(engine, f"ix_{LEDGER}_{name}", definition)
    note("Exchanging the tables …")
    _exclusively(
        engine,
        f"ALTER TABLE {LEDGER} RENAME TO {BEFORE_TABLE}",
        f"ALTER INDEX pk_{LEDGER} RENAME TO pk_{BEFORE_TABLE}",
        *(
            f"ALTER INDEX ix_{LEDGER}_{name} RENAME TO ix_{BEFORE_TABLE}_{name}"
            for name, _ in _INDEXES
        ),
        f"CREATE TABLE {LEDGER} (LIKE {BEFORE_TABLE} INCLUDING DEFAULTS INCLUDING COMMENTS) "
        "PARTITION BY RANGE (period)",
        f"ALTER TABLE {LEDGER} ALTER COLUMN period SET DEFAULT {KEPT}",
        f"ALTER TABLE {LEDGER} ATTACH PARTITION {BEFORE_TABLE} "
        f"FOR VALUES FROM ({BEFORE}) TO ({BEFORE + 1})",
        # Each takes the index of the attached table, and builds none.
        *(f"CREATE INDEX ix_{LEDGER}_{name} ON {LEDGER} {how}" for name, how in _INDEXES),
        _kept_table(),
        grants_of=BEFORE_TABLE,
    )
    ledger_partitions.forget_known(engine)
    ledger_partitions.make_ahead(engine, retention)
    return True


def unpartition(engine: sa.Engine, note: Note, known_after_s: float | None = None) -> bool:
    """Make one table of the ledger again. All rows are copied, in pieces, while delivery goes on.

    Args:
        engine: whose user owns the ledger.
        note: told each step in plain words.
        known_after_s: after how many seconds each worker knows that the partitions go; default: as
            long as a worker relies on what it has read.

    Returns:
        whether the ledger had partitions before.

    Raises:
        BusyError: long statements hold a table.
    """
    with engine.connect() as connection:
        present = ledger_partitions.read(connection)
    if not present.is_partitioned:
        return False
    if not present.is_closing:
        if all(each.first != BEFORE for each in present.all):
            with engine.begin() as connection:
                ledger_partitions.attach(
                    connection, BEFORE_TABLE, f"FROM ({BEFORE}) TO ({BEFORE + 1})"
                )
        # From now on, workers record everything in that partition, within a minute.
        _alone(engine, f"COMMENT ON TABLE {LEDGER} IS '{CLOSING}'")
    ledger_partitions.forget_known(engine)
    began = time.monotonic()
    others = [each for each in present.all if each.first != BEFORE]
    for each in others:
        note(f"Moving about {each.rows:,} rows of {each.name} …")
        while _move(engine, each.name, MOVED_ROWS):
            pass
    note("Waiting until each worker knows of it …")
    if known_after_s is None:
        known_after_s = ledger_partitions.REREAD_S
    time.sleep(max(0.0, began + known_after_s - time.monotonic()))
    note("Exchanging the tables …")
    # Rows that came meanwhile are few, and move under the lock.
    _exclusively(
        engine,
        *(ledger_partitions.moving(each.name, BEFORE_TABLE, BEFORE) for each in others),
        f"ALTER TABLE {LEDGER} DETACH PARTITION {BEFORE_TABLE}",
        *(
            f"ALTER INDEX IF EXISTS ix_{LEDGER}_{name} RENAME TO ix_{LEDGER}_dropped_{name}"
            for name, _ in _INDEXES
        ),
        f"ALTER TABLE {LEDGER} RENAME TO {LEDGER}_dropped",
        f"ALTER TABLE {BEFORE_TABLE} RENAME TO {LEDGER}",
        f"ALTER INDEX pk_{BEFORE_TABLE} RENAME TO pk_{LEDGER}",
        f"ALTER TABLE {LEDGER} ALTER COLUMN period SET DEFAULT {BEFORE}",
        f"ALTER TABLE {LEDGER} DROP CONSTRAINT IF EXISTS {_CHECK}",
        grants_of=f"{LEDGER}_dropped",
        dropped=f"{LEDGER}_dropped",
    )
    ledger_partitions.forget_known(engine)
    return True


def _move(engine: sa.Engine, name: str, rows: int) -> int:
    with engine.begin() as connection:
        moving = ledger_partitions.moving(name, BEFORE_TABLE, BEFORE, f"LIMIT {rows}")
        return connection.execute(sa.text(moving)).rowcount


def _exclusively(
    engine: sa.Engine, *statements: str, grants_of: str = LEDGER, dropped: str = ""
) -> None:
    """Execute statements in one transaction that holds the ledger alone.

    Args:
        grants_of: a table whose privileges the ledger gets; default: it keeps its own.
        dropped: a table that is dropped at the end.
    """
    for attempt in range(_ATTEMPTS):
        try:
            with ledger_partitions.brief(engine, EXCHANGE_TIMEOUT_MS) as connection:
                connection.exec_driver_sql(f"LOCK TABLE {LEDGER} IN ACCESS EXCLUSIVE MODE")
                for statement in statements:
                    connection.exec_driver_sql(statement)
                for grant in connection.execute(_GRANTS, {"name": grants_of}).all():
                    connection.exec_driver_sql(
                        f"GRANT {grant.privilege} ON {LEDGER} TO {grant.grantee}"
                    )
                if dropped:
                    _name_indexes(connection)
                    connection.exec_driver_sql(f"DROP TABLE {dropped}")
            return
        except sa.exc.OperationalError as error:
            if not ledger_partitions.is_lock_timeout(error):
                raise
            if attempt + 1 < _ATTEMPTS:
                time.sleep(_PAUSE_S)
    raise BusyError(
        f"the ledger could not be locked within {EXCHANGE_TIMEOUT_MS / 1000:g} s, "
        f"{_ATTEMPTS} times: long statements use it; see pg_stat_activity, and try again"
    )


def _alone(engine: sa.Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        connection.exec_driver_sql(statement)


def _index_without_lock(engine: sa.Engine, name: str, definition: str) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        valid = connection.execute(_INDEX, {"name": name}).scalar()
        if valid:
            return
        connection.exec_driver_sql("SET statement_timeout = 0")
        try:
            if valid is False:  # an attempt was interrupted
                connection.exec_driver_sql(f"DROP INDEX CONCURRENTLY {name}")
            connection.exec_driver_sql(f"CREATE INDEX CONCURRENTLY {name} ON {LEDGER} {definition}")
        finally:
            connection.exec_driver_sql("RESET statement_timeout")


def _name_indexes(connection: sa.Connection) -> None:
    # Postgres chose the names of a partition's indices.
    for index in connection.execute(_PRESENT_INDEXES).all():
        for name, definition in _INDEXES:
            if definition.replace("USING", "").split(" WHERE")[0].strip() in index.definition and (
                ("operation" in definition) == ("operation" in index.definition)
            ):
                wanted = f"ix_{LEDGER}_{name}"
                if index.name != wanted:
                    connection.exec_driver_sql(f"ALTER INDEX {index.name} RENAME TO {wanted}")


def _kept_table() -> str:
    return (
        f"CREATE TABLE {KEPT_TABLE} PARTITION OF {LEDGER} "
        f"(CONSTRAINT pk_{KEPT_TABLE} PRIMARY KEY (id)) FOR VALUES FROM ({KEPT}) TO ({KEPT + 1})"
    )
