"""``python -m benchmarks.outbox``: cost of an outbox row, and throughput of the relay."""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import redis
import sqlalchemy as sa

from trackrelay import Operation, Producer, operations
from trackrelay.outbox import Outbox, create_table
from trackrelay.worker.devstack.servers import PostgresProcess, ValkeyProcess
from trackrelay.worker.queue.bootstrap import migrate
from trackrelay.worker.queue.redis_client import connect
from trackrelay.worker.relay.outbox_rows import OutboxRows
from trackrelay.worker.relay.relay_loop import make_loop
from trackrelay.worker.settings import Settings, load
from trackrelay.worker.storage.engine import make_engine

ORDER = sa.text("INSERT INTO shop_order (person, total) VALUES (:person, :total)")
DATA = {"order_id": "A-1001", "total": 129.5, "pad": "x" * 300}


@click.command()
@click.option("--transactions", default=2_000, help="Transactions of each kind.")
@click.option("--rows", default=50_000, help="Rows for the relay.")
def main(transactions: int, rows: int) -> None:
    """Measure the outbox."""
    with (
        PostgresProcess(durable=True) as postgres,
        ValkeyProcess() as valkey,
        tempfile.TemporaryDirectory() as folder,
    ):
        settings = _settings(postgres.url, valkey.url)
        migrate(make_engine(settings), redis.Redis.from_url(valkey.url), 4)
        producer = Producer(redis_url=valkey.url, backend="redis")
        with _application(postgres.url) as engine:
            _report("PostgreSQL, fsync on", _costs(engine, producer, transactions))
        for journal in ("delete", "wal"):
            with _application(f"sqlite:///{Path(folder) / journal}.db", journal) as engine:
                _report(f"SQLite, journal_mode {journal}", _costs(engine, producer, transactions))
        redis.Redis.from_url(valkey.url).flushall()
        migrate(make_engine(settings), redis.Redis.from_url(valkey.url), 4)
        for url in (postgres.url, f"sqlite:///{Path(folder) / 'wal'}.db"):
            with _application(url, "wal") as engine:
                _relay(engine, url, settings, rows)


def _settings(database_url: str, redis_url: str) -> Settings:
    return load({"TRACKRELAY_DATABASE_URL": database_url, "TRACKRELAY_REDIS_URL": redis_url})


@contextmanager
def _application(url: str, journal: str = "") -> Iterator[sa.Engine]:
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql(f"PRAGMA journal_mode = {journal}")
        connection.execute(
            sa.text("CREATE TABLE IF NOT EXISTS shop_order (person text, total numeric)")
        )
        connection.commit()
    create_table(engine)
    yield engine
    engine.dispose()


def _costs(engine: sa.Engine, producer: Producer, transactions: int) -> dict[str, float]:
    """Measure the median microseconds of each kind of transaction, alternating between them."""

    def order(connection: sa.Connection) -> None:
        connection.execute(ORDER, {"person": "42", "total": 129.5})

    def nothing(connection: sa.Connection) -> None:
        order(connection)

    def one(connection: sa.Connection) -> None:
        order(connection)
        Outbox(connection).track("42", "order_completed", DATA)

    def five(connection: sa.Connection) -> None:
        order(connection)
        outbox = Outbox(connection)
        for _ in range(5):
            outbox.track("42", "order_completed", DATA)

    def fifty(connection: sa.Connection) -> None:
        order(connection)
        Outbox(connection).enqueue_all(
            [operations.track("42", "order_completed", DATA) for _ in range(50)]
        )

    def direct(connection: sa.Connection) -> None:
        order(connection)
        producer.track("42", "order_completed", DATA)

    kinds: dict[str, Callable[[sa.Connection], None]] = {
        "no job": nothing,
        "1 job": one,
        "5 jobs, one by one": five,
        "50 jobs at once": fifty,
        "1 job, directly to Redis": direct,
    }
    taken: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(transactions):
        for name, work in kinds.items():
            started = time.perf_counter()
            with engine.begin() as connection:
                work(connection)
            taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(times) * 1e6 for name, times in taken.items()}


def _report(where: str, costs: dict[str, float]) -> None:
    bare = costs["no job"]
    click.echo(f"\n{where}: microseconds a transaction (median)")
    for name, cost in costs.items():
        click.echo(f"  {name:26} {cost:8.0f}   {cost - bare:+8.0f}")


def _relay(engine: sa.Engine, url: str, settings: Settings, rows: int) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM trackrelay_outbox"))
    made: list[Operation] = [
        operations.track(str(number % 1000), "seen", DATA) for number in range(rows)
    ]
    started = time.perf_counter()
    with engine.begin() as connection:
        Outbox(connection).enqueue_all(made)
    written = time.perf_counter() - started
    loop = make_loop(
        OutboxRows(url), settings, connect(settings), make_engine(settings), threading.Event()
    )
    started = time.perf_counter()
    while loop.totals.relayed < rows:
        loop.run_pass()
    relayed = time.perf_counter() - started
    _arrive(settings, [operation.id for operation in made])
    started = time.perf_counter()
    while loop.totals.confirmed < rows:
        loop.run_pass()
    confirmed = time.perf_counter() - started
    click.echo(f"\nrelay, {engine.dialect.name}: rows a second")
    for name, seconds in (
        ("written at once", written),
        ("relayed", relayed),
        ("let go", confirmed),
    ):
        click.echo(f"  {name:26} {rows / seconds:8,.0f}")


def _arrive(settings: Settings, ids: list[str]) -> None:
    client = connect(settings)
    for name in client.scan_iter("trackrelay:*", _type="stream"):
        client.delete(name)
    insert = sa.text("""
        INSERT INTO trackrelay_ledger (id, key, operation, enqueued_at, delivered_at, attempts)
        SELECT id, 'id:1', 'person.event', now(), now(), 1 FROM unnest(CAST(:ids AS text[])) AS id
    """)
    with make_engine(settings).begin() as connection:
        connection.execute(insert, {"ids": ids})


if __name__ == "__main__":
    main()
