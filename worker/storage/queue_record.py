"""What Postgres records of the queue in Redis: its shards, its format and its generation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

_SELECT = """
    SELECT (SELECT count(*) FROM trackrelay_shards) AS shards,
        (SELECT coalesce(max(fence), 0) > 0 FROM trackrelay_shards) AS held,
        (SELECT value FROM trackrelay_state WHERE name = 'queue') AS value
"""
_READ = sa.text(_SELECT)
_ENSURE = sa.text("""
    INSERT INTO trackrelay_state (name, value) VALUES ('queue', '{}') ON CONFLICT (name) DO NOTHING
""")
_LOCK = sa.text("SELECT 1 FROM trackrelay_state WHERE name = 'queue' FOR UPDATE")
_WRITE = sa.text("""
    INSERT INTO trackrelay_state (name, value) VALUES ('queue', :value)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = now()
""").bindparams(sa.bindparam("value", type_=JSONB))
_CONFIRM = sa.text("""
    UPDATE trackrelay_state SET value = value - 'pending'
    WHERE name = 'queue' AND value ->> 'generation' = :generation AND value ? 'pending'
""")


@dataclass(frozen=True, slots=True)
class QueueRecord:
    """The queue as Postgres knows it."""

    #: 0: the queue was never set up.
    shards: int
    #: Whether a worker ever held a shard.
    held: bool
    #: Empty: version 0.1.0 set the queue up without recording it.
    generation: str
    format: int
    #: Whether ``generation`` may not be in Redis yet.
    pending: bool


#: The record of a database that was never set up.
NO_RECORD = QueueRecord(shards=0, held=False, generation="", format=0, pending=False)


def read(connection: sa.Connection) -> QueueRecord:
    """Return the record."""
    row = connection.execute(_READ).one()
    value: dict[str, Any] = row.value or {}
    return QueueRecord(
        shards=row.shards,
        held=row.held,
        generation=str(value.get("generation", "")),
        format=int(value.get("format", 0)),
        pending=bool(value.get("pending", False)),
    )


def lock(connection: sa.Connection) -> QueueRecord:
    """Return the record, and lock it until the end of the transaction."""
    connection.execute(_ENSURE)
    connection.execute(_LOCK)
    return read(connection)


def write(
    connection: sa.Connection, generation: str, version: int, *, pending: bool = False
) -> None:
    """Record the queue's generation and format. The shards have rows of their own."""
    value: dict[str, Any] = {"generation": generation, "format": version}
    connection.execute(_WRITE, {"value": value | ({"pending": True} if pending else {})})


def confirm(connection: sa.Connection, generation: str) -> None:
    """Record that ``generation`` is in Redis now."""
    connection.execute(_CONFIRM, {"generation": generation})
