"""Being the only one at something, in all processes that use this database."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import sqlalchemy as sa

#: Of whom one at a time is at it. Any numbers will do, as long as they stay.
LOCKS = {"migrate": 7_403_911_260, "reshard": 7_403_911_261}

#: How often one that waits looks again.
_AGAIN_S = 0.2
_TRY = sa.text("SELECT pg_try_advisory_xact_lock(:lock)")


@contextmanager
def advisory_lock(
    engine: sa.Engine, what: Literal["migrate", "reshard"], *, wait_s: float
) -> Iterator[bool]:
    """Lock the others out; gives whether that was possible within ``wait_s``.

    The lock belongs to a transaction and not to a session: behind a pooler, another session would be asked to give it back. And
    nobody waits in the database: those who wait would use up the pooler's sessions, and the one they wait for needs a second.
    """
    until = time.monotonic() + wait_s
    with engine.connect() as connection:
        while not (mine := _locked(connection, what)) and time.monotonic() < until:
            time.sleep(_AGAIN_S)
        yield mine


def _locked(connection: sa.Connection, what: str) -> bool:
    connection.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 0"))
    mine = bool(connection.execute(_TRY, {"lock": LOCKS[what]}).scalar_one())
    if not mine:
        connection.rollback()
    return mine
