"""Give the present ledger partitions while delivery continues, and take them away again.

Each step can be repeated; after an interruption the same command goes on where it stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import sqlalchemy as sa

from . import ledger_partitions, ledger_rotation
from .ledger_partitions import BEFORE_TABLE, CLOSING, KEPT_TABLE, LEDGER, Partitions
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
    SELECT CAST(CAST(indexrelid AS regclass) AS text) AS name, pg_get_indexdef(indexrelid) AS
        definition
    FROM pg_index WHERE indrelid = to_regclass('trackrelay_ledger')
""")
_GRANTS = sa.text("""
    SELECT DISTINCT a.privilege_type AS privilege, coalesce(quote_ident(r.rolname), 'PUBLIC') AS
        grantee
    FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a
    LEFT JOIN pg_roles r ON r.oid = a.grantee
    WHERE c.oid = to_regclass(:name) AND a.grantee <> c.relowner
""")
_CHILDREN = sa.text(
    "SELECT count(*) FROM pg_inherits WHERE inhparent = to_regclass('trackrelay_ledger')"
)


class BusyError(Exception):
    """The tables could not be locked in time. Nothing was changed; try again."""


class ForeignPartitionError(Exception):
    """The ledger has a partition whose rows trackrelay does not know, and would drop."""


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
        has_check = connection.execute(_HAS_CHECK).scalar()
    if present.is_closing:
        _at_leisure(engine, f"COMMENT ON TABLE {LEDGER} IS NULL")
    if not present.is_partitioned:
        note("Preparing the table; delivery goes on …")
        _prepare(engine, has_check is not None)
        note("Exchanging the tables …")
        _exclusively(engine, _take_in)
    ledger_partitions.forget_known(engine)
    # Also if an earlier attempt came no further than the exchange.
    ledger_rotation.make_ahead(engine, retention)
    return present.is_closing or not present.is_partitioned


def _prepare(engine: sa.Engine, has_check: bool) -> None:
    if not has_check:
        add = f"ALTER TABLE {LEDGER} ADD CONSTRAINT {_CHECK} CHECK (period = {BEFORE}) NOT VALID"
        _exclusively(engine, lambda connection: connection.exec_driver_sql(add))
    # Both read the whole table, and lock nobody out.
    validate = f"ALTER TABLE {LEDGER} VALIDATE CONSTRAINT {_CHECK}"
    try:
        _at_leisure(engine, validate)
    except sa.exc.IntegrityError:
        # A worker that was stopped for long came back after partitions had been removed, and
        # recorded a job as if there were some.
        _at_leisure(engine, f"UPDATE {LEDGER} SET period = {BEFORE} WHERE period <> {BEFORE}")
        _at_leisure(engine, validate)
    name, definition = _INDEXES[-1]
    with _explained_locks():
        _index_without_lock(engine, f"ix_{LEDGER}_{name}", definition)


