"""Which secret the stored keys are hashed with: with another one, a person's waiting jobs would not be recognised any more."""

from __future__ import annotations

import sqlalchemy as sa

from trackrelay.errors import TrackRelayError

#: What Postgres remembers of the secret.
FINGERPRINT = "key_hash_fingerprint"

_FIRST = sa.text("""
    INSERT INTO trackrelay_state (name, value) VALUES (:name, to_jsonb(CAST(:value AS text))) ON CONFLICT (name) DO NOTHING
""")
_GET = sa.text("SELECT value #>> '{}' FROM trackrelay_state WHERE name = :name")
_LOCK_SHARDS = sa.text("SELECT shard FROM trackrelay_shards ORDER BY shard FOR UPDATE")
# Private keys are stored as their kind, a colon, a number sign and the hash.
_HASHED_WAITS = sa.text("SELECT EXISTS (SELECT 1 FROM trackrelay_backlog WHERE key LIKE '%:#%')")
_PASS_HOLDERS = sa.text("UPDATE trackrelay_shards SET fence = fence + 1")
_CHANGE = sa.text("""
    UPDATE trackrelay_state SET value = to_jsonb(CAST(:value AS text)), updated_at = now() WHERE name = :name
""")

CHANGED = (
    "TRACKRELAY_KEY_HASH_SECRET is not the secret that the keys of waiting jobs are hashed with: this process delivers nothing, "
    "or jobs of one person would lose their order. Set the secret back until `trackrelay status` shows an empty backlog, then "
    "change it everywhere and restart the workers"
)


class HashSecretChangedError(TrackRelayError):
    """The secret is another one than that which the stored keys are hashed with."""

    def __init__(self) -> None:
        super().__init__(CHANGED)


def in_force(connection: sa.Connection) -> str | None:
    """Return the fingerprint of the secret in force; None: no worker has run yet."""
    value = connection.execute(_GET, {"name": FINGERPRINT}).scalar()
    return None if value is None else str(value)


def admit(connection: sa.Connection, fingerprint: str) -> bool:
    """Let a process with the secret of this ``fingerprint`` work; return whether the secret in force was changed.

    A change is possible while no job with a hashed key waits. Whoever holds a shard then settles nothing any more: it has hashed
    with the secret of before. The caller commits.

    Raises:
        HashSecretChangedError: jobs wait whose keys were hashed with another secret.
    """
    connection.execute(_FIRST, {"name": FINGERPRINT, "value": fingerprint})
    if in_force(connection) == fingerprint:
        return False
    connection.execute(_LOCK_SHARDS)
    if connection.execute(_HASHED_WAITS).scalar_one():
        raise HashSecretChangedError
    connection.execute(_PASS_HOLDERS)
    connection.execute(_CHANGE, {"name": FINGERPRINT, "value": fingerprint})
    return True
