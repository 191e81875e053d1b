"""The worker's connection to Redis: bounded waits, and no command ever repeated by itself."""

from __future__ import annotations

from urllib.parse import parse_qs

import redis

from producers.connections import connection_options

from .settings import Settings

#: Seconds a command may take: a read of a thousand entries from a busy server included.
TIMEOUT_S = 10.0


def connect(configured: Settings) -> redis.Redis:
    """A client for the worker and the command line; connects at first use."""
    return redis.Redis.from_url(configured.redis_url.get_secret_value(), **connection_options(TIMEOUT_S))


def broker_url_of(url: str) -> str:
    """Return the URL in Celery's form, which has another name for a Unix socket and for the number of its database."""
    scheme, _, rest = str(url).partition("://")
    if scheme != "unix":
        return str(url)
    where, _, query = rest.partition("?")
    return f"redis+socket://{where}?virtual_host={parse_qs(query).get('db', ['0'])[0]}"
