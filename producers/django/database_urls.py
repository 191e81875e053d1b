"""URLs of Django's databases, for the connections of the relay and the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from trackrelay.configuration.server_urls import postgres_url

#: Entries of Django's OPTIONS that libpq takes in a URL.
_PASSED_ON = frozenset(
    {
        *("sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword"),
        *("service", "passfile", "requirepeer", "channel_binding", "gssencmode"),
        *("options", "target_session_attrs"),
    }
)


def url_of(connection: Any) -> str:
    """Return the URL of a database on PostgreSQL or in an SQLite file, else ``""``."""
    __traceback_hide__ = True  # debug pages show the variables of a frame, passwords among them
    options = connection.settings_dict
    if connection.vendor == "sqlite":
        return _sqlite(str(options["NAME"]))
    return _postgresql(options) if connection.vendor == "postgresql" else ""


def _sqlite(name: str) -> str:
    # No other process can reach a database in memory.
    if ":memory:" in name or "mode=memory" in name:
        return ""
    return f"sqlite:///{Path(name).resolve()}"


def _postgresql(options: dict[str, Any]) -> str:
    __traceback_hide__ = True  # debug pages show the variables of a frame, passwords among them
    query = {
        name: value for name, value in options.get("OPTIONS", {}).items() if name in _PASSED_ON
    }
    host = str(options.get("HOST") or "")
    if host.startswith("/"):
        query, host = {"host": host, **query}, ""
    user = quote(str(options.get("USER") or ""), safe="")
    password = f":{quote(str(options['PASSWORD']), safe='')}" if options.get("PASSWORD") else ""
    who = f"{user}{password}@" if user else ""
    name = quote(str(options.get("NAME") or ""), safe="")
    where = _where(host, str(options.get("PORT") or ""))
    return f"postgresql://{who}{where}/{name}" + (f"?{urlencode(query)}" if query else "")


def _where(host: str, port: str) -> str:
    """Return the part of a URL that names the hosts: libpq takes several, separated by commas."""
    hosts, ports = host.split(","), port.split(",")
    if len(ports) == 1:
        ports *= len(hosts)
    return ",".join(
        (f"[{name}]" if ":" in name else name) + (f":{number}" if number else "")
        for name, number in zip(hosts, ports, strict=False)
    )


_THIS_MACHINE = {"", "localhost", "127.0.0.1", "::1"}


def place_of(url: str) -> str:
    """Return host, port and database of a PostgreSQL, without secrets.

    All names of this machine count as one.

    Raises:
        ValueError: it is not the URL of a PostgreSQL.
    """
    parts = urlsplit(postgres_url(url))
    hosts = parse_qs(parts.query).get("host", [""])
    if len(hosts) > 1:
        return f"{','.join(hosts)}/{unquote(parts.path[1:])}"
    host = parts.hostname or hosts[0]
    host = "localhost" if host in _THIS_MACHINE or host.startswith("/") else host
    return f"{host}:{parts.port or 5432}/{unquote(parts.path[1:])}"
