"""Cross-process advisory lock: one process at a time, of all that use this database."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import sqlalchemy as sa

#: The number of each lock. It must never change.
LOCKS = {"migrate": 7_403_911_260, "reshard": 7_403_911_261, "forget": 7_403_911_262}
#: The lock for a moment in which a process changes the ledger's partitions.
PARTITIONS_LOCK = 7_403_911_263

#: For how long a process that was killed may still seem to hold its lock: until Postgres notices.
ENDED_S = 5.0
#: How often a waiting process tries again.
_RETRY_S = 0.2
_TRY = sa.text("SELECT pg_try_advisory_xact_lock(:lock)")


@contextmanager
def advisory_lock(
    engine: sa.Engine, what: Literal["migrate", "reshard", "forget"], *, wait_s: float
) -> Iterator[bool]:
    """Acquire a lock, and yield whether that succeeded within ``wait_s``.

    The lock belongs to a transaction, because a pooler may give the next statement another session.
    Poll instead of blocking in the database: waiting sessions could exhaust the pooler, and the
    holder needs a second session.
    """
    until = time.monotonic() + wait_s
    with engine.connect() as connection:
        while not (acquired := _try_lock(connection, what)) and time.monotonic() < until:
            time.sleep(_RETRY_S)
        yield acquired


def _try_lock(connection: sa.Connection, what: str) -> bool:
    connection.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 0"))
    acquired = bool(connection.execute(_TRY, {"lock": LOCKS[what]}).scalar_one())
    if not acquired:
        connection.rollback()
    return acquired
