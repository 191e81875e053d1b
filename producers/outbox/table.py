"""The table ``trackrelay_outbox``, for the application's own migrations, on PostgreSQL and SQLite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.exc import CompileError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session, scoped_session
from sqlalchemy.sql.functions import FunctionElement

from trackrelay.queue.append import Entry
from trackrelay.queue.job import FORMAT_VERSION
from trackrelay.queue.redis_keys import Lane

metadata = sa.MetaData()

#: What has a transaction of its own: a session, Flask-SQLAlchemy's ``db.session``, a connection.
Transaction: TypeAlias = Session | scoped_session[Any] | sa.Connection


class moment_ms(FunctionElement[int]):
    """The database's clock at the very moment, in unix milliseconds; ``now()`` would be the transaction's beginning.

    Of two transactions that wait for one another the second writes later, even if it began first.
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


#: One row for each call. Rows of one transaction, and of transactions that followed one another, have growing ids.
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
    # How ``entry`` is to be read: a relay leaves a newer one alone.
    sa.Column("format", sa.SmallInteger(), nullable=False),
    # The stream entry: the job, or an event and the identify that travels with it, as JSON.
    sa.Column("entry", sa.Text(), nullable=False),
    sa.Column("accepted_ms", sa.BigInteger(), nullable=False, default=moment_ms()),
    # The generation of the queue into which the row was relayed last; NULL: not yet, or its entry was lost.
    sa.Column("generation", sa.String(26)),
    # The number of the append that carried it.
    sa.Column("turn", sa.BigInteger()),
    # Where its entries lie: ``shard:entry id``, two for a job with keys in two shards.
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
    """Make the table and its index if they are not there: for applications without migrations, and for tests."""
    metadata.create_all(bind)


_INSERT = table.insert().inline()


def insert(transaction: Transaction, entries: Sequence[Entry], lane: Lane) -> None:
    """Write ``entries`` in order, each as a row."""
    rows = [
        {
            "job_id": entry.operation.id,
            "lane": lane,
            "format": FORMAT_VERSION,
            "entry": entry.data.decode(),
        }
        for entry in entries
    ]
    # A list of one would take the slower road of many.
    transaction.execute(_INSERT, rows if len(rows) > 1 else rows[0])
