"""The rotation of the ledger's partitions: new ones are made ahead, old ones are dropped.

Nothing here reads or deletes row by row what is too old, and nothing waits for a lock that delays
delivery: a partition is attached beside running statements, and detached within
:data:`DETACH_TIMEOUT_MS` or later. Several processes may do this at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import sqlalchemy as sa

from .advisory_lock import PARTITIONS_LOCK
from .ledger_partitions import (
    KEPT_TABLE,
    LEDGER,
    Partition,
    Partitions,
    date_of,
    detached,
    forget_known,
    is_lock_timeout,
    read,
)
from .ledger_periods import FRESH_DAYS, KEPT, day_at
from .tables import LEDGER as COLUMNS

#: Days for which partitions exist ahead, in case nobody can make new ones for a while.
AHEAD_DAYS = 7
#: How many partitions a retention has about: of days, and of ids without a time. The latter are all
#: searched for each job.
MOST_DAYS, MOST_UNTIMED = 30, 4
#: How long detaching may wait for its lock, and so delay others. Then it is tried again later.
DETACH_TIMEOUT_MS = 300
#: How long anything else may wait for its lock. It delays nobody.
LOCK_TIMEOUT_MS = 5_000

_ALONE = sa.text("SELECT pg_advisory_xact_lock(:lock)")
_PLACE = sa.text("""
    SELECT quote_ident(n.nspname) AS schema, quote_ident(r.rolname) AS owner,
        r.rolname = current_user AS is_ours,
        to_regclass(quote_ident(n.nspname) || '.' || CAST(:name AS text)) IS NOT NULL AS exists
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_roles r ON r.oid = c.relowner
    WHERE c.oid = to_regclass(:like)
