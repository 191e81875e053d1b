"""What a command works with: the settings, Redis, Postgres and the outbox, each waited for no longer than a person would."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import redis
import sqlalchemy as sa

from trackrelay.queue.connections import connection_options
from trackrelay.worker.settings import Settings, load
from trackrelay.worker.storage import hash_secret, state
from trackrelay.worker.storage.engine import make_engine
from trackrelay.worker.storage.hash_secret import HashSecretChangedError
from trackrelay.worker.storage.key_hasher import KeyHasher

if TYPE_CHECKING:
    from .outbox_reader import Outbox

#: Seconds after which a command says that Redis does not answer.
REDIS_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Stores:
    """The settings, and clients that connect when they are first used."""

    settings: Settings
    # Older versions of redis-py show the password in a client's repr.
    redis: redis.Redis = field(repr=False)
    engine: sa.Engine
    #: None: TRACKRELAY_OUTBOX_URL is not set.
    outbox: Outbox | None = None

    def hasher(self) -> KeyHasher:
        """Turns keys into what the stores have instead of them.

        Raises:
            HashSecretChangedError: the stores have keys that were hashed with another secret.
        """
        with self.engine.connect() as connection:
            secret = (
                self.settings.key_hash_secret.get_secret_value().encode()
                or state.key_hash_secret(connection)
            )
            hasher = KeyHasher(secret)
            if hash_secret.in_force(connection) not in (None, hasher.fingerprint):
                raise HashSecretChangedError
            return hasher


@contextmanager
def open_stores(configured: Settings | None = None) -> Iterator[Stores]:
    """The stores that ``configured`` (default: the environment) names; closed in the end.

    Raises:
        ConfigurationError: with one line for each setting that is missing or wrong.
    """
    configured = configured or load()
    client = redis.Redis.from_url(
        configured.redis_url.get_secret_value(), **connection_options(REDIS_TIMEOUT_S)
    )
    engine = make_engine(configured, pool_size=1)
    outbox = _outbox(configured)
    try:
        yield Stores(configured, client, engine, outbox)
    finally:
        if outbox is not None:
            outbox.close()
        client.close()
        engine.dispose()


def _outbox(configured: Settings) -> Outbox | None:
    url = configured.outbox_url.get_secret_value()
    if not url:
        return None
    from .outbox_reader import Outbox

    return Outbox(url)
