"""Fill Postgres with SQL: a long history in the ledger, the jobs of an outage in the backlog."""

from __future__ import annotations

import time

import sqlalchemy as sa

from trackrelay.worker.storage import ledger_partitions
from trackrelay.worker.storage.ledger_partitions import date_of
from trackrelay.worker.storage.ledger_periods import day_at

# A valid ULID that sorts before new ones: a counting time part and sixteen pseudo-random digits.
_ULID = "upper('01A' || lpad(to_hex(n), 7, '0') || substr(md5(n::text), 1, 16))"

_LETTERS = "'0123456789ABCDEFGHJKMNPQRSTVWXYZ'"
# The ten letters of an id that carry its time in milliseconds.
_TIME = " || ".join(
    f"substr({_LETTERS}, CAST((ms >> {shift}) & 31 AS int) + 1, 1)" for shift in range(45, -1, -5)
)
_LEDGER = """
    INSERT INTO {table}
        (id, key, operation, source, enqueued_at, delivered_at, attempts, period)
    SELECT {time} || upper(substr(md5(n::text), 1, 16)), 'id:' || n % :people, 'person.event',
        'shop', at, at + interval '1 second', 1, :day
    FROM generate_series(CAST(:first AS bigint), :last) AS n,
        LATERAL (SELECT CAST(86400000 * (:day + (n - :start) / CAST(:rows AS float8)) AS bigint)
            AS ms) a,
        LATERAL (SELECT to_timestamp(ms / 1000.0) AS at) b
"""

_BACKLOG = sa.text(f"""
    INSERT INTO trackrelay_backlog (job_id, key, shard, lane, position, due_at, sends, parts, keys,
        shards, operation,
        body, enqueued_at, age_from, since, reason, attempts, max_batch, replayed, history)
    SELECT {_ULID}, key, shard, :lane, n, CASE WHEN n <= :people THEN now() END, true, 1,
        ARRAY[key], ARRAY[shard],
        'person.event', json_build_object('type', 'person', 'action', 'event', 'identifiers',
            json_build_object('id', person::text), 'name', 'order_completed',
            'id', {_ULID}, 'timestamp',
            floor(extract(epoch FROM now()))::bigint, 'attributes', CAST(:attributes AS json)),
        now(), now(), now(), 'breaker', 0, 1000, false, '[]'
    FROM generate_series(CAST(1 AS bigint), :rows) AS n,
        LATERAL (SELECT n % :people AS person) a,
        LATERAL (SELECT 'id:' || person AS key) b,
        LATERAL (SELECT CAST(crc32(convert_to(key, 'UTF8')) % :shards AS int) AS shard) c
""")

#: Rows per statement, so that sorting for the indexes needs little memory.
_CHUNK = 1_000_000


def fill_ledger(engine: sa.Engine, rows: int, *, people: int = 100_000, days: int = 20) -> None:
    """Insert deliveries of the last ``days``, the same number for each."""
    today = day_at(time.time())
    per_day = max(1, rows // days)
    for number, day in enumerate(range(today - days + 1, today + 1)):
        start = number * per_day + 1
        _fill_day(engine, day, start, per_day, people)
    ledger_partitions.forget_known(engine)
    _settle(engine, "trackrelay_ledger")


def _fill_day(engine: sa.Engine, day: int, start: int, rows: int, people: int) -> None:
    name = f"trackrelay_ledger_day_{date_of(day):%Y%m%d}"
    with engine.begin() as connection:
        for setting in ("maintenance_work_mem = '1GB'", "synchronous_commit = off"):
            connection.exec_driver_sql(f"SET LOCAL {setting}")
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {name}")
        connection.exec_driver_sql(
            f"CREATE TABLE {name} (LIKE trackrelay_ledger INCLUDING DEFAULTS, "
            f"CHECK (period = {day}))"
        )
        statement = sa.text(_LEDGER.format(table=name, time=_TIME))
        for first in range(start, start + rows, _CHUNK):
            last = min(start + rows, first + _CHUNK) - 1
            values = {"first": first, "last": last, "start": start, "rows": rows}
            connection.execute(statement, values | {"day": day, "people": people})
        # Building the indices afterwards takes a fraction of the time.
        connection.exec_driver_sql(f"ALTER TABLE {name} ADD CONSTRAINT pk_{name} PRIMARY KEY (id)")
        # Attaching builds those of the whole table.
        connection.exec_driver_sql(
            f"ALTER TABLE trackrelay_ledger ATTACH PARTITION {name} "
            f"FOR VALUES FROM ({day}) TO ({day + 1})"
        )


def fill_one_table(engine: sa.Engine, rows: int, *, people: int = 100_000, days: int = 20) -> None:
    """Insert the same deliveries into a ledger without partitions."""
    table, today = "trackrelay_ledger", day_at(time.time())
    per_day = max(1, rows // days)
    with engine.begin() as connection:
        for setting in ("maintenance_work_mem = '1GB'", "synchronous_commit = off"):
            connection.exec_driver_sql(f"SET LOCAL {setting}")
        chosen = sa.text("SELECT indexdef FROM pg_indexes WHERE tablename = :table")
        indexes = connection.execute(chosen, {"table": table}).scalars().all()
        connection.exec_driver_sql(f"ALTER TABLE {table} RENAME TO empty_ledger")
        connection.exec_driver_sql(f"CREATE TABLE {table} (LIKE empty_ledger INCLUDING DEFAULTS)")
        connection.exec_driver_sql("DROP TABLE empty_ledger")
        # The rows have no day here, and their time is in their id.
        statement = sa.text(
            _LEDGER.format(table=table, time=_TIME).replace(" 1, :day\n", " 1, 0\n")
        )
        for number, day in enumerate(range(today - days + 1, today + 1)):
            start = number * per_day + 1
            for first in range(start, start + per_day, _CHUNK):
                last = min(start + per_day, first + _CHUNK) - 1
                values = {"first": first, "last": last, "start": start, "rows": per_day}
                connection.execute(statement, values | {"day": day, "people": people})
        for index in indexes:
            connection.exec_driver_sql(index)
    _settle(engine, table)


def fill_backlog(
    engine: sa.Engine,
    rows: int,
    attributes: str,
    *,
    shards: int,
    people: int = 10_000,
    lane: str = "live",
) -> None:
    """Insert the events of an outage, ``rows / people`` per person; the first of each is due.

    Args:
        attributes: the events' data, a JSON object.
    """
    values = {
        "rows": rows,
        "attributes": attributes,
        "shards": shards,
        "people": min(people, rows),
        "lane": lane,
    }
    with engine.begin() as connection:
        connection.execute(_BACKLOG, values)
        connection.execute(
            sa.text("UPDATE trackrelay_shards SET next_position = :next"), {"next": rows + 1}
        )
    _settle(engine, "trackrelay_backlog")


def _settle(engine: sa.Engine, table: str) -> None:
    # A real table of this size would have been analyzed by autovacuum.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"VACUUM (ANALYZE) {table}")
        connection.exec_driver_sql("CHECKPOINT")