""")
#: SQL for the time before which rows are old, by the server's clock and by this process's: a clock
#: that is wrong must not delete what is needed. Its parameters: :func:`age`.
OLDEST = "least(now(), to_timestamp(:own_now)) - make_interval(secs => :retention_s)"
#: SQLSTATE of a table that another process has dropped or detached meanwhile.
_GONE = "42P01"


# -- partitions that are made ahead


def make_ahead(
    engine: sa.Engine,
    retention: timedelta,
    now: float | None = None,
    ahead_days: int = AHEAD_DAYS,
) -> list[str]:
    """Make the partitions of the next days, and return their names.

    Days that have none although later ones have are covered, too: a clock may have been wrong, or
    somebody dropped some.

    Args:
        engine: whose user owns the ledger.
        retention: how long rows are kept; how many days a partition has follows from it.
        now: in unix seconds; default: by the server's clock.
        ahead_days: for how many days after today.

    Raises:
        SQLAlchemyError: the user may not create tables, or the database is away.
    """
    with engine.connect() as connection:
        present = read(connection)
    if not present.is_partitioned or present.is_closing:
        return []
    at = present.now if now is None else now
    today = day_at(at)
    # What would be dropped at once is not made.
    first_day = max(today - FRESH_DAYS, day_at(at - retention.total_seconds()))
    made = []
    for kind, covered, most in (
        ("day", present.covered_days, MOST_DAYS),
        ("untimed", present.covered_untimed, MOST_UNTIMED),
    ):
        span = max(1, -(-retention.days // most))
        for first, last in _missing(covered, first_day, today + ahead_days, span):
            made += _make(engine, kind, first, last)
    if made:
        forget_known(engine)
    return made


def _missing(
    covered: Sequence[tuple[int, int]], day: int, end: int, span: int
) -> Iterator[tuple[int, int]]:
    """Yield the first and last day of each partition that is missing, of ``span`` days at most."""
    while day <= end:
        following = next(((first, last) for first, last in covered if last >= day), None)
        if following is not None and following[0] <= day:
            day = following[1] + 1
            continue
        last = day + span - 1 if following is None else min(day + span, following[0]) - 1
        yield day, last
        day = last + 1


def _make(engine: sa.Engine, kind: str, first: int, last: int) -> list[str]:
    name = f"{LEDGER}_{kind}_{date_of(first):%Y%m%d}"
    bounds = f"FROM ({first}) TO ({last + 1})"
    if kind == "untimed":
        bounds = f"FROM ({-last}) TO ({-first + 1})"
    with brief(engine, LOCK_TIMEOUT_MS) as connection:
        change_alone(connection)
        present = read(connection)
        covered = present.covered_days if kind == "day" else present.covered_untimed
        if present.is_closing or any(begin <= last and end >= first for begin, end in covered):
            return []  # another process came first
        if _place(connection, LEDGER, name).exists:
            return []  # it was detached, which `problem` says
        # Attaching a table that is ready locks nobody out; CREATE … PARTITION OF would.
        attach(connection, name, bounds)
    return [name]


def change_alone(connection: sa.Connection) -> None:
    """Let no other process make partitions until this transaction ends."""
    connection.execute(_ALONE, {"lock": PARTITIONS_LOCK})


def attach(connection: sa.Connection, name: str, bounds: str) -> None:
    """Make a partition of the ledger, in its schema and with its owner. The caller commits.

    Args:
        bounds: ``FROM (…) TO (…)``.
    """
    create(
        connection, name, f"(LIKE {LEDGER} INCLUDING ALL, CONSTRAINT pk_{name} PRIMARY KEY (id))"
    )
    connection.exec_driver_sql(f"ALTER TABLE {LEDGER} ATTACH PARTITION {name} FOR VALUES {bounds}")


def create(connection: sa.Connection, name: str, definition: str, like: str = LEDGER) -> None:
    """Create a table in the schema of another one, and with the same owner.

    Whoever changes the partitions may be a superuser, or one of several members of the role that
    owns the ledger. What only they owned, workers could not use.

    Args:
        like: the name of the other table.
    """
    place = _place(connection, like, name)
    connection.exec_driver_sql(f"CREATE TABLE {place.schema}.{name} {definition}")
    if not place.is_ours:
        connection.exec_driver_sql(f"ALTER TABLE {place.schema}.{name} OWNER TO {place.owner}")


def _place(connection: sa.Connection, like: str, name: str) -> sa.Row[tuple[str, str, bool, bool]]:
    return connection.execute(_PLACE, {"like": like, "name": name}).one()


# -- partitions that are dropped


def drop_old(
    engine: sa.Engine, retention: timedelta, still_needed: str, values: dict[str, float]
) -> tuple[int, list[str]]:
    """Drop the partitions whose rows are all older than ``retention``.

    Rows that are still needed move to the partition of kept rows first.

    Args:
        engine: whose user owns the ledger.
        retention: how long rows are kept.
        still_needed: SQL for the rows of such a partition that must stay.
        values: its parameters.

    Returns:
        how many rows went, as the server estimates, and the partitions that long statements use:
        they are dropped later.
    """
    with engine.connect() as connection:
        present = read(connection)
    rows: int = 0
    busy: list[str] = []
    if not present.is_partitioned or present.is_closing:
        return rows, busy
    for each in droppable(present, retention):
        with _gone_meanwhile():
            with engine.begin() as connection:
                if has_young_rows(connection, each.name, retention):
                    continue
            keep_needed(engine, each.name, still_needed, values)
            # With a short retention, a job may still be recorded there at this moment.
            is_written = (each.last_day or 0) >= day_at(present.now) - FRESH_DAYS - 1
            if detach(engine, each.name, retention if is_written else None):
                rows += each.rows
                drop(engine, each.name)
            else:
                busy.append(each.name)
    return rows, busy


def drop_left_over(
    engine: sa.Engine, retention: timedelta, still_needed: str, values: dict[str, float]
) -> list[str]:
    """Drop old partitions that are detached, and return those that have younger rows.

    Something came between when they were to be dropped, or an operator detached them.
    """
    with engine.connect() as connection:
        is_partitioned = read(connection).is_partitioned
        names = detached(connection)
    young = []
    for name in names:
        with _gone_meanwhile():
            with engine.begin() as connection:
                if has_young_rows(connection, name, retention):
                    young.append(name)
                    continue
            if is_partitioned:
                keep_needed(engine, name, still_needed, values)
            drop(engine, name)
    return young


def droppable(present: Partitions, retention: timedelta) -> list[Partition]:
    """Return the partitions whose days are over for long enough. Some may have younger rows.

    They are over by two clocks: one that is wrong must not drop what is needed.
    """
    oldest = day_at(min(time.time(), present.now) - retention.total_seconds())
    return [
        each
        for each in present.all
        if each.first != KEPT and (each.last_day is None or each.last_day < oldest)
    ]


def age(retention: timedelta) -> dict[str, float]:
    """Return the parameters of :data:`OLDEST`."""
    return {"own_now": time.time(), "retention_s": retention.total_seconds()}


def has_young_rows(connection: sa.Connection, name: str, retention: timedelta) -> bool:
    """Return whether a table has rows that are younger than ``retention``, by either clock."""
    young = sa.text(f"SELECT EXISTS (SELECT 1 FROM {name} WHERE delivered_at > {OLDEST})")
    # Through the BRIN index of the times of delivery, which follow the order of the rows. While
    # half of the rows are young, Postgres would expect one soon and read all the older ones.
    connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
    found = connection.execute(young, age(retention)).scalar_one()
    connection.exec_driver_sql("SET LOCAL enable_seqscan TO DEFAULT")
    return bool(found)


def keep_needed(
    engine: sa.Engine, name: str, still_needed: str, values: dict[str, float], chunk: int = 1_000
) -> None:
    """Move the rows that are still needed to the partition of kept rows."""
    move = sa.text(moving(name, KEPT_TABLE, KEPT, f"WHERE {still_needed} LIMIT {chunk}"))
    while True:
        with engine.begin() as connection:
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            if not connection.execute(move, values).rowcount:
                return


def moving(source: str, target: str, period: int, which: str = "") -> str:
    """Return the statement that moves rows from one partition to another, and returns their ids.

    Args:
        source: the name of a partition.
        target: the name of another one.
        period: the period of the latter.
        which: SQL that chooses rows of ``trackrelay_ledger``; default: all.
    """
    columns = ", ".join(each.name for each in COLUMNS.columns if each.name != "period")
    return f"""
        WITH moved AS (
            DELETE FROM {source} WHERE id IN (SELECT id FROM {source} AS {LEDGER} {which})
            RETURNING {columns}),
        kept AS (
            INSERT INTO {target} ({columns}, period) SELECT {columns}, {period} FROM moved
            ON CONFLICT DO NOTHING)
        SELECT id FROM moved
    """


def detach(engine: sa.Engine, name: str, retention: timedelta | None = None) -> bool:
    """Detach a partition, unless that takes too long. Return whether it is detached.

    Args:
        retention: leave it if it has younger rows; default: never mind its rows.
    """
    try:
        # Waits for a vacuum of the old table, or ends it, and delays nobody. Detaching would wait
        # for the vacuum while all others wait for the detaching.
        with brief(engine, LOCK_TIMEOUT_MS) as connection:
            connection.exec_driver_sql(f"ALTER TABLE {name} SET (autovacuum_enabled = off)")
        with brief(engine, DETACH_TIMEOUT_MS) as connection:
            connection.exec_driver_sql(f"ALTER TABLE {LEDGER} DETACH PARTITION {name}")
            if retention is not None and has_young_rows(connection, name, retention):
                connection.rollback()
                return False
    except sa.exc.OperationalError as error:
        if not is_lock_timeout(error):
            raise
        return False
    forget_known(engine)
    return True


def drop(engine: sa.Engine, name: str) -> None:
    """Drop a table that was a partition, unless somebody uses it: then it is dropped later."""
    try:
        with brief(engine, LOCK_TIMEOUT_MS) as connection:
            connection.exec_driver_sql(f"DROP TABLE IF EXISTS {name}")
    except sa.exc.OperationalError as error:
        if not is_lock_timeout(error):
            raise


@contextmanager
def brief(engine: sa.Engine, lock_timeout_ms: int) -> Iterator[sa.Connection]:
    """Yield a connection whose transaction waits so long for a lock at most."""
    with engine.begin() as connection:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {lock_timeout_ms}")
        yield connection


@contextmanager
def _gone_meanwhile() -> Iterator[None]:
    try:
        yield
    except sa.exc.DBAPIError as error:
        # Two processes may prune at once, and each partition is dropped by one of them.
        if getattr(error.orig, "sqlstate", None) != _GONE:
            raise
