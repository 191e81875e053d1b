"""The worker's connection to Redis: bounded waits, no command ever repeated by itself, and no server kept that lost its rank.

After a failover the old primary may live on as a replica. It answers, and refuses every write, for as long as the connection
stands. Such an answer therefore ends the connection, and the idle ones beside it: the next command connects anew, by the name
in the settings, and reaches the new primary.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import redis
from redis.exceptions import (
    BusyLoadingError,
    ConnectionError,
    MasterDownError,
    ReadOnlyError,
    ResponseError,
)

from trackrelay.queue.connections import connection_options
from trackrelay.worker.settings import Settings

#: Seconds a command may take: a read of a thousand entries from a busy server included.
TIMEOUT_S = 10.0

#: Within the answer to a script, which Redis 6 wraps in words of its own.
_DEMOTED = re.compile(r"(?:^|[\s-])(READONLY|MASTERDOWN|LOADING|UNBLOCKED)\b")


class NotPrimaryError(ConnectionError):
    """The server takes no writes: it is a replica now, or still loads its data."""


def is_demoted(error: Exception) -> bool:
    """Whether a server that answers ``error`` is no primary any more, or not yet."""
    if isinstance(error, ReadOnlyError | MasterDownError | BusyLoadingError):
        return True
    return isinstance(error, ResponseError) and _DEMOTED.search(str(error)) is not None


class LeavesReplicas:
    """Mixed into a connection class of redis-py: ends a connection to a server that is no primary."""

    #: Called when the server turned out to be no primary.
    on_demoted: Callable[[], None] | None = None

    def read_response(self, *args: Any, **options: Any) -> Any:
        """Read an answer as redis-py does."""
        try:
            return super().read_response(*args, **options)  # type: ignore[misc]
        except (ResponseError, BusyLoadingError) as error:
            if not is_demoted(error):
                raise
            self.disconnect()  # type: ignore[attr-defined]
            if self.on_demoted:
                self.on_demoted()
            raise NotPrimaryError(
                f"this Redis takes no writes, connecting anew: {error}"
            ) from error


def connect(configured: Settings) -> redis.Redis:
    """A client for the worker and the command line; connects at first use."""
    pool = redis.ConnectionPool.from_url(
        configured.redis_url.get_secret_value(), **connection_options(TIMEOUT_S)
    )

    def drop_idle() -> None:
        pool.disconnect(inuse_connections=False)

    members = {"on_demoted": staticmethod(drop_idle)}
    pool.connection_class = type("Connection", (LeavesReplicas, pool.connection_class), members)
    return redis.Redis.from_pool(pool)


def broker_url_of(url: str) -> str:
    """Return the URL in Celery's form, which has another name for a Unix socket and for the number of its database."""
    scheme, _, rest = str(url).partition("://")
    if scheme != "unix":
        return str(url)
    where, _, query = rest.partition("?")
    return f"redis+socket://{where}?virtual_host={parse_qs(query).get('db', ['0'])[0]}"
