"""The ledger's partitions: which there are, what a process knows of them, and what is wrong.

:mod:`.ledger_rotation` makes and drops them.
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

from .ledger_periods import BEFORE, Periods, day_at

LEDGER = "trackrelay_ledger"
KEPT_TABLE = f"{LEDGER}_kept"
BEFORE_TABLE = f"{LEDGER}_before"

#: How long the ledger keeps rows, unless the caller knows the setting.
LEDGER_RETENTION = timedelta(days=30)
#: How long a process relies on what it read about the partitions.
REREAD_S = 60.0

#: SQLSTATE of a row that fits no partition.
_NO_PARTITION = "23514"
#: SQLSTATE of a lock that was not to be had in time.
_LOCK_TIMEOUT = "55P03"

_TABLE = sa.text("""
    SELECT CAST(relkind AS text) AS kind, coalesce(obj_description(oid, 'pg_class'), '') AS comment,
        CAST(extract(epoch FROM clock_timestamp()) AS float8) AS now
    FROM pg_class WHERE oid = to_regclass('trackrelay_ledger')
""")
# Without the partition's oid, `pg_get_expr` does not lock it. Every settlement may read this, and
# somebody may hold an old partition for hours, as VACUUM FULL does.
_PARTITIONS = sa.text("""
    SELECT CAST(CAST(c.oid AS regclass) AS text) AS name, pg_get_expr(c.relpartbound, 0) AS bounds,
        i.inhdetachpending AS is_detaching,
        greatest(CAST(c.reltuples AS bigint), pg_stat_get_live_tuples(c.oid)) AS rows
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = to_regclass('trackrelay_ledger')
""")
_SIZES = sa.text("""
    SELECT CAST(CAST(inhrelid AS regclass) AS text) AS name,
        pg_total_relation_size(inhrelid) AS size
    FROM pg_inherits WHERE inhparent = to_regclass('trackrelay_ledger')
""")
_BOUNDS = re.compile(r"FROM \('?(-?\d+)'?\) TO \('?(-?\d+)'?\)")
_DETACHED = sa.text(r"""
    SELECT CAST(CAST(c.oid AS regclass) AS text) AS name
    FROM pg_class c JOIN pg_class l ON l.relnamespace = c.relnamespace
    WHERE l.oid = to_regclass('trackrelay_ledger') AND c.relkind = 'r' AND NOT c.relispartition
        AND c.relname ~ '^trackrelay_ledger_(before|(day|untimed)_\d{8})$'
    ORDER BY 1
