"""Postgres: reached, writable, and migrated to what this version needs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from trackrelay.configuration.server_urls import place
from trackrelay.worker.cli.common.command_errors import explain
from trackrelay.worker.cli.common.humanize import duration, listed
from trackrelay.worker.cli.common.loss_report import ACKNOWLEDGE, describe
from trackrelay.worker.queue.queue_agreement import difference
from trackrelay.worker.queue.queue_config import QueueConfig
from trackrelay.worker.settings import Settings
from trackrelay.worker.storage import incident_log, queue_record, schema
from trackrelay.worker.storage.queries.server_facts import Server, missing_privileges, server
from trackrelay.worker.storage.tables import Base

from .finding import Finding
from .redis_check import CLOCK_S

AREA = "Postgres"


@dataclass(frozen=True, slots=True)
class QueueLook:
    """The queue in Redis, as far as that is known."""

    config: QueueConfig | None = None
    #: How far a change of the number of shards has come.
    moving: str = ""


def findings(engine: sa.Engine, settings: Settings, queue: QueueLook) -> Iterator[Finding]:
    """Everything about Postgres.

    Args:
        queue: what Redis says of the queue.
    """
    url = settings.database_url.get_secret_value()
    try:
        with engine.connect() as connection:
            about = server(connection)
            yield Finding(AREA, "reached", "ok", f"PostgreSQL {about.version} at {place(url)}")
            yield from _server(about)
            yield from _tables(connection, queue)
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


def _tables(connection: sa.Connection, queue: QueueLook) -> Iterator[Finding]:
    if problem := schema.problem(connection):
        yield Finding(AREA, "tables", "wrong", problem)
        return
    yield Finding(
        AREA, "tables", "ok", f"revision {schema.current(connection)}, what this version needs"
    )
    if missing := missing_privileges(connection, sorted(Base.metadata.tables)):
        text = f"the user of TRACKRELAY_DATABASE_URL may not read and write {listed(missing)}: grant it that"
        yield Finding(AREA, "privileges", "wrong", text)
    for incident in incident_log.unacknowledged(connection):
        text = f"{describe(incident)}. `{ACKNOWLEDGE} {incident.id}` acknowledges it"
        yield Finding(AREA, "lost jobs", "wrong", text)
    record = queue_record.read(connection)
    if not record.shards:
        yield Finding(
            AREA, "shards", "wrong", "the database knows no shards: run `trackrelay migrate`"
        )
    elif queue.config and (differs := difference(queue.config, record, queue.moving)):
        yield Finding(AREA, "queue", "wrong", differs)
