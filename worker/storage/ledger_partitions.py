"""The ledger's partitions: which there are, those that are made ahead, those that are dropped.

Nothing here reads or deletes row by row what is too old, and nothing waits for a lock that delays
delivery: a partition is attached beside running statements, and detached within
:data:`DETACH_TIMEOUT_MS` or later.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from weakref import WeakKeyDictionary

import sqlalchemy as sa

from .advisory_lock import PARTITIONS_LOCK
from .ledger_periods import BEFORE, FRESH_DAYS, KEPT, Periods, day_at
from .tables import LEDGER as COLUMNS

LEDGER = "trackrelay_ledger"
KEPT_TABLE = f"{LEDGER}_kept"
BEFORE_TABLE = f"{LEDGER}_before"

#: How long the ledger keeps rows, unless the caller knows the setting.
LEDGER_RETENTION = timedelta(days=30)
#: Days for which partitions exist ahead, in case nobody can make new ones for a while.
AHEAD_DAYS = 7
#: How many partitions a retention has about: of days, and of ids without a time. The latter are all
#: searched for each job.
MOST_DAYS, MOST_UNTIMED = 30, 4
#: How long detaching may wait for its lock, and so delay others. Then it is tried again later.
DETACH_TIMEOUT_MS = 300
#: How long anything else may wait for its lock. It delays nobody.
_LOCK_TIMEOUT_MS = 5_000
#: How long a process relies on what it read about the partitions.
REREAD_S = 60.0

_KIND = sa.text("""
    SELECT CAST(relkind AS text) AS kind, coalesce(obj_description(oid, 'pg_class'), '') AS comment
    FROM pg_class WHERE oid = to_regclass('trackrelay_ledger')
""")
_PARTITIONS = sa.text("""
    SELECT c.relname AS name, pg_get_expr(c.relpartbound, c.oid) AS bounds,
        greatest(CAST(c.reltuples AS bigint), pg_stat_get_live_tuples(c.oid)) AS rows,
        pg_total_relation_size(c.oid) AS size
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = to_regclass('trackrelay_ledger')
""")
_BOUNDS = re.compile(r"FROM \('?(-?\d+)'?\) TO \('?(-?\d+)'?\)")

# Detached, and not dropped any more because something came between.
_LEFT_OVER = sa.text(r"""
    SELECT c.relname AS name FROM pg_class c JOIN pg_class l ON l.relnamespace = c.relnamespace
    WHERE l.oid = to_regclass('trackrelay_ledger') AND c.relkind = 'r' AND NOT c.relispartition
        AND c.relname ~ '^trackrelay_ledger_(day|untimed)_\d{8}$'
""")
_ALONE = sa.text("SELECT pg_advisory_xact_lock(:lock)")
_OWNED = sa.text("""
    SELECT pg_has_role(relowner, 'USAGE') AND has_schema_privilege(relnamespace, 'CREATE')
    FROM pg_class WHERE oid = to_regclass('trackrelay_ledger')
