"""The worker's connection to Redis: bounded waits, no automatic retries, and never to a replica.

After a failover the old primary may continue as a replica, which answers and refuses every write.
Such an answer closes the connection and the pool's idle ones. The next command connects again, by
the name in the settings or by Sentinel, and reaches the new primary.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, quote, urlencode

import redis
from redis.exceptions import (
    BusyLoadingError,
    ConnectionError,
    MasterDownError,
    ReadOnlyError,
    ResponseError,
)

from trackrelay.configuration.server_urls import is_sentinel, sentinel_address
from trackrelay.queue.connections import make_pool
from trackrelay.worker.settings import Settings

#: Seconds that a command may take. A busy server needs some for a read of a thousand entries.
TIMEOUT_S = 10.0

#: Also matches inside the error of a script, which Redis 6 embeds in a message of its own.
_DEMOTED = re.compile(r"(?:^|[\s-])(READONLY|MASTERDOWN|LOADING|UNBLOCKED)\b")


class NotPrimaryError(ConnectionError):
    """The server accepts no writes: it is a replica, or still loads its data."""


def is_demoted(error: Exception) -> bool:
    """Return whether ``error`` says that the server is not a primary, or not yet."""
    if isinstance(error, ReadOnlyError | MasterDownError | BusyLoadingError):
        return True
    return isinstance(error, ResponseError) and _DEMOTED.search(str(error)) is not None


class LeavesReplicas:
    """A mixin for redis-py's connection classes that closes a connection to a replica."""

    #: Called when the server is not a primary.
    on_demoted: Callable[[], None] | None = None

    def read_response(self, *args: Any, **options: Any) -> Any:
        """Read a reply as redis-py does."""
        try:
            return super().read_response(*args, **options)  # type: ignore[misc]
        except (ResponseError, BusyLoadingError) as error:
            if not is_demoted(error):
                raise
            self.disconnect()  # type: ignore[attr-defined]
            if self.on_demoted:
                self.on_demoted()
            raise NotPrimaryError(
                f"this Redis accepts no writes, connecting again: {error}"
            ) from error


def connect(configured: Settings) -> redis.Redis:
    """Return a client for workers and commands. It connects at first use."""
    pool = make_pool(configured.redis_url.get_secret_value(), TIMEOUT_S)

    def drop_idle() -> None:
        pool.disconnect(inuse_connections=False)

    members = {"on_demoted": staticmethod(drop_idle)}
    pool.connection_class = type("Connection", (LeavesReplicas, pool.connection_class), members)
    return redis.Redis.from_pool(pool)


def broker_url_of(url: str) -> str:
    """Return the URL in the form that Celery reads in the same way as redis-py.

    kombu writes Unix sockets differently. It takes user and password from the place of the server
    alone, and the database from the path. It fails on options that it does not know, its timeouts
    are Celery's own, and it does not verify a certificate unless an option says so.

    By Sentinel, Celery only shows this URL; see ``celery_app/broker.py``.
    """
    options = {name: values[0] for name, values in parse_qs(url.partition("?")[2]).items()}
    if is_sentinel(url):
        host, port = sentinel_address(url).sentinels[0]
        return f"sentinel://{f'[{host}]' if ':' in host else host}:{port}/{options.get('db', '0')}"
    scheme, _, rest = str(url).partition("://")
    server, _, path = rest.partition("?")[0].partition("/")
    login, _, host = server.rpartition("@")
    user, _, password = login.partition(":")
    # As in redis-py, an option counts where the place of the server has none.
    user = user or quote(options.get("username", ""), safe="")
    password = password or quote(options.get("password", ""), safe="")
    server = f"{user}{':' if password else ''}{password}{'@' if user or password else ''}{host}"
    if scheme == "unix":
        return f"redis+socket://{server}/{path}?virtual_host={options.get('db', '0')}"
    kept = {name: value for name, value in options.items() if name.startswith("ssl_")}
    if scheme == "rediss":
        kept.setdefault("ssl_cert_reqs", "required")
    tail = f"?{urlencode(kept)}" if kept else ""
    return f"{scheme}://{server}/{options.get('db') or path or '0'}{tail}"
