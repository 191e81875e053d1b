"""Single facts that are kept in Postgres, as JSON."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from .pg_values import sanitized_json

_GET = sa.text("SELECT value FROM trackrelay_state WHERE name = :name")
_PUT = sa.text("""
    INSERT INTO trackrelay_state (name, value) VALUES (:name, CAST(:value AS jsonb))
    ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = now()
""")
_PUT_IF_MISSING = sa.text("""
    INSERT INTO trackrelay_state (name, value) VALUES (:name, CAST(:value AS jsonb))
    ON CONFLICT (name) DO NOTHING
""")
_MERGE = sa.text("""
    INSERT INTO trackrelay_state (name, value) VALUES (:name, CAST(:value AS jsonb))
    ON CONFLICT (name) DO UPDATE
    SET value = trackrelay_state.value || excluded.value, updated_at = now()
""")


def get(connection: sa.Connection, name: str) -> Any:
    """Return a fact, or None if it is not known."""
    return connection.execute(_GET, {"name": name}).scalar()


def put(connection: sa.Connection, name: str, value: Any) -> None:
    """Write a fact. The caller commits."""
    connection.execute(_PUT, {"name": name, "value": sanitized_json(value)})


def merge(connection: sa.Connection, name: str, value: Any) -> None:
    """Add the fields of ``value`` to a fact that is an object. The caller commits."""
    connection.execute(_MERGE, {"name": name, "value": sanitized_json(value)})


def put_if_missing(connection: sa.Connection, name: str, value: Any) -> None:
    """Write a fact that is not known yet. The caller commits."""
    connection.execute(_PUT_IF_MISSING, {"name": name, "value": sanitized_json(value)})
