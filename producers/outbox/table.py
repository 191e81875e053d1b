"""The table ``trackrelay_outbox``, for the application's migrations on PostgreSQL and SQLite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.exc import CompileError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from trackrelay.queue.append import Entry
from trackrelay.queue.job import FORMAT_VERSION
from trackrelay.queue.redis_keys import Lane

if TYPE_CHECKING:
    # It takes a tenth of a second to import, and most processes need none of it.
    from sqlalchemy.orm import Session, scoped_session

metadata = sa.MetaData()

#: A session, Flask-SQLAlchemy's ``db.session``, or a connection.
Transaction: TypeAlias = "Session | scoped_session[Any] | sa.Connection"


class moment_ms(FunctionElement[int]):
    """The database's current time in unix milliseconds.

    ``now()`` would be the start of the transaction.

    If one transaction waits for another, it may have started first, and yet it writes later.
    """

    inherit_cache = True
    type = sa.BigInteger()


@compiles(moment_ms)
def _elsewhere(element: moment_ms, compiler: Any, **_: Any) -> str:
    raise CompileError(f"the outbox works on PostgreSQL and SQLite, not on {compiler.dialect.name}")


@compiles(moment_ms, "postgresql")
def _on_postgresql(element: moment_ms, compiler: Any, **_: Any) -> str:
    return "CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS bigint)"


@compiles(moment_ms, "sqlite")
def _on_sqlite(element: moment_ms, compiler: Any, **_: Any) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"


#: One row for each call. Ids increase within a transaction, and from one transaction to the next
#: that starts after it.
table = sa.Table(
    "trackrelay_outbox",
    metadata,
    sa.Column(
        "id",
        sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    sa.Column("job_id", sa.String(26), nullable=False),
    sa.Column("lane", sa.String(4), nullable=False),
    # The format of ``entry``. A relay does not touch a newer one.
    sa.Column("format", sa.SmallInteger(), nullable=False),
    # The stream entry as JSON: the job, or an event with its identify.
    sa.Column("entry", sa.Text(), nullable=False),
    sa.Column("accepted_ms", sa.BigInteger(), nullable=False, default=moment_ms()),
    # The generation of the queue that got the row; NULL if it was not relayed yet, or its entry was
    # lost.
    sa.Column("generation", sa.String(26)),
    # The number of the append that carried it.
    sa.Column("turn", sa.BigInteger()),
    # Its entries, as ``shard:entry id``: two for a job with keys in two shards.
    sa.Column("place", sa.Text()),
    sa.Index(
        "ix_trackrelay_outbox_unrelayed",
        "id",
        postgresql_where=sa.text("generation IS NULL"),
        sqlite_where=sa.text("generation IS NULL"),
    ),
    sqlite_autoincrement=True,
)


def create_table(bind: sa.Engine | sa.Connection) -> None:
    """Create the table and its index unless they exist, for tests or without migrations."""
    metadata.create_all(bind)


_INSERT = table.insert().inline()


def insert(transaction: Transaction, entries: Sequence[Entry], lane: Lane) -> None:
    """Write a row for each entry, in order."""
    rows = [
        {
            "job_id": entry.operation.id,
            "lane": lane,
            "format": FORMAT_VERSION,
            "entry": entry.data.decode(),
        }
        for entry in entries
    ]
    # SQLAlchemy handles one row faster than a list of one.
    transaction.execute(_INSERT, rows if len(rows) > 1 else rows[0])
