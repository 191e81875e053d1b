"""Keys as they are stored and logged: keys made of personal data only as keyed hashes.

With another secret, a person's waiting jobs would not be recognised. So Postgres records the
fingerprint of the secret in force, and workers with another one deliver nothing.
"""

from __future__ import annotations

import re
from hashlib import blake2b

import sqlalchemy as sa

from trackrelay.errors import TrackRelayError
from trackrelay.operations.keys import is_private

from . import state

#: The row of the state table with the fingerprint of the secret in force.
FINGERPRINT = "key_hash_fingerprint"

_HASHED = re.compile(r"[a-z_]+:#[0-9a-f]{24}")

_LOCK_SHARDS = sa.text("SELECT shard FROM trackrelay_shards ORDER BY shard FOR UPDATE")
# Private keys are stored as their kind, a colon, a number sign and the hash.
_HASHED_WAITS = sa.text("SELECT EXISTS (SELECT 1 FROM trackrelay_backlog WHERE key LIKE '%:#%')")
_IS_ANYBODY_BLOCKED = sa.text("SELECT EXISTS (SELECT 1 FROM trackrelay_forgotten WHERE blocked)")
_RAISE_FENCES = sa.text("UPDATE trackrelay_shards SET fence = fence + 1")

CHANGED = (
    "TRACKRELAY_KEY_HASH_SECRET is not the secret with which the keys of waiting jobs are hashed. "
    "This process delivers nothing, because jobs of one person would lose their order. "
    "Restore the secret until `trackrelay status` shows an empty backlog, "
    "then change it everywhere and restart the workers"
)


BLOCKED = (
    "TRACKRELAY_KEY_HASH_SECRET is not the secret with which the keys of forgotten people are "
    "hashed. This process delivers nothing, because it would deliver what is enqueued for them. "
    "Restore the secret. To change it, allow each of them again "
    "(`trackrelay forget NAME --allow-again`), and forget them anew afterwards"
)


class HashSecretChangedError(TrackRelayError):
    """The stored keys are hashed with another secret."""

    def __init__(self, message: str = CHANGED) -> None:
        super().__init__(message)


class KeyHasher:
    """Turns keys into what may be stored. The same key always becomes the same text."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret[:64]
        #: Identifies the secret without revealing it.
        self.fingerprint = blake2b(
            b"trackrelay fingerprint", key=self._secret, digest_size=8
        ).hexdigest()

    def stored(self, key: str) -> str:
        """Return a key as it is stored.

        ``id:42`` stays; ``email:ada@example.com`` becomes ``email:#`` and 24 hex digits.
        """
        return self.hidden(key) if is_private(key) else key

    def hidden(self, key: str) -> str:
        """Return ``key`` as a keyed hash, whatever its kind: the key of a forgotten person."""
        if is_hashed(key):
            return key
        kind, _, value = key.partition(":")
        return f"{kind}:#{blake2b(value.encode(), key=self._secret, digest_size=12).hexdigest()}"

    def digest(self, text: str) -> str:
        """Return 16 hex digits that stand for ``text``, for comparisons."""
        data = text.encode(errors="surrogatepass")
        return blake2b(data, key=self._secret, digest_size=8, person=b"sent item").hexdigest()


def is_hashed(key: str) -> bool:
    """Return whether ``key`` looks like a private key as it is stored."""
    return _HASHED.fullmatch(key) is not None


def generated_secret(connection: sa.Connection) -> bytes:
    """Return the secret that was generated when the database was set up."""
    return str(state.get(connection, "key_hash_secret") or "").encode()


def fingerprint_in_force(connection: sa.Connection) -> str | None:
    """Return the fingerprint of the secret in force, or None before the first worker."""
    value = state.get(connection, FINGERPRINT)
    return None if value is None else str(value)


def admit_secret(connection: sa.Connection, fingerprint: str) -> bool:
    """Let a process work with the secret of this ``fingerprint``. The caller commits.

    The secret can change while no job with a hashed key waits. Then the holders of the shards
    settle nothing more, because they have hashed keys with the previous secret.

    Returns:
        whether the secret in force was changed.

    Raises:
        HashSecretChangedError: jobs wait whose keys were hashed with another secret, or people are
            blocked by such keys.
    """
    state.put_if_missing(connection, FINGERPRINT, fingerprint)
    if fingerprint_in_force(connection) == fingerprint:
        return False
    connection.execute(_LOCK_SHARDS)
    if connection.execute(_HASHED_WAITS).scalar_one():
        raise HashSecretChangedError
    if connection.execute(_IS_ANYBODY_BLOCKED).scalar_one():
        raise HashSecretChangedError(BLOCKED)
    connection.execute(_RAISE_FENCES)
    state.put(connection, FINGERPRINT, fingerprint)
    return True