def _take_in(connection: sa.Connection) -> None:
    """Make the present table a partition of a new one."""
    run = connection.exec_driver_sql
    run(f"ALTER TABLE {LEDGER} RENAME TO {BEFORE_TABLE}")
    run(f"ALTER INDEX pk_{LEDGER} RENAME TO pk_{BEFORE_TABLE}")
    for name, _ in _INDEXES:
        run(f"ALTER INDEX ix_{LEDGER}_{name} RENAME TO ix_{BEFORE_TABLE}_{name}")
    like = f"(LIKE {BEFORE_TABLE} INCLUDING DEFAULTS INCLUDING COMMENTS)"
    ledger_rotation.create(
        connection, LEDGER, f"{like} PARTITION BY RANGE (period)", like=BEFORE_TABLE
    )
    run(f"ALTER TABLE {LEDGER} ALTER COLUMN period SET DEFAULT {KEPT}")
    run(
        f"ALTER TABLE {LEDGER} ATTACH PARTITION {BEFORE_TABLE} "
        f"FOR VALUES FROM ({BEFORE}) TO ({BEFORE + 1})"
    )
    for name, definition in _INDEXES:
        # Each takes the index of the attached table, and builds none.
        run(f"CREATE INDEX ix_{LEDGER}_{name} ON {LEDGER} {definition}")
    ledger_rotation.attach(connection, KEPT_TABLE, f"FROM ({KEPT}) TO ({KEPT + 1})")
    _grant_as(connection, BEFORE_TABLE)


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
        ForeignPartitionError: there is a partition that trackrelay did not make.
    """
    with engine.connect() as connection:
        if not ledger_partitions.read(connection).is_partitioned:
            return False
    present = _close(engine)
    ledger_partitions.forget_known(engine)
    began = time.monotonic()
    others = [each for each in present.all if each.first != BEFORE]
    for each in others:
        note(f"Moving about {each.rows:,} rows of {each.name} …")
        _empty(engine, each.name)
    note("Waiting until each worker knows of it …")
    if known_after_s is None:
        known_after_s = ledger_partitions.REREAD_S
    time.sleep(max(0.0, began + known_after_s - time.monotonic()))
    names = [each.name for each in others]
    for name in names:
        _empty(engine, name)
    note("Exchanging the tables …")
    _exclusively(engine, lambda connection: _put_back(connection, names))
    ledger_partitions.forget_known(engine)
    return True


def _close(engine: sa.Engine) -> Partitions:
    """From now on, workers record everything in one partition, within a minute.

    Return the partitions. No more of them are made.
    """
    with (
        _explained_locks(),
        ledger_rotation.brief(engine, ledger_rotation.LOCK_TIMEOUT_MS) as connection,
    ):
        ledger_rotation.change_alone(connection)
        present = ledger_partitions.read(connection)
        for name in present.foreign:
            raise ForeignPartitionError(
                f"{name} is a partition that trackrelay did not make: detach it first"
            )
        for name in present.detaching:
            raise ForeignPartitionError(
                f"{name} is half detached: complete that with "
                f"`ALTER TABLE {LEDGER} DETACH PARTITION {name} FINALIZE` first"
            )
        if all(each.first != BEFORE for each in present.all):
            if BEFORE_TABLE in ledger_partitions.detached(connection):
                raise ForeignPartitionError(
                    f"{BEFORE_TABLE} is detached: `trackrelay ledger prune` drops it when its rows "
                    "are old enough, or rename it"
                )
            ledger_rotation.attach(connection, BEFORE_TABLE, f"FROM ({BEFORE}) TO ({BEFORE + 1})")
        connection.exec_driver_sql(f"COMMENT ON TABLE {LEDGER} IS '{CLOSING}'")
        return present


def _empty(engine: sa.Engine, name: str) -> None:
    """Move all rows of a partition, then let a scan of it be short."""
    after, moved = "", False
    which = f"WHERE id > :after ORDER BY id LIMIT {MOVED_ROWS}"
    # In the order of ids: each piece would else begin with the dead rows of those before it.
    move = sa.text(ledger_rotation.moving(name, BEFORE_TABLE, BEFORE, which))
    while True:
        with engine.begin() as connection:
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            ids = connection.execute(move, {"after": after}).scalars().all()
        if not ids:
            break
        after, moved = max(ids), True
    if moved:
        # Not worth to wait for somebody who holds the partition.
        with suppress(BusyError), _explained_locks(), _unlimited(engine) as connection:
            connection.exec_driver_sql(f"VACUUM {name}")


def _put_back(connection: sa.Connection, others: list[str]) -> None:
    """Make the partition that has all rows the table itself."""
    run = connection.exec_driver_sql
    if connection.execute(_CHILDREN).scalar_one() != len(others) + 1:
        raise BusyError("somebody has changed the partitions meanwhile: try again")
    for name in others:
        # Rows that came meanwhile are few, and move under the lock.
        run(ledger_rotation.moving(name, BEFORE_TABLE, BEFORE))
    run(f"ALTER TABLE {LEDGER} DETACH PARTITION {BEFORE_TABLE}")
    for name, _ in _INDEXES:
        run(f"ALTER INDEX IF EXISTS ix_{LEDGER}_{name} RENAME TO ix_{LEDGER}_dropped_{name}")
    run(f"ALTER TABLE {LEDGER} RENAME TO {LEDGER}_dropped")
    run(f"ALTER TABLE {BEFORE_TABLE} RENAME TO {LEDGER}")
    run(f"ALTER INDEX pk_{BEFORE_TABLE} RENAME TO pk_{LEDGER}")
    run(f"ALTER TABLE {LEDGER} ALTER COLUMN period SET DEFAULT {BEFORE}")
    run(f"ALTER TABLE {LEDGER} DROP CONSTRAINT IF EXISTS {_CHECK}")
    _grant_as(connection, f"{LEDGER}_dropped")
    _name_indexes(connection)
    run(f"DROP TABLE {LEDGER}_dropped")


def _exclusively(engine: sa.Engine, change: Callable[[sa.Connection], object]) -> None:
    """Change the tables in one transaction that holds the ledger alone."""
    for attempt in range(_ATTEMPTS):
        try:
            with ledger_rotation.brief(engine, EXCHANGE_TIMEOUT_MS) as connection:
                connection.exec_driver_sql(f"LOCK TABLE {LEDGER} IN ACCESS EXCLUSIVE MODE")
                change(connection)
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


def _grant_as(connection: sa.Connection, other: str) -> None:
    for grant in connection.execute(_GRANTS, {"name": other}).all():
        connection.exec_driver_sql(f"GRANT {grant.privilege} ON {LEDGER} TO {grant.grantee}")


def _at_leisure(engine: sa.Engine, statement: str) -> None:
    """Execute a statement that may take long, and locks nobody out."""
    with _explained_locks(), engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        connection.exec_driver_sql(statement)


@contextmanager
def _explained_locks() -> Iterator[None]:
    try:
        yield
    except sa.exc.OperationalError as error:
        if not ledger_partitions.is_lock_timeout(error):
            raise
        raise BusyError(
            "another statement holds the ledger for long, such as a vacuum, a long transaction, "
            "or an earlier attempt that the server still executes: see pg_stat_activity, and try "
            "again"
        ) from error


@contextmanager
def _unlimited(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Yield a connection for a statement that is no part of a transaction, and may take long."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("SET statement_timeout = 0")
        try:
            yield connection
        finally:
            # After Ctrl-C or the end of the server, there is no session to reset.
            with suppress(sa.exc.SQLAlchemyError):
                connection.exec_driver_sql("RESET statement_timeout")


def _index_without_lock(engine: sa.Engine, name: str, definition: str) -> None:
    with _unlimited(engine) as connection:
        valid = connection.execute(_INDEX, {"name": name}).scalar()
        if valid:
            return
        if valid is False:  # an attempt was interrupted
            connection.exec_driver_sql(f"DROP INDEX CONCURRENTLY {name}")
        connection.exec_driver_sql(f"CREATE INDEX CONCURRENTLY {name} ON {LEDGER} {definition}")


def _name_indexes(connection: sa.Connection) -> None:
    # Postgres chose the names of a partition's indices.
    for index in connection.execute(_PRESENT_INDEXES).all():
        for name, definition in _INDEXES:
            if definition.replace("USING", "").split(" WHERE")[0].strip() in index.definition and (
                ("operation" in definition) == ("operation" in index.definition)
            ):
                wanted = f"ix_{LEDGER}_{name}"
                if index.name.rpartition(".")[2] != wanted:
                    connection.exec_driver_sql(f"ALTER INDEX {index.name} RENAME TO {wanted}")
