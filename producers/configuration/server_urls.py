"""URLs of servers: they are checked, normalised, and never shown, as they may hold passwords.

Libraries disagree about a password with a ``/`` or an ``@`` in it, and print what they take for the
host or the port. A URL that passes these checks means the same to redis-py, kombu and SQLAlchemy.
Messages never quote a part of a URL. Each message is a sentence whose subject is "it".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

REDIS_SCHEMES = ("redis", "rediss", "unix")
#: The queue's Redis, found by Redis Sentinels; with the second one, all connections use TLS.
SENTINEL_SCHEMES = ("sentinel", "sentinels")
POSTGRES_SCHEMES = ("postgres", "postgresql")
DEFAULT_POSTGRES_PORT = "5432"
DEFAULT_SENTINEL_PORT = "26379"
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
    #: Each with its port, if one is written.
    hosts: tuple[tuple[str, str | None], ...]
    #: Path and query, as written.
    tail: str

    @property
    def path(self) -> str:
        return self.tail.partition("?")[0]

    @property
    def query(self) -> str:
        return self.tail.partition("?")[2]

    @property
    def where(self) -> str:
        """The hosts as they are written."""
        return ",".join(host if port is None else f"{host}:{port}" for host, port in self.hosts)

    @property
    def who(self) -> str:
        """User and password, encoded alike for every library, with the "@"."""
        who = quote(unquote(self.user), safe="")
        if self.password is not None:
            who += f":{quote(unquote(self.password), safe='')}"
        return f"{who}@" if who else ""

    def url(self) -> HiddenUrl:
        return HiddenUrl(f"{self.scheme}://{self.who}{self.where}{self.tail}")


def redis_url(text: str) -> HiddenUrl:
    """Return the URL of a Redis in a form that every library reads in the same way.

    Raises:
        ValueError: the URL is wrong. The message says why, and quotes no part of it.
    """
    parts = _split(
        text,
        (*REDIS_SCHEMES, *SENTINEL_SCHEMES),
        "redis://, rediss://, unix://, sentinel:// or sentinels://",
    )
    if parts.user and parts.password is None:
        raise ValueError(
            "it names a user and no password; one without a user is written redis://:password@host"
        )
    if parts.scheme in SENTINEL_SCHEMES:
        _check_sentinels(parts)
    elif len(parts.hosts) > 1:
        raise ValueError(
            "it names several hosts: the Sentinels of a Redis are written as "
            "sentinel://a:26379,b:26379,c:26379/mymaster; Redis Cluster is not supported"
        )
    elif parts.scheme == "unix":
        if parts.where or not parts.path.strip("/"):
            raise ValueError("it must hold the path of the socket, as in unix:///run/redis.sock")
    elif parts.path.strip("/") and not parts.path.strip("/").isdecimal():
        raise ValueError(
            "it must have the number of a database after the host, as in redis://host:6379/0"
        )
    return parts.url()


def postgres_url(text: str) -> HiddenUrl:
    """Return a PostgreSQL URL with psycopg's scheme, as SQLAlchemy reads it correctly.

    It may name several hosts, as libpq's URLs do: ``postgresql://a:5432,b:5432/db``. Then a
    connection goes to the first one that accepts writes, unless ``target_session_attrs`` is given.

    Raises:
        ValueError: as for :func:`redis_url`.
    """
    schemes = (*POSTGRES_SCHEMES, "postgresql+psycopg")
    parts = _split(text, schemes, "postgresql://, postgres:// or postgresql+psycopg://")
    return HiddenUrl(f"postgresql+psycopg://{_with_hosts(parts).partition('://')[2]}")


def outbox_url(text: str) -> HiddenUrl:
    """Return the URL of an outbox's database, as SQLAlchemy reads it correctly.

    Raises:
        ValueError: as for :func:`redis_url`.
    """
    expected = "postgresql://, postgres:// or sqlite:///"
    if text.startswith(("sqlite:///", "sqlite+pysqlite:///")):
        return HiddenUrl(text)
    parts = _split(text, OUTBOX_SCHEMES, expected, with_driver=True)
    return parts.url() if parts.scheme.startswith("sqlite") else _with_hosts(parts)


@dataclass(frozen=True, slots=True, repr=False)
class SentinelAddress:
    """What a ``sentinel://`` URL holds."""

    #: Host and port of each Sentinel.
    sentinels: tuple[tuple[str, int], ...]
    #: The name under which they watch the Redis.
    service: str
    #: Login at the Sentinels, which is another one than at the Redis.
    sentinel_user: str | None
    sentinel_password: str | None
    uses_tls: bool
    #: The URL of a Redis with the same login, database and options, on no host.
    redis_url: HiddenUrl


