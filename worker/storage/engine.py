"""The connection to Postgres: one pool for each process, made at first use, never after a fork.

It works through a pooler that gives each transaction another session (PgBouncer in transaction
mode). So nothing is kept in a session: no prepared statements, no settings, no locks.
"""

from __future__ import annotations

import os
from contextlib import closing
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from trackrelay.worker.settings import Settings, settings

#: Postgres cancels a statement that takes longer, so that a lock cannot stop delivery.
STATEMENT_TIMEOUT_MS = 30_000
LOCK_TIMEOUT_MS = 10_000
#: Postgres ends a transaction whose client has sent nothing for this long, such as a paused
#: worker's.
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
#: SQLSTATEs after which the pool connects again: a session that became read-only with the demotion
#: of its server (25006) stays read-only, and a server that starts or stops accepts nothing.
_LEAVE = ("25006", "57P", "08")
#: A standby refuses some statements with other SQLSTATEs, and with one of these texts.
_RECOVERY = ("during recovery", "in recovery", "recovery is in progress")
#: Marks a connection whose session does not have the bounds.
_UNBOUNDED = "trackrelay_unbounded"


def make_engine(configured: Settings, *, pool_size: int = 10) -> sa.Engine:
    """Return a pool of connections whose operations take a bounded time."""
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
            # No prepared statements: a pooler may give the next transaction another session, and a
            # cycle of a thousand jobs is no faster with them.
            "prepare_threshold": None,
            # Notice within seconds that a server has vanished.
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": 20_000,
        },
    )
    sa.event.listen(engine, "do_connect", _connect)
    sa.event.listen(engine, "connect", _check_bounds)
    sa.event.listen(engine, "begin", _set_bounds)
    leave_replicas(engine)
    return engine


def leave_replicas(engine: sa.Engine) -> None:
    """Make the pool connect again when a server says that it accepts no writes, or stops."""
    sa.event.listen(engine, "handle_error", _leave)


def _leave(context: sa.engine.ExceptionContext) -> None:
    if is_refusal_of_standby(context.original_exception):
        context.is_disconnect = True


def is_refusal_of_standby(error: BaseException) -> bool:
    """Return whether a driver's error says that the server accepts no writes, or stops."""
    # psycopg has sqlstate, psycopg2 has pgcode.
    state = str(getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or "")
    if state.startswith(_LEAVE):
        return True
    return bool(state) and any(words in str(error) for words in _RECOVERY)


def _connect(dialect: Any, _: object, arguments: Any, options: dict[str, Any]) -> Any:
    try:
        return dialect.connect(*arguments, **options)
    except dialect.loaded_dbapi.OperationalError as error:
        if "unsupported startup parameter" not in str(error):
            raise
    return dialect.connect(
        *arguments, **{name: value for name, value in options.items() if name != "options"}
    )


def _check_bounds(
    connection: sa.engine.interfaces.DBAPIConnection, record: sa.pool.ConnectionPoolEntry
) -> None:
    # A pooler may refuse the bounds, or may be configured to ignore them.
    with closing(connection.cursor()) as cursor:
        cursor.execute(_STATEMENT_TIMEOUT)
        (milliseconds,) = cursor.fetchone() or ("",)
    connection.rollback()
    record.info[_UNBOUNDED] = milliseconds != str(STATEMENT_TIMEOUT_MS)


def _set_bounds(connection: sa.Connection) -> None:
    if connection.info.get(_UNBOUNDED):
        connection.exec_driver_sql(_SET_BOUNDS)


@lru_cache(maxsize=4)
def _engine_of(pid: int) -> sa.Engine:
    return make_engine(settings())


def engine() -> sa.Engine:
    """Return the engine of this process."""
    return _engine_of(os.getpid())
