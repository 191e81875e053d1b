"""``python -m benchmarks.ledger_size``: what a large ledger costs, and what dropping a day costs.

An empty database and a full one on the same server take turns, so that both meet the same machine.
"""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from uuid import uuid4

import click
import sqlalchemy as sa

from trackrelay.operations.ids import id_for, new_id
from trackrelay.worker.settings import sqlalchemy_url
from trackrelay.worker.storage import (
    duplicate_check,
    ledger,
    ledger_layout,
    ledger_partitions,
    ledger_rotation,
    schema,
)
from trackrelay.worker.storage.ledger_partitions import LEDGER_RETENTION
from trackrelay.worker.storage.queries.job_search import SearchQuery, search
from trackrelay.worker.storage.stored_job import Job

from .machine import heading
from .stack import Stack
from .stored_rows import fill_ledger, fill_one_table

BATCH = 1000
PEOPLE = 1_000_000

Measure = Callable[[sa.Engine], int]


@click.command()
@click.option("--rows", default=10_000_000, show_default=True, help="Rows of the full ledger.")
@click.option("--days", default=20, show_default=True, help="Days over which they are spread.")
@click.option("--rounds", default=60, show_default=True, help="Batches of each kind.")
@click.option("--one-table", is_flag=True, help="Measure a full ledger without partitions too.")
@click.option("--shared-buffers", default="2GB", show_default=True, help="Memory of Postgres.")
def main(rows: int, days: int, rounds: int, one_table: bool, shared_buffers: str) -> None:
    """Compare a full ledger with an empty one, then drop a day of the full one."""
    click.echo(heading("python -m benchmarks.ledger_size"))
    click.echo(f"shared_buffers: {shared_buffers}")
    with ExitStack() as exit_stack:
        stack = exit_stack.enter_context(
            Stack({"shared_buffers": shared_buffers, "max_wal_size": "8GB"})
        )
        engines = {
            name: exit_stack.enter_context(_database(stack, name))
            for name in ("empty", "full", *(["one table"] if one_table else []))
        }
        full = engines["full"]
        for name, fill in {"full": fill_ledger, "one table": fill_one_table}.items():
            if name in engines:
                began = time.monotonic()
                fill(engines[name], rows, people=PEOPLE, days=days)
                click.echo(
                    f"{name}: {rows:,} rows over {days} days, {_size(engines[name])}, "
                    f"{time.monotonic() - began:.0f} s"
                )
        known = _known_ids(full)
        heads = "".join(f"{name:>12}" for name in engines)
        click.echo(f"{'a second':38}{heads}   ÷ empty")
        for name, measure in {
            # After a checkpoint, Postgres writes whole pages: each page once, in the first rounds.
            "insert, new ids, after a checkpoint": _insert_new,
            "insert, new ids": _insert_new,
            "insert, ids of idempotency keys": _insert_derived,
            "look up new ids, before they are sent": _look_up_new,
            "look up ids of idempotency keys": _look_up_derived,
            "look up ids of all days": lambda engine: _look_up(engine, known),
            "the jobs of a person": _find_person,
        }.items():
            _compare(name, measure, engines, rounds)
        _drop_a_day(full)


def _compare(name: str, measure: Measure, engines: dict[str, sa.Engine], rounds: int) -> None:
    rates: dict[str, list[float]] = {which: [] for which in engines}
    for number in range(rounds):
        for which in engines if number % 2 else reversed(engines):
            began = time.perf_counter()
            done = measure(engines[which])
            rates[which].append(done / (time.perf_counter() - began))
    medians = [statistics.median(each) for each in rates.values()]
    click.echo(
        f"{name:38}{''.join(f'{each:12,.0f}' for each in medians)}   "
        f"{', '.join(f'{each / medians[0]:.2f}' for each in medians[1:])}"
    )


