"""Postgres: reached, writable, and migrated to what this version needs."""

from __future__ import annotations

import time
from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from producers.server_urls import place

from ...settings import Settings
from ...store import migrating
from ...store.models import Base
from ...store.reading.database import Server, missing_privileges, server, shard_rows
from ..failures import explain
from ..words import count, duration, listed
from .finding import Finding
from .redis import CLOCK_S

AREA = "Postgres"


def findings(engine: sa.Engine, settings: Settings, queue_shards: int | None) -> Iterator[Finding]:
    """Everything about Postgres.

    Args:
        queue_shards: how many shards the queue in Redis has, if that is known.
    """
    url = settings.database_url.get_secret_value()
    try:
        with engine.connect() as connection:
            about = server(connection)
            yield Finding(AREA, "reached", "ok", f"PostgreSQL {about.version} at {place(url)}")
            yield from _server(about)
            yield from _tables(connection, queue_shards)
    except SQLAlchemyError as error:
        yield Finding(AREA, "reached", "wrong", explain(error, database_url=url) or str(error))


def _server(about: Server) -> Iterator[Finding]:
    if about.read_only:
        text = "it is read-only (a standby?): TRACKRELAY_DATABASE_URL must name the primary"
        yield Finding(AREA, "writable", "wrong", text)
    skew = about.now - time.time()
    if abs(skew) > CLOCK_S:
        ahead = "ahead of" if skew > 0 else "behind"
        text = f"Postgres' clock is {duration(abs(skew))} {ahead} this machine's: retries come at wrong times; set both by NTP"
        yield Finding(AREA, "clock", "warning", text)


def _tables(connection: sa.Connection, queue_shards: int | None) -> Iterator[Finding]:
    if problem := migrating.problem(connection):
        yield Finding(AREA, "tables", "wrong", problem)
        return
    yield Finding(AREA, "tables", "ok", f"revision {migrating.current(connection)}, what this version needs")
    if missing := missing_privileges(connection, sorted(Base.metadata.tables)):
        text = f"the user of TRACKRELAY_DATABASE_URL may not read and write {listed(missing)}: grant it that"
        yield Finding(AREA, "privileges", "wrong", text)
    rows = shard_rows(connection)
    if queue_shards is not None and rows < queue_shards:
        text = f"the queue has {count(queue_shards, 'shard')}, the database knows {rows}: run `trackrelay migrate`"
        yield Finding(AREA, "shards", "wrong", text)