""")

#: What a comment on the ledger says while its partitions are being removed.
CLOSING = "trackrelay: the partitions of this table are being removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """One partition of the ledger."""

    name: str
    #: The first and the last period in it.
    first: int
    last: int
    #: Rows, as the server last estimated them, and bytes with all indices.
    rows: int = 0
    size: int = 0

    @property
    def last_day(self) -> int | None:
        """The latest day in it; None for the two that are of no day."""
        if self.first > 0:
            return self.last
        return -self.first if self.last < BEFORE else None


@dataclass(frozen=True, slots=True)
class Partitions:
    """All partitions of the ledger, none if it is one table."""

    all: tuple[Partition, ...]
    is_partitioned: bool
    is_closing: bool = False

    @property
    def days(self) -> list[Partition]:
        """Those for days, in order."""
        return sorted((each for each in self.all if each.first > 0), key=lambda each: each.first)

    @property
    def untimed(self) -> list[Partition]:
        """Those for ids without a time of their own, in order."""
        found = [each for each in self.all if each.last < BEFORE]
        return sorted(found, key=lambda each: -each.last)

    def periods(self, today: int) -> Periods:
        """Return what decides under which period an id is recorded."""
        return Periods(
            days=tuple((each.first, each.last) for each in self.days),
            untimed=tuple((-each.last, -each.first) for each in self.untimed),
            is_partitioned=self.is_partitioned,
            is_closing=self.is_closing,
            has_before=any(each.first == BEFORE for each in self.all),
            today=today,
        )


_known: WeakKeyDictionary[sa.Engine, tuple[Periods, float]] = WeakKeyDictionary()
_known_lock = threading.Lock()


def read(connection: sa.Connection) -> Partitions:
    """Read which partitions there are."""
    table = connection.execute(_KIND).one_or_none()
    if table is None or table.kind != "p":
        return Partitions((), is_partitioned=False)
    found = []
    for row in connection.execute(_PARTITIONS):
        # None: it was detached while this statement ran.
        bounds = _BOUNDS.search(row.bounds or "")
        if bounds is not None:
            first, end = map(int, bounds.groups())
            found.append(
                Partition(name=row.name, first=first, last=end - 1, rows=row.rows, size=row.size)
            )
    return Partitions(tuple(found), is_partitioned=True, is_closing=table.comment == CLOSING)


def periods(connection: sa.Connection) -> Periods:
    """Return the periods in which jobs are recorded now, as read a minute ago at most."""
    today, now = day_at(time.time()), time.monotonic()
    with _known_lock:
        known = _known.get(connection.engine)
    if known is not None and known[0].today == today and now < known[1]:
        return known[0]
    current = read(connection).periods(today)
    with _known_lock:
        _known[connection.engine] = (current, now + REREAD_S)
    return current


def forget_known(engine: sa.Engine) -> None:
    """Read the partitions anew at the next occasion."""
    with _known_lock:
        _known.pop(engine, None)


# -- partitions that are made ahead


def make_ahead(
    engine: sa.Engine,
    retention: timedelta,
    now: float | None = None,
    ahead_days: int = AHEAD_DAYS,
) -> list[str]:
    """Make the partitions of the next days, and return their names.

    Args:
        engine: whose user owns the ledger.
        retention: how long rows are kept; how many days a partition has follows from it.
        now: in unix seconds.
        ahead_days: for how many days after today.

    Raises:
        SQLAlchemyError: the user may not create tables, or the database is away.
    """
    today = day_at(time.time() if now is None else now)
    with engine.connect() as connection:
        present = read(connection)
        if not present.is_partitioned or present.is_closing:
            return []
    made = []
    for kind, partitions, most in (
        ("day", present.days, MOST_DAYS),
        ("untimed", present.untimed, MOST_UNTIMED),
    ):
        span = max(1, -(-retention.days // most))
        newest = max((each.last_day or 0 for each in partitions), default=today - FRESH_DAYS - 1)
        for first in _missing(newest, today, today + ahead_days, span):
            made += _make(engine, kind, first, first + span - 1)
    if made:
        forget_known(engine)
    return made


def _missing(newest: int, today: int, last: int, span: int) -> Iterator[int]:
    # After a pause the days that nobody made partitions for are covered, too: ids may be of them.
    first = max(newest + 1, today - FRESH_DAYS)
    while first <= last:
        yield first
        first += span


def _make(engine: sa.Engine, kind: str, first: int, last: int) -> list[str]:
    name = f"{LEDGER}_{kind}_{date_of(first):%Y%m%d}"
    bounds = f"FROM ({first}) TO ({last + 1})"
    if kind == "untimed":
        bounds = f"FROM ({-last}) TO ({-first + 1})"
    with brief(engine, _LOCK_TIMEOUT_MS) as connection:
        connection.execute(_ALONE, {"lock": PARTITIONS_LOCK})
        # Attaching a table that is ready locks nobody out; CREATE … PARTITION OF would.
        exists = connection.execute(sa.text("SELECT to_regclass(:name)"), {"name": name}).scalar()
        if exists is not None:
            return []
        attach(connection, name, bounds)
    return [name]


def attach(connection: sa.Connection, name: str, bounds: str) -> None:
    """Make a partition of the ledger. The caller commits.

    Args:
        bounds: ``FROM (…) TO (…)``.
    """
    connection.exec_driver_sql(
        f"CREATE TABLE {name} (LIKE {LEDGER} INCLUDING ALL, CONSTRAINT pk_{name} PRIMARY KEY (id))"
    )
    connection.exec_driver_sql(f"ALTER TABLE {LEDGER} ATTACH PARTITION {name} FOR VALUES {bounds}")


# -- partitions that are dropped


def drop_old(
    engine: sa.Engine, retention: timedelta, still_needed: str, values: dict[str, float]
) -> int:
    """Drop the partitions whose rows are all older than ``retention``, and return their rows.

    Rows that are still needed move to the partition of kept rows first. The number of rows is the
    server's estimate.

    Args:
        engine: whose user owns the ledger.
        retention: how long rows are kept.
        still_needed: SQL for the rows of such a partition that must stay.
        values: its parameters.
    """
    with engine.connect() as connection:
        present = read(connection)
    if not present.is_partitioned or present.is_closing:
        return 0
    rows = 0
    for each in droppable(present, retention):
        if not _has_young_rows(engine, each.name, retention):
            keep_needed(engine, each.name, still_needed, values)
            if detach(engine, each.name):
                drop(engine, each.name)
                rows += each.rows
    return rows


def drop_left_over(engine: sa.Engine, retention: timedelta) -> None:
    """Drop old partitions that were detached, if something came between."""
    with engine.connect() as connection:
        names = connection.execute(_LEFT_OVER).scalars().all()
    for name in names:
        # An operator may have detached it, and that is no reason to drop it.
        if not _has_young_rows(engine, name, retention):
            drop(engine, name)


def droppable(present: Partitions, retention: timedelta) -> list[Partition]:
    """Return the partitions whose days are over for long enough. Some may have younger rows."""
    oldest = day_at(time.time() - retention.total_seconds())
    return [
        each
        for each in present.all
        if each.first != KEPT and (each.last_day is None or each.last_day < oldest)
    ]


def _has_young_rows(engine: sa.Engine, name: str, retention: timedelta) -> bool:
    # Through the BRIN index of the times of delivery, which follow the order of the rows.
    young = sa.text(
        f"SELECT EXISTS (SELECT 1 FROM {name} "
        "WHERE delivered_at > now() - make_interval(secs => :retention_s))"
    )
    with engine.connect() as connection:
        return bool(
            connection.execute(young, {"retention_s": retention.total_seconds()}).scalar_one()
        )


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
    """Return the statement that moves rows from one partition to another.

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
        SELECT 1 FROM moved
    """


def detach(engine: sa.Engine, name: str) -> bool:
    """Detach a partition, unless that takes too long. Return whether it is detached."""
    try:
        # Waits for a vacuum of the old table, or ends it, and delays nobody. Detaching would wait
        # for the vacuum while all others wait for the detaching.
        with brief(engine, _LOCK_TIMEOUT_MS) as connection:
            connection.exec_driver_sql(f"ALTER TABLE {name} SET (autovacuum_enabled = off)")
        with brief(engine, DETACH_TIMEOUT_MS) as connection:
            connection.exec_driver_sql(f"ALTER TABLE {LEDGER} DETACH PARTITION {name}")
    except sa.exc.OperationalError as error:
        if not is_lock_timeout(error):
            raise
        return False
    forget_known(engine)
    return True


def drop(engine: sa.Engine, name: str) -> None:
    """Drop a table that was a partition."""
    with brief(engine, _LOCK_TIMEOUT_MS) as connection:
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {name}")


def is_lock_timeout(error: sa.exc.DBAPIError) -> bool:
    """Return whether a lock was not to be had in time."""
    return getattr(error.orig, "sqlstate", None) == "55P03"


@contextmanager
def brief(engine: sa.Engine, lock_timeout_ms: int) -> Iterator[sa.Connection]:
    """Yield a connection whose transaction waits so long for a lock at most."""
    with engine.begin() as connection:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {lock_timeout_ms}")
        yield connection


# -- what is wrong


def problem(connection: sa.Connection, now: float) -> str | None:
    """Say in one sentence what is wrong with the partitions, or return None."""
    present = read(connection)
    if not present.is_partitioned:
        return None
    today = day_at(now)
    newest = min((_newest(each) for each in (present.days, present.untimed)), default=0)
    if newest > today:
        return None
    newest = max(newest, today - 1)
    why = (
        "nobody has made them: does beat run?"
        if connection.execute(_OWNED).scalar_one()
        else "this user may not make them: run `trackrelay ledger prune` daily as the owner of the "
        "tables, or let the workers' user own them"
    )
    return f"the ledger has no partitions for {date_of(newest + 1):%Y-%m-%d} and later; {why}"


def _newest(partitions: Sequence[Partition]) -> int:
    return max((each.last_day or 0 for each in partitions), default=0)


def date_of(day: int) -> date:
    """Return the date of a day that is counted from 1970."""
    return date.fromordinal(date(1970, 1, 1).toordinal() + day)
