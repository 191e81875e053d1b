"""The settings, Redis, Postgres and the outbox, with timeouts short enough for a command."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import redis
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from trackrelay.configuration.server_urls import place
from trackrelay.errors import TrackRelayError
from trackrelay.outbox.outbox_database import make_engine as make_outbox_engine
from trackrelay.outbox.table import table
from trackrelay.queue.connections import make_client
from trackrelay.queue.redis_keys import relay_lease
from trackrelay.worker.settings import Settings, load
from trackrelay.worker.storage.acts import Author
from trackrelay.worker.storage.engine import make_engine
from trackrelay.worker.storage.key_hasher import (
    HashSecretChangedError,
    KeyHasher,
    fingerprint_in_force,
    generated_secret,
)

from .command_errors import explain_outbox

#: Seconds after which a command reports that Redis, or the outbox's database, does not answer.
REDIS_TIMEOUT_S = 5.0
OUTBOX_TIMEOUT_S = 5.0
#: Relays take rows within a second, and replace each other within five: no relay runs if a row
#: waits for longer than this, and no relay holds the lease.
UNRELAYED_S = 10.0
NO_RELAY = (
    "no relay runs: start a worker with TRACKRELAY_OUTBOX_URL, "
    "or `trackrelay relay` beside the application"
)
#: Rows of the outbox that are read in one go.
CHUNK = 1_000

_c = table.c
_UNRELAYED = _c.generation.is_(None)


class OutboxError(TrackRelayError):
    """The outbox cannot be read; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class OutboxJobs:
    """How many jobs are still to be relayed."""

    jobs: int = 0
    #: When the first of them was written, in unix seconds.
    oldest: float | None = None


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A row that is still to be relayed."""

    entry: bytes
    lane: str
    #: When it was written, in unix seconds.
    at: float
    #: Whether it was relayed before, into a queue that is gone.
    was_relayed: bool


class Outbox:
    """Reads the outbox in the database that ``url`` names. Connects at first use.

    Raises:
        OutboxError: from every method that reads the database.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    @property
    def place(self) -> str:
        """Where the database is, without secrets."""
        return place(self._url)

    @property
    def lease(self) -> str:
        """The Redis key that exists while a relay works on this outbox."""
        from trackrelay.worker.relay.outbox_rows import outbox_name

        return relay_lease(outbox_name(self._engine.url))

    def waiting(self, generation: str | None) -> OutboxJobs:
        """Return how many jobs are still to be relayed.

        Args:
            generation: of the queue in Redis. Rows that were relayed into another queue count too,
                which reads the whole table. None: only rows that were never relayed, which reads
                a partial index.
        """
        first = (
            sa.select(_c.accepted_ms).where(_UNRELAYED).order_by(_c.id).limit(1).scalar_subquery()
        )
        oldest = first if generation is None else sa.func.min(_c.accepted_ms)
        query = sa.select(sa.func.count(), oldest).select_from(table)
        with self._connected() as connection:
            jobs, oldest_ms = tuple(connection.execute(_only_waiting(query, generation)).one())
        return OutboxJobs(jobs, None if oldest_ms is None else oldest_ms / 1000)

    def rows(
        self, generation: str | None, job_ids: Sequence[str], limit: int | None
    ) -> Iterator[OutboxRow]:
        """Yield the rows that :meth:`waiting` counts, the oldest first.

        Args:
            generation: as for :meth:`waiting`.
            job_ids: only rows of these jobs; empty: of any job.
            limit: how many rows at most; None: all.
        """
        query = (
            sa.select(_c.entry, _c.lane, _c.accepted_ms, _c.generation).order_by(_c.id).limit(limit)
        )
        if job_ids:
            query = query.where(_c.job_id.in_(job_ids))
        with self._connected() as connection:
            streamed = connection.execution_options(yield_per=CHUNK)
            for row in streamed.execute(_only_waiting(query, generation)):
                yield OutboxRow(
                    row.entry.encode(), row.lane, row.accepted_ms / 1000, row.generation is not None
                )

    def check_file(self) -> None:
        """Fail if the database is a file that does not exist: SQLite would create it."""
        file = self._engine.url.database
        if self._engine.dialect.name == "sqlite" and file and not Path(file).exists():
            raise OutboxError(
                f"the outbox's database {self.place} does not exist: "
                "is TRACKRELAY_OUTBOX_URL correct?"
            )

    def close(self) -> None:
        """Close the connection."""
        if "_engine" in self.__dict__:
            self._engine.dispose()

    @cached_property
    def _engine(self) -> sa.Engine:
        return make_outbox_engine(self._url, timeout_s=OUTBOX_TIMEOUT_S, pool_size=1)

    @contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        self.check_file()
        try:
            with self._engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise OutboxError(explain_outbox(error, self._url)) from error


def _only_waiting(query: sa.Select[Any], generation: str | None) -> sa.Select[Any]:
    return query.where(
        _UNRELAYED if generation is None else sa.or_(_UNRELAYED, _c.generation != generation)
    )


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
        """Return what turns keys into the form that the stores have.

        Raises:
            HashSecretChangedError: the stores have keys that were hashed with another secret.
        """
        with self.engine.connect() as connection:
            secret = self.settings.key_hash_secret.get_secret_value().encode() or generated_secret(
                connection
            )
            hasher = KeyHasher(secret)
            if fingerprint_in_force(connection) not in (None, hasher.fingerprint):
                raise HashSecretChangedError
            return hasher


@contextmanager
def open_stores(configured: Settings | None = None, *, pool_size: int = 1) -> Iterator[Stores]:
    """Yield the stores that the settings name, and close them at the end.

    Args:
        configured: the settings; None: those of the environment.
        pool_size: how many connections to Postgres are kept.

    Raises:
        ConfigurationError: with one line for each setting that is missing or wrong.
    """
    configured = configured or load()
    client = make_client(configured.redis_url.get_secret_value(), REDIS_TIMEOUT_S)
    engine = make_engine(configured, pool_size=pool_size)
    outbox_url = configured.outbox_url.get_secret_value()
    outbox = Outbox(outbox_url) if outbox_url else None
    try:
        yield Stores(configured, client, engine, outbox)
    finally:
        if outbox is not None:
            outbox.close()
        client.close()
        engine.dispose()


def operator_name() -> str:
    """Return the user and the machine, ``ada@web-1``, for histories."""
    try:
        user = os.environ.get("SUDO_USER") or getpass.getuser()
    except (OSError, KeyError):
        user = f"uid {os.getuid()}"  # containers run as users that have no name
    return f"{user}@{socket.gethostname()}"


def command_author() -> Author:
    """Return who runs a command, for the history of acts."""
    return Author(operator_name(), "command")
