"""A separate database for each test, copied from one that was migrated once."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import psycopg
import sqlalchemy as sa
from psycopg import sql

from trackrelay.worker.devstack.servers import PostgresProcess

TEMPLATE = "migrated"

_numbers = count(1)


@contextmanager
def fresh_database(server: PostgresProcess, template: str = "template1") -> Iterator[str]:
    """Yield the URL of a new database, which is dropped afterwards despite connections."""
    name = f"test_{next(_numbers)}"
    create_database(server, name, template)
    try:
        yield server.url_of(name)
    finally:
        _run(
            server, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )


def create_database(server: PostgresProcess, name: str, template: str = "template1") -> str:
    """Makes a database and returns its URL."""
    # Copying files is several times faster than going through the log when nothing waits for a
    # disk.
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
    _run(server, statement.format(sql.Identifier(name), sql.Identifier(template)))
    return server.url_of(name)


def migrate(url: str) -> None:
    """Brings a database to the newest revision, as `trackrelay migrate` does."""
    # Late: tests that need no database do not need it either.
    from trackrelay.worker.storage import ledger_rotation, schema
    from trackrelay.worker.storage.ledger_partitions import LEDGER_RETENTION

    engine = sa.create_engine(
        url.replace("postgresql://", "postgresql+psycopg://", 1), poolclass=sa.NullPool
    )
    with engine.begin() as connection:
        schema.upgrade(connection)
    # Few partitions: each database of a test is a copy of all files.
    ledger_rotation.make_ahead(engine, LEDGER_RETENTION, ahead_days=2)


def _run(server: PostgresProcess, statement: sql.Composed) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(statement)
