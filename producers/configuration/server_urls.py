"""URLs of servers: they are checked, normalised, and never shown, as they may hold passwords.

Libraries disagree about a password with a ``/`` or an ``@`` in it, and print what they take for the
host or the port. A URL that passes these checks means the same to redis-py, kombu and SQLAlchemy.
Messages never quote a part of a URL. Each message is a sentence whose subject is "it".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, unquote, urlsplit

REDIS_SCHEMES = ("redis", "rediss", "unix")
POSTGRES_SCHEMES = ("postgres", "postgresql")
#: Schemes of a database with an outbox. PostgreSQL's may name a driver.
OUTBOX_SCHEMES = ("postgresql", "postgres", "sqlite")

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,19}")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_HOST = re.compile(r"(?:\[[0-9A-Za-z:.%]+\]|[^@:/?#\[\]\\,;\s]*)")

_ENCODE = "percent-encode '/', '?', '#' and '@' in user and password, as %2F, %3F, %23 and %40"


class HiddenUrl(str):
    """A URL whose repr shows only the server.

    Debug pages and error trackers print the variables of a frame.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<URL of {place(self)}>"


@dataclass(frozen=True, slots=True, repr=False)
class _Parts:
    scheme: str
    user: str
    password: str | None
    host: str
    port: str | None
    #: Path and query, as written.
    tail: str

    @property
    def path(self) -> str:
        return self.tail.partition("?")[0]

    def url(self) -> HiddenUrl:
        who = quote(unquote(self.user), safe="")
        if self.password is not None:
            who += f":{quote(unquote(self.password), safe='')}"
        port = "" if self.port is None else f":{self.port}"
        at = "@" if who else ""
        return HiddenUrl(f"{self.scheme}://{who}{at}{self.host}{port}{self.tail}")


def redis_url(text: str) -> HiddenUrl:
    """Return the URL of a Redis in a form that every library reads in the same way.

    Raises:
        ValueError: the URL is wrong. The message says why, and quotes no part of it.
    """
    parts = _split(text, REDIS_SCHEMES, "redis://, rediss:// or unix://")
    if parts.user and parts.password is None:
        raise ValueError(
            "it names a user and no password; one without a user is written redis://:password@host"
        )
    if parts.scheme == "unix":
        if parts.host or not parts.path.strip("/"):
            raise ValueError("it must hold the path of the socket, as in unix:///run/redis.sock")
    elif parts.path.strip("/") and not parts.path.strip("/").isdecimal():
        raise ValueError(
            "it must have the number of a database after the host, as in redis://host:6379/0"
        )
    return parts.url()


def postgres_url(text: str) -> HiddenUrl:
    """Return a PostgreSQL URL with psycopg's scheme, as SQLAlchemy reads it correctly.

    Raises:
        ValueError: as for :func:`redis_url`.
    """
    schemes = (*POSTGRES_SCHEMES, "postgresql+psycopg")
    parts = _split(text, schemes, "postgresql://, postgres:// or postgresql+psycopg://")
    return HiddenUrl(f"postgresql+psycopg://{parts.url().partition('://')[2]}")


def outbox_url(text: str) -> HiddenUrl:
    """Return the URL of an outbox's database, as SQLAlchemy reads it correctly.

    Raises:
        ValueError: as for :func:`redis_url`.
    """
    expected = "postgresql://, postgres:// or sqlite:///"
    if text.startswith(("sqlite:///", "sqlite+pysqlite:///")):
        return HiddenUrl(text)
    return _split(text, OUTBOX_SCHEMES, expected, with_driver=True).url()


def web_url(text: str) -> None:
    """Raise an error for a URL of a web server or proxy that libraries read differently.

    Raises:
        ValueError: as for :func:`redis_url`.
    """
    parts = _split(
        text, ("http", "https", "socks4", "socks4a", "socks5", "socks5h"), "http:// or https://"
    )
    if not parts.host:
        raise ValueError("it names no host")
    if re.search(r"[\[\]]", parts.user + (parts.password or "")):
        raise ValueError(
            "it has a bracket in user or password: percent-encode '[' and ']', as %5B and %5D"
        )


def place(url: str) -> str:
    """Return host, port and path of a URL; "an unknown place" if it is wrong."""
    if url.startswith("sqlite"):
        return urlsplit(url).path.removeprefix("/") or "memory"
    try:
        parts = _split(url, None, "")
    except ValueError:
        return "an unknown place"
    asked = parse_qs(parts.tail.partition("?")[2])
    host = parts.host + ("" if parts.port is None else f":{parts.port}") or ",".join(
        asked.get("host", [])
    )
    return f"{host}{unquote(parts.path).rstrip('/')}" or "an unknown place"


def _split(
    text: str, schemes: Sequence[str] | None, expected: str, *, with_driver: bool = False
) -> _Parts:
    scheme, separator, rest = text.partition("://")
    if not separator or not _SCHEME.fullmatch(scheme):
        raise ValueError(f"it must begin with {expected}; it has no scheme")
    known = scheme.partition("+")[0] if with_driver else scheme
    if schemes is not None and known not in schemes:
        raise ValueError(f"it must begin with {expected}; its scheme is {scheme!r}")
    if _UNPRINTABLE.search(rest):
        raise ValueError(
            "it holds a control character or bytes that are not UTF-8: percent-encode them"
        )
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    tail = rest[len(authority) :]
    # The host ends at the first of these characters. An "@" after it means that they belong to a
    # password.
    if "@" in tail:
        raise ValueError(f"it has an '@' after the host: {_ENCODE}")
    if "#" in tail:
        raise ValueError(f"it has a '#': {_ENCODE}")
    who, _, where = authority.rpartition("@")
    user, colon, password = who.partition(":")
    if "postgres" in scheme and "," in where:
        raise ValueError("it names several hosts: write them as ?host=a:5432&host=b:5432")
    host, port = _host_and_port(where)
    parts = _Parts(scheme, user, password if colon else None, host, port, tail)
    try:
        urlsplit(parts.url())
    except ValueError:
        raise ValueError("it names a host with a character that no host name has") from None
    return parts


def _host_and_port(text: str) -> tuple[str, str | None]:
    host = _HOST.match(text)
    after = text[host.end() :] if host else text
    if host is None or (after and not after.startswith(":")):
        raise ValueError("it names a host with a character that no host name has")
    if after and not (
        after[1:].isdecimal()
        and after.isascii()
        and 0 < int(after[1:6]) < 65_536
        and len(after) < 7
    ):
        raise ValueError(
            "it has a port that is not a number from 1 to 65535 "
            f"(if that is part of a password: {_ENCODE})"
        )
    if after and not host[0]:
        raise ValueError("it names a port and no host")
    return host[0], after[1:] or None
