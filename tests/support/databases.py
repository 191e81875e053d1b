"""A separate database for each test, copied from one that was migrated once."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
import sqlalchemy as sa
from psycopg import sql

from trackrelay.worker.devstack.servers import PostgresProcess

TEMPLATE = "migrated"
#: A folder in memory, on Linux. The servers of a run, one for each process of pytest-xdist, need
#: less than a gigabyte each; containers often have only 64 MB there.
MEMORY = Path("/dev/shm")
MIN_FREE_BYTES = 8 << 30

_numbers = count(1)


class PostgresInMemory(PostgresProcess):
    """A PostgreSQL whose files are in memory, if there is enough.

    Copying a database makes 500 files. On a disk, that costs a fifth of a second of CPU time.
    """

    def __init__(self) -> None:
        super().__init__(durable=False, settings={"max_wal_size": "256MB"})

    def _temporary_dir(self) -> Path:
        if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < MIN_FREE_BYTES:
            return super()._temporary_dir()
        folder = Path(tempfile.mkdtemp(prefix="trackrelay-postgres-", dir=MEMORY))
        folder.chmod(0o711)  # PostgreSQL does not run as root
        return folder


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
    ledger_rotation.make_ahead(engine, LEDGER_RETENTION)


def _run(server: PostgresProcess, statement: sql.Composed) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(statement)
