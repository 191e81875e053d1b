"""Single facts kept in Postgres."""

from __future__ import annotations

import secrets
from typing import Any

import sqlalchemy as sa

from .pg_values import sanitized_json

_GET = sa.text("SELECT value FROM trackrelay_state WHERE name = :name")
_FIRST = sa.text("""
    INSERT INTO trackrelay_state (name, value) VALUES (:name, to_jsonb(CAST(:value AS text))) ON CONFLICT (name) DO NOTHING
""")
_SHARDS = sa.text("""
    INSERT INTO trackrelay_shards (shard) SELECT generate_series(0, :shards - 1) ON CONFLICT (shard) DO NOTHING
""")

_PUT = sa.text("""
    INSERT INTO trackrelay_state (name, value) VALUES (:name, CAST(:value AS jsonb))
    ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = now()
""")


def get(connection: sa.Connection, name: str) -> Any:
    """Return a fact, as JSON has it; None if it is not known."""
    return connection.execute(_GET, {"name": name}).scalar()


def put(connection: sa.Connection, name: str, value: Any) -> None:
    """Write a fact down. The caller commits."""
    connection.execute(_PUT, {"name": name, "value": sanitized_json(value)})


def key_hash_secret(connection: sa.Connection) -> bytes:
    """The secret that keys are hashed with, made when the database was set up."""
    value = connection.execute(_GET, {"name": "key_hash_secret"}).scalar()
    return str(value or "").encode()


def set_up(connection: sa.Connection, shards: int) -> None:
    """Write what every worker expects to find; what is there already stays."""
    connection.execute(_FIRST, {"name": "key_hash_secret", "value": secrets.token_hex(32)})
    for name in ("possible_since", "workers_seen"):
        connection.execute(_FIRST, {"name": name, "value": ""})
    connection.execute(_SHARDS, {"shards": shards})
