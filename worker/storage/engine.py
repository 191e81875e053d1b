"""The connection to Postgres: one pool a process, made at first use, never carried across a fork.

It may lead through a pooler that hands each transaction to another session (PgBouncer in transaction mode): nothing of ours is kept in
a session, neither prepared statements nor settings nor locks.
"""

from __future__ import annotations

import os
from contextlib import closing
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from trackrelay.worker.settings import Settings, settings

#: A statement that takes longer is cancelled, so that a lock cannot stop delivery.
STATEMENT_TIMEOUT_MS = 30_000
LOCK_TIMEOUT_MS = 10_000
#: Work without a worker for this long (a failed holder's transaction) is given up by the server.
IDLE_TIMEOUT_MS = 60_000

_BOUNDS = {
    "statement_timeout": STATEMENT_TIMEOUT_MS,
    "lock_timeout": LOCK_TIMEOUT_MS,
    "idle_in_transaction_session_timeout": IDLE_TIMEOUT_MS,
}
_SET_BOUNDS = "; ".join(
    f"SET LOCAL {name} = {milliseconds}" for name, milliseconds in _BOUNDS.items()
)
_STATEMENT_TIMEOUT = "SELECT setting FROM pg_settings WHERE name = 'statement_timeout'"
#: Answers of a server, or of what stands before it, that another connection may not get: a session that became read-only when its
#: server was demoted (25006) stays so for as long as it lives, and one that is being shut down or started takes nothing.
_LEAVE = ("25006", "57P", "08")
#: Marks a connection whose session does not know the bounds.
_UNBOUNDED = "trackrelay_unbounded"


def make_engine(configured: Settings, *, pool_size: int = 10) -> sa.Engine:
    """A pool of connections that give up in bounded time."""
    engine = sa.create_engine(
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
            "options": " ".join(
                f"-c {name}={milliseconds}" for name, milliseconds in _BOUNDS.items()
            ),
            # Behind a pooler the next transaction's session knows nothing of them. Nor do they make a round of a thousand jobs faster.
            "prepare_threshold": None,
            # A server that went away without a word is noticed within seconds.
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": 20_000,
        },
    )
    sa.event.listen(engine, "do_connect", _connect)
    sa.event.listen(engine, "connect", _look_at_bounds)
    sa.event.listen(engine, "begin", _bound)
    leave_replicas(engine)
    return engine


def leave_replicas(engine: sa.Engine) -> None:
    """Drop every pooled connection once a server says that it takes no writes, or that it goes away."""
    sa.event.listen(engine, "handle_error", _leave)


def _leave(context: sa.engine.ExceptionContext) -> None:
    state = str(getattr(context.original_exception, "sqlstate", None) or "")
    if state.startswith(_LEAVE):
        context.is_disconnect = True


def _connect(dialect: Any, _: object, arguments: Any, options: dict[str, Any]) -> Any:
    try:
        return dialect.connect(*arguments, **options)
    except dialect.loaded_dbapi.OperationalError as error:
        if "unsupported startup parameter" not in str(error):
            raise
    return dialect.connect(
        *arguments, **{name: value for name, value in options.items() if name != "options"}
    )


def _look_at_bounds(
    connection: sa.engine.interfaces.DBAPIConnection, record: sa.pool.ConnectionPoolEntry
) -> None:
    # A pooler refuses the bounds, or it was told to ignore them.
    with closing(connection.cursor()) as cursor:
        cursor.execute(_STATEMENT_TIMEOUT)
        (milliseconds,) = cursor.fetchone() or ("",)
    connection.rollback()
    record.info[_UNBOUNDED] = milliseconds != str(STATEMENT_TIMEOUT_MS)


def _bound(connection: sa.Connection) -> None:
    if connection.info.get(_UNBOUNDED):
        connection.exec_driver_sql(_SET_BOUNDS)


@lru_cache(maxsize=4)
def _engine_of(pid: int) -> sa.Engine:
    return make_engine(settings())


def engine() -> sa.Engine:
    """This process's engine."""
    return _engine_of(os.getpid())