def _drop_a_day(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        oldest = ledger_partitions.read(connection).days[0]
        size = ledger_partitions.sizes(connection)[oldest.name]
    rates: list[float] = []
    ended = threading.Event()

    def deliver() -> None:
        while not ended.is_set():
            began = time.perf_counter()
            _insert_new(engine)
            rates.append(BATCH / (time.perf_counter() - began))

    thread = threading.Thread(target=deliver)
    thread.start()
    time.sleep(10)
    before, began = len(rates), time.perf_counter()
    assert ledger_rotation.detach(engine, oldest.name)
    detached = time.perf_counter()
    ledger_rotation.drop(engine, oldest.name)
    dropped = time.perf_counter()
    during = rates[before:]
    time.sleep(max(0.0, 10 - (dropped - began)))
    ended.set()
    thread.join()
    click.echo(
        f"dropped a day of {oldest.rows:,} rows, {size / 1e9:.1f} GB: detached in "
        f"{detached - began:.3f} s, dropped in {dropped - detached:.3f} s; inserts beside it: "
        f"{statistics.median(rates[:before]):,.0f} a second before, "
        f"{statistics.median(rates[before:]):,.0f} after it began, the slowest batch "
        f"{BATCH / min(during or rates):.3f} s"
    )


def _insert_new(engine: sa.Engine) -> int:
    return _insert(engine, [new_id() for _ in range(BATCH)])


def _insert_derived(engine: sa.Engine) -> int:
    return _insert(engine, [id_for("person.event", "id:1", "x", uuid4().hex) for _ in range(BATCH)])


def _insert(engine: sa.Engine, ids: list[str]) -> int:
    now = time.time()
    jobs = [
        Job(
            id=id, operation="person.event", keys=(f"id:{random.randrange(PEOPLE)}",), shards=(0,),
            body=b"", lane="live", enqueued_at=now, age_from=now, source="shop",
        )
        for id in ids
    ]  # fmt: skip
    with engine.begin() as connection:
        assert len(ledger.record(connection, jobs)) == BATCH
    return BATCH


def _look_up_new(engine: sa.Engine) -> int:
    return _look_up(engine, [new_id() for _ in range(BATCH)])


def _look_up_derived(engine: sa.Engine) -> int:
    ids = [id_for("person.event", "id:1", "x", uuid4().hex) for _ in range(BATCH)]
    return _look_up(engine, ids)


def _look_up(engine: sa.Engine, ids: list[str]) -> int:
    with engine.connect() as connection:
        duplicate_check.find_duplicates(connection, 0, "live", ids, [])
    return len(ids)


def _find_person(engine: sa.Engine) -> int:
    for _ in range(10):
        query = SearchQuery(keys=(f"id:{random.randrange(PEOPLE)}",))
        with engine.connect() as connection:
            search(connection, query, 20)
    return 10


def _known_ids(engine: sa.Engine) -> list[str]:
    with engine.connect() as connection:
        partitions = ledger_partitions.read(connection).days
        ids: list[str] = []
        for each in partitions:
            chosen = sa.text(f"SELECT id FROM {each.name} TABLESAMPLE SYSTEM (1) LIMIT 50")
            ids += connection.execute(chosen).scalars()
    return ids[:BATCH]


def _size(engine: sa.Engine) -> str:
    with engine.connect() as connection:
        name = connection.execute(sa.text("SELECT pg_database_size(current_database())"))
        return f"{name.scalar_one() / 1e9:.1f} GB"


@contextmanager
def _database(stack: Stack, which: str) -> Iterator[sa.Engine]:
    name = f"bench_{uuid4().hex[:12]}"
    admin = sa.create_engine(sqlalchemy_url(stack.postgres.url), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
    admin.dispose()
    engine = sa.create_engine(
        sqlalchemy_url(stack.postgres.url_of(name)), connect_args={"prepare_threshold": None}
    )
    with engine.begin() as connection:
        schema.upgrade(connection)
    if which == "one table":
        ledger_layout.unpartition(engine, note=lambda step: None, known_after_s=0.0)
    else:
        ledger_rotation.make_ahead(engine, LEDGER_RETENTION)
    yield engine
    engine.dispose()


if __name__ == "__main__":
    main()