def is_sentinel(url: str) -> bool:
    """Return whether ``url`` names the Sentinels of a Redis, and not the Redis itself."""
    return url.startswith(tuple(f"{scheme}://" for scheme in SENTINEL_SCHEMES))


def sentinel_address(url: str) -> SentinelAddress:
    """Return what a URL holds that passed :func:`redis_url`."""
    parts = _split(url, SENTINEL_SCHEMES, "sentinel:// or sentinels://")
    options = parse_qs(parts.query)
    uses_tls = parts.scheme == "sentinels"
    own = {name: options.pop(name, [None])[0] for name in ("sentinel_user", "sentinel_password")}
    tail = f"?{urlencode(options, doseq=True)}" if options else ""
    return SentinelAddress(
        sentinels=tuple(
            (host.strip("[]"), int(port or DEFAULT_SENTINEL_PORT)) for host, port in parts.hosts
        ),
        service=unquote(parts.path.strip("/")),
        sentinel_user=own["sentinel_user"],
        sentinel_password=own["sentinel_password"],
        uses_tls=uses_tls,
        redis_url=HiddenUrl(f"redis{'s' if uses_tls else ''}://{parts.who}{tail}"),
    )


def _check_sentinels(parts: _Parts) -> None:
    if not all(host for host, _ in parts.hosts):
        raise ValueError("it names no Sentinel: write sentinel://a:26379,b:26379,c:26379/mymaster")
    service = parts.path.strip("/")
    if not service or "/" in service:
        raise ValueError(
            "it must have the name under which the Sentinels watch the Redis after the hosts, "
            "as in sentinel://a:26379,b:26379,c:26379/mymaster?db=0"
        )
    if not parse_qs(parts.query).get("db", ["0"])[0].isdecimal():
        raise ValueError("it must have the number of a database, as in /mymaster?db=0")


def _with_hosts(parts: _Parts) -> HiddenUrl:
    """Return a PostgreSQL URL in which several hosts stand in the query, as SQLAlchemy wants."""
    if len(parts.hosts) > 1 and not all(host for host, _ in parts.hosts):
        raise ValueError("it names several hosts, and one of them is empty")
    listed = parse_qs(parts.query)
    several = len(parts.hosts) > 1 or len(",".join(listed.get("host", [])).split(",")) > 1
    if not several:
        return parts.url()
    query = [part for part in parts.query.split("&") if part]
    if len(parts.hosts) > 1:
        if "host" in listed or "port" in listed:
            raise ValueError("it names hosts twice: after the '@' and in its query")
        query = [f"host={host}:{port or DEFAULT_POSTGRES_PORT}" for host, port in parts.hosts] + (
            query
        )
    if "target_session_attrs" not in listed:
        # Without it, libpq takes the first host that answers, which may be a standby.
        query.append("target_session_attrs=read-write")
    where = "" if len(parts.hosts) > 1 else parts.where
    return HiddenUrl(f"{parts.scheme}://{parts.who}{where}{parts.path}?{'&'.join(query)}")


def web_url(text: str) -> None:
    """Raise an error for a URL of a web server or proxy that libraries read differently.

    Raises:
        ValueError: as for :func:`redis_url`.
    """
    parts = _split(
        text, ("http", "https", "socks4", "socks4a", "socks5", "socks5h"), "http:// or https://"
    )
    if not parts.where:
        raise ValueError("it names no host")
    if len(parts.hosts) > 1:
        raise ValueError("it names several hosts")
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
    host = parts.where or ",".join(parse_qs(parts.query).get("host", []))
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
    hosts = tuple(_host_and_port(each) for each in where.split(","))
    parts = _Parts(scheme, user, password if colon else None, hosts, tail)
    try:
        for host, _ in hosts:
            urlsplit(f"{scheme}://{parts.who}{host}{tail}")
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