""")
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
    #: Rows, as the server last estimated them.
    rows: int = 0

    @property
    def last_day(self) -> int | None:
        """The latest day in it; None for the two that are of no day."""
        if self.first > 0:
            return self.last
        return -self.first if self.last < BEFORE else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Partitions:
    """All partitions of the ledger, none if it is one table."""

    all: tuple[Partition, ...] = ()
    #: Partitions that an interrupted ``DETACH … CONCURRENTLY`` has left. Nothing reads or writes
    #: them any more.
    detaching: tuple[str, ...] = ()
    #: Partitions that somebody else made, with other bounds than ours.
    foreign: tuple[str, ...] = ()
    is_partitioned: bool = False
    is_closing: bool = False
    #: When they were read, by the server's clock, in unix seconds.
    now: float

    @property
    def days(self) -> list[Partition]:
        """Those for days, in order."""
        return sorted((each for each in self.all if each.first > 0), key=lambda each: each.first)

    @property
    def untimed(self) -> list[Partition]:
        """Those for ids without a time of their own, in order."""
        found = [each for each in self.all if each.last < BEFORE]
        return sorted(found, key=lambda each: -each.last)

    @property
    def covered_days(self) -> tuple[tuple[int, int], ...]:
        """First and last day of those for days, in order."""
        return tuple((each.first, each.last) for each in self.days)

    @property
    def covered_untimed(self) -> tuple[tuple[int, int], ...]:
        """The same of those for ids without a time of their own."""
        return tuple((-each.last, -each.first) for each in self.untimed)

    def periods(self, today: int) -> Periods:
        """Return what decides under which period an id is recorded."""
        return Periods(
            days=self.covered_days,
            untimed=self.covered_untimed,
            is_partitioned=self.is_partitioned,
            is_closing=self.is_closing,
            has_before=any(each.first == BEFORE for each in self.all),
            today=today,
        )


@dataclass(frozen=True, slots=True)
class _Known:
    """What a process has read of the partitions."""

    periods: Periods
    #: The server's clock and this process's day when it was read, and until when that counts.
    server_offset: float
    own_day: int
    until: float

    def is_current(self) -> bool:
        now = time.monotonic()
        return (
            now < self.until
            and day_at(self.server_offset + now) == self.periods.today
            and day_at(time.time()) == self.own_day
        )


_known: WeakKeyDictionary[sa.Engine, _Known] = WeakKeyDictionary()
_known_lock = threading.Lock()


def read(connection: sa.Connection) -> Partitions:
    """Read which partitions there are, without waiting for any lock."""
    table = connection.execute(_TABLE).one_or_none()
    if table is None or table.kind != "p":
        return Partitions(now=time.time() if table is None else table.now)
    found: list[Partition] = []
    detaching: list[str] = []
    foreign: list[str] = []
    for row in connection.execute(_PARTITIONS):
        bounds = _BOUNDS.search(row.bounds or "")
        if row.is_detaching:
            detaching.append(row.name)
        elif bounds is not None:
            first, end = map(int, bounds.groups())
            found.append(Partition(name=row.name, first=first, last=end - 1, rows=row.rows))
        elif row.bounds:  # None: it was detached while this statement ran
            foreign.append(row.name)
    return Partitions(
        all=tuple(found),
        detaching=tuple(detaching),
        foreign=tuple(foreign),
        is_partitioned=True,
        is_closing=table.comment == CLOSING,
        now=table.now,
    )


def sizes(connection: sa.Connection) -> dict[str, int]:
    """Return the bytes of each partition with all its indices, by name."""
    return {row.name: row.size for row in connection.execute(_SIZES)}


def detached(connection: sa.Connection) -> list[str]:
    """Return the tables that were partitions of the ledger, and are not dropped yet."""
    return list(connection.execute(_DETACHED).scalars())


def periods(connection: sa.Connection) -> Periods:
    """Return the periods in which jobs are recorded now, as read a minute ago at most."""
    with _known_lock:
        known = _known.get(connection.engine)
    if known is not None and known.is_current():
        return known.periods
    own_day, now = day_at(time.time()), time.monotonic()
    present = read(connection)
    current = present.periods(day_at(present.now))
    with _known_lock:
        _known[connection.engine] = _Known(current, present.now - now, own_day, now + REREAD_S)
    return current


def forget_known(engine: sa.Engine) -> None:
    """Read the partitions anew at the next occasion."""
    with _known_lock:
        _known.pop(engine, None)


@contextmanager
def relying_on_known(connection: sa.Connection) -> Iterator[None]:
    """Execute a statement that relies on known partitions. If it fails, read them anew."""
    try:
        yield
    except sa.exc.IntegrityError:
        forget_known(connection.engine)
        raise


def lacks_partition(error: BaseException) -> bool:
    """Return whether there was no partition for a row: somebody has dropped or detached it."""
    return _sqlstate(error) == _NO_PARTITION


def is_lock_timeout(error: BaseException) -> bool:
    """Return whether a lock was not to be had in time."""
    return _sqlstate(error) == _LOCK_TIMEOUT


def _sqlstate(error: BaseException) -> str | None:
    return getattr(getattr(error, "orig", None), "sqlstate", None)


# -- what is wrong


def problem(connection: sa.Connection, now: float | None = None) -> str | None:
    """Say in one sentence what is wrong with the partitions, or return None.

    Args:
        connection: of the workers' database.
        now: in unix seconds; default: by the server's clock.
    """
    present = read(connection)
    if not present.is_partitioned:
        return None
    if present.detaching:
        name = present.detaching[0]
        return (
            f"the partition {name} of the ledger is half detached, and no repeat of its jobs is "
            f"recognised: complete it with `ALTER TABLE {LEDGER} DETACH PARTITION {name} "
            "FINALIZE`, and attach it again unless you meant to remove it"
        )
    if present.is_closing:
        return (
            "the ledger is losing its partitions, and nothing is pruned until then: let "
            "`trackrelay ledger unpartition` end, run it again if it was interrupted, or keep the "
            "partitions with `trackrelay ledger partition`"
        )
    today = day_at(present.now if now is None else now)
    missing = min(
        (
            day
            for day in (today, today + 1)
            for covered in (present.covered_days, present.covered_untimed)
            if not any(first <= day <= last for first, last in covered)
        ),
        default=None,
    )
    if missing is None:
        return None
    later = "" if _has_later(present, missing) else " and later"
    return (
        f"the ledger has no partitions for {date_of(missing):%Y-%m-%d}{later}; "
        f"{_why_missing(connection)}"
    )


def _has_later(present: Partitions, day: int) -> bool:
    return any(
        covered and covered[-1][1] > day
        for covered in (present.covered_days, present.covered_untimed)
    )


def _why_missing(connection: sa.Connection) -> str:
    if not connection.execute(_OWNED).scalar_one():
        return (
            "this user may not make them: run `trackrelay ledger prune` daily as the owner of the "
            "tables, or let the workers' user own them"
        )
    why = "nobody has made them: does beat run?"
    if names := detached(connection):
        why += f" {_listed(names)} was detached: attach it again or rename it"
    return why


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def date_of(day: int) -> date:
    """Return the date of a day that is counted from 1970."""
    return date.fromordinal(date(1970, 1, 1).toordinal() + day)
