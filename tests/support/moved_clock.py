"""Moves the clocks that the product reads: Python's, PostgreSQL's and Redis'.

Nothing in the product knows of it. Python's `time.time` runs ahead. In the database, a function
`now()` that runs ahead is found before PostgreSQL's own. Redis' keys lose from their lifetimes what
passes, and its streams continue with later ids.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import redis
import sqlalchemy as sa

DAY_S = 86_400
_INSTALL = """
CREATE SCHEMA moved;
CREATE TABLE moved.clock (ahead interval NOT NULL);
INSERT INTO moved.clock VALUES ('0');
CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql STABLE
    AS 'SELECT pg_catalog.now() + ahead FROM moved.clock';
CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
    AS 'SELECT pg_catalog.clock_timestamp() + ahead FROM moved.clock';
"""
# The defaults of columns were bound to PostgreSQL's own function when the tables were made.
_DEFAULTS = sa.text("""
    SELECT format('ALTER TABLE %I ALTER %I SET DEFAULT public.now()', table_name, column_name)
    FROM information_schema.columns
    WHERE table_schema = 'public' AND column_default LIKE '%now()%'
""")


class MovedClock:
    """The clocks of one database, one Redis and this process."""

    def __init__(self, engine: sa.Engine, client: redis.Redis) -> None:
        self._engine, self._client = engine, client
        self.ahead_s = 0.0
        self._time, self._time_ns = time.time, time.time_ns

    def install(self) -> None:
        """Let the database find the functions that run ahead; its sessions begin anew."""
        with self._engine.begin() as connection:
            connection.exec_driver_sql(_INSTALL)
            for (statement,) in connection.execute(_DEFAULTS).all():
                connection.exec_driver_sql(statement)
            name = connection.execute(sa.text("SELECT current_database()")).scalar_one()
            connection.exec_driver_sql(
                f'ALTER DATABASE "{name}" SET search_path = public, pg_catalog'
            )
        self._engine.dispose()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let Python's clock run ahead in the block."""
        with (
            patch("time.time", lambda: self._time() + self.ahead_s),
            patch("time.time_ns", lambda: self._time_ns() + int(self.ahead_s * 1e9)),
        ):
            yield

    def advance(self, days: float) -> None:
        """Let days pass on all clocks."""
        self.ahead_s += days * DAY_S
        with self._engine.begin() as connection:
            connection.execute(
                sa.text("UPDATE moved.clock SET ahead = make_interval(secs => :s)"),
                {"s": self.ahead_s},
            )
        self._age_keys(int(days * DAY_S * 1000))

    def _age_keys(self, passed_ms: int) -> None:
        client = self._client
        keys = list(client.scan_iter("*", count=1000))
        with client.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.pttl(key)
                pipe.type(key)
            answers: Any = pipe.execute()
        later = f"{int((self._time() + self.ahead_s) * 1000)}-0"
        with client.pipeline(transaction=False) as pipe:
            for key, left, kind in zip(keys, answers[::2], answers[1::2], strict=True):
                if left > passed_ms:
                    pipe.pexpire(key, left - passed_ms)
                elif left >= 0:
                    pipe.delete(key)
                if kind == b"stream":
                    # An entry's id is never lower than the one before it.
                    pipe.execute_command("XSETID", key, later)
            pipe.execute()
