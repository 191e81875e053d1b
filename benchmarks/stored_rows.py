"""Fill Postgres with SQL: a long history in the ledger, the jobs of an outage in the backlog."""

from __future__ import annotations

import sqlalchemy as sa

# A valid ULID that sorts before new ones: a counting time part and sixteen pseudo-random digits.
_ULID = "upper('01A' || lpad(to_hex(n), 7, '0') || substr(md5(n::text), 1, 16))"

_INDEXES = sa.text("""
    SELECT indexname AS name, indexdef AS definition FROM pg_indexes
    WHERE tablename = 'trackrelay_ledger' AND indexname <> 'pk_trackrelay_ledger'
""")

_LEDGER = sa.text(f"""
    INSERT INTO trackrelay_ledger (id, key, operation, source, enqueued_at, delivered_at, attempts)
    SELECT {_ULID}, 'id:' || n % :people, 'person.event', 'shop', at, at + interval '1 second', 1
    FROM generate_series(CAST(:first AS bigint), :last) AS n,
        LATERAL (
            SELECT now() - make_interval(secs => :oldest_s * (1 - n / CAST(:rows AS float8))) AS at
        ) moment
""")

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


def fill_ledger(engine: sa.Engine, rows: int, *, people: int = 100_000, days: float = 20) -> None:
    """Insert deliveries of the last ``days``, all too young for pruning."""
    with engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL maintenance_work_mem = '512MB'")
        # Build the indexes afterwards in one sort; row by row takes several times as long.
        indexes = connection.execute(_INDEXES).all()
        for index in indexes:
            connection.exec_driver_sql(f"DROP INDEX {index.name}")
        connection.exec_driver_sql(
            "ALTER TABLE trackrelay_ledger DROP CONSTRAINT pk_trackrelay_ledger"
        )
        for first in range(1, rows + 1, _CHUNK):
            last = min(rows, first + _CHUNK - 1)
            connection.execute(
                _LEDGER,
                {
                    "first": first,
                    "last": last,
                    "rows": rows,
                    "people": people,
                    "oldest_s": days * 86_400,
                },
            )
        connection.exec_driver_sql(
            "ALTER TABLE trackrelay_ledger ADD CONSTRAINT pk_trackrelay_ledger PRIMARY KEY (id)"
        )
        for index in indexes:
            connection.exec_driver_sql(index.definition)
    _settle(engine, "trackrelay_ledger")


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
