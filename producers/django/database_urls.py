"""A database of Django's as a URL, for the relay and the command line, which connect by themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from trackrelay.configuration.server_urls import postgres_url

#: What libpq takes in a URL as Django takes it in OPTIONS.
_PASSED_ON = frozenset(
    {
        *("sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword"),
        *("service", "passfile", "requirepeer", "channel_binding", "gssencmode"),
        *("options", "target_session_attrs"),
    }
)


def url_of(connection: Any) -> str:
    """The URL of the database behind ``connection``; ``""`` if it is neither PostgreSQL nor SQLite, or has no file."""
    __traceback_hide__ = True  # debug pages show the variables of a frame, passwords among them
    told = connection.settings_dict
    if connection.vendor == "sqlite":
        return _sqlite(str(told["NAME"]))
    return _postgresql(told) if connection.vendor == "postgresql" else ""


def _sqlite(name: str) -> str:
    # A database in memory is nobody else's.
    if ":memory:" in name or "mode=memory" in name:
        return ""
    return f"sqlite:///{Path(name).resolve()}"


def _postgresql(told: dict[str, Any]) -> str:
    __traceback_hide__ = True  # debug pages show the variables of a frame, passwords among them
    query = {name: value for name, value in told.get("OPTIONS", {}).items() if name in _PASSED_ON}
    host = str(told.get("HOST") or "")
    if host.startswith("/"):
        query, host = {"host": host, **query}, ""
    user = quote(str(told.get("USER") or ""), safe="")
    password = f":{quote(str(told['PASSWORD']), safe='')}" if told.get("PASSWORD") else ""
    port = f":{told['PORT']}" if told.get("PORT") else ""
    host = f"[{host}]" if ":" in host else host
    who = f"{user}{password}@" if user else ""
    name = quote(str(told.get("NAME") or ""), safe="")
    return f"postgresql://{who}{host}{port}/{name}" + (f"?{urlencode(query)}" if query else "")


_THIS_MACHINE = {"", "localhost", "127.0.0.1", "::1"}


def place_of(url: str) -> str:
    """Where a PostgreSQL is, without what is secret: host, port and database, the same however this machine is called.

    Raises:
        ValueError: it is no URL of a PostgreSQL.
    """
    parts = urlsplit(postgres_url(url))
    host = parts.hostname or parse_qs(parts.query).get("host", [""])[0]
    host = "localhost" if host in _THIS_MACHINE or host.startswith("/") else host
    return f"{host}:{parts.port or 5432}/{unquote(parts.path[1:])}"
