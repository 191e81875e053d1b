"""The connection to Postgres: one pool a process, made at first use, never carried across a fork."""

from __future__ import annotations

import os
from functools import lru_cache

import sqlalchemy as sa

from ..settings import Settings, settings

#: A statement that takes longer is not waited for: whoever holds the lock, delivery must come round again.
STATEMENT_TIMEOUT_MS = 30_000
LOCK_TIMEOUT_MS = 10_000
#: Work without a worker for this long (a failed holder's transaction) is given up by the server.
IDLE_TIMEOUT_MS = 60_000


def make_engine(configured: Settings, *, pool_size: int = 10) -> sa.Engine:
    """A pool of connections that give up in bounded time."""
    return sa.create_engine(
        configured.database_url.get_secret_value(),
        pool_size=pool_size,
        max_overflow=20,
        pool_timeout=10,
        pool_pre_ping=False,
        pool_recycle=1800,
        hide_parameters=True,
        connect_args={
            "connect_timeout": 5,
            "application_name": "trackrelay",
            "options": (
                f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c lock_timeout={LOCK_TIMEOUT_MS} "
                f"-c idle_in_transaction_session_timeout={IDLE_TIMEOUT_MS}"
            ),
            # A server that went away without a word is noticed within seconds.
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": 20_000,
        },
    )


@lru_cache(maxsize=4)
def _engine_of(pid: int) -> sa.Engine:
    return make_engine(settings())


def engine() -> sa.Engine:
    """This process's engine."""
    return _engine_of(os.getpid())
