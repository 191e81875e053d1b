"""Connections to the outbox's database by URL, for the producer's fallback and the relay."""

from __future__ import annotations

import importlib.util
from typing import Any

import sqlalchemy as sa

from trackrelay.configuration import server_urls
from trackrelay.errors import ConfigurationError

_DRIVERS = ("psycopg", "psycopg2")


def make_engine(url: str, *, timeout_s: float, pool_size: int = 2) -> sa.Engine:
    """Return an engine for ``TRACKRELAY_OUTBOX_URL``. It connects at first use.

    Args:
        url: ``postgresql://`` (also ``postgres://`` and ``postgresql+psycopg://``) or
            ``sqlite:///``.
        timeout_s: seconds that connecting (PostgreSQL) or waiting for a lock (SQLite) may take.

    Raises:
        ConfigurationError: it is another kind of database, or its driver is not installed.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite":
        return sa.create_engine(parsed, hide_parameters=True, connect_args={"timeout": timeout_s})
    options: dict[str, Any] = {
        "connect_timeout": max(1, round(timeout_s)),
        "application_name": "trackrelay-outbox",
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,
    }
    if parsed.drivername == "postgresql+psycopg":
        # Behind a connection pooler, a prepared statement may be missing on the next connection.
        options["prepare_threshold"] = None
    return sa.create_engine(
        parsed,
        hide_parameters=True,
        connect_args=options,
        pool_size=pool_size,
        pool_timeout=timeout_s,
        pool_pre_ping=True,
    )


def _parsed(url: str) -> sa.URL:
    __traceback_hide__ = True  # debug pages show the variables of a frame, passwords among them
    try:
        url = server_urls.outbox_url(url)
    except ValueError as error:
        raise ConfigurationError(
            f"TRACKRELAY_OUTBOX_URL {str(error).removeprefix('it ')}"
        ) from None
    scheme, _, rest = url.partition("://")
    kind, _, driver = scheme.partition("+")
    if kind == "sqlite" and driver in ("", "pysqlite"):
        return sa.make_url(url)
    if kind not in ("postgres", "postgresql") or (driver and driver not in _DRIVERS):
        raise ConfigurationError(
            "TRACKRELAY_OUTBOX_URL must begin with postgresql://, postgres://, "
            "postgresql+psycopg:// or sqlite:///; its "
            f"scheme is {scheme[:20]!r}"
        )
    return sa.make_url(f"postgresql+{driver or _installed()}://{rest}")


def _installed() -> str:
    for driver in _DRIVERS:
        if importlib.util.find_spec(driver):
            return driver
    raise ConfigurationError(
        "TRACKRELAY_OUTBOX_URL names a PostgreSQL, but no driver is installed: pip install "
        "'psycopg[binary]'"
    )
