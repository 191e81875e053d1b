"""Connections to the Redis that Sentinels name: each new connection asks them for the primary.

redis-py's classes find the primary. What is added here: the URL, and errors without passwords.

https://valkey.io/topics/sentinel/
"""

from __future__ import annotations

from copy import copy
from typing import Any

from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.exceptions import RedisError
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool

from trackrelay.configuration.server_urls import SentinelAddress, sentinel_address

#: The longest wait for one Sentinel. The others are asked after it.
MAX_WAIT_S = 1.0


class Sentinels(Sentinel):
    """The Sentinels of one Redis."""

    def discover_master(self, service_name: str) -> tuple[str, int]:
        """Return host and port of the primary, by the first Sentinel that knows it.

        Raises:
            MasterNotFoundError: none of them does.
        """
        # redis-py moves the one that answered to the front, which is not safe among threads.
        asked = copy(self)
        asked.sentinels = list(self.sentinels)
        try:
            host, port = Sentinel.discover_master(asked, service_name)  # type: ignore[no-untyped-call]
        except RedisError as error:
            # redis-py's text shows each Sentinel's client; older versions show its password too.
            kind = "" if isinstance(error, MasterNotFoundError) else f" ({type(error).__name__})"
            raise MasterNotFoundError(
                f"none of {len(self.sentinels)} Sentinels knows a primary of {service_name!r}{kind}"
            ) from None
        self.sentinels = asked.sentinels
        return str(host), int(port)


def sentinels_of(address: SentinelAddress, timeout_s: float) -> Sentinels:
    """Return the Sentinels, none of which is waited for longer than its part of ``timeout_s``."""
    options = sentinel_options(address, timeout_s)
    return Sentinels(address.sentinels, sentinel_kwargs=options)  # type: ignore[no-untyped-call]


def sentinel_options(address: SentinelAddress, timeout_s: float) -> dict[str, Any]:
    """Return redis-py's options for connections to the Sentinels."""
    # One more part than Sentinels: after them, the primary needs time.
    wait_s = min(MAX_WAIT_S, timeout_s / (len(address.sentinels) + 1))
    return {
        **_tls_options(address),
        "username": address.sentinel_user,
        "password": address.sentinel_password,
        "socket_timeout": wait_s,
        "socket_connect_timeout": wait_s,
        "retry": Retry(NoBackoff(), 0),
    }


def sentinel_pool(url: str, timeout_s: float, options: dict[str, Any]) -> SentinelConnectionPool:
    """Return a pool of connections to the primary.

    Args:
        url: with the scheme ``sentinel`` or ``sentinels``, as the settings have it.
        timeout_s: for asking the Sentinels.
        options: redis-py's, for connections to the primary. They win over those in the URL.
    """
    address = sentinel_address(url)
    written: dict[str, Any] = parse_url(address.redis_url)  # type: ignore[no-untyped-call]
    written.pop("connection_class", None)
    if address.uses_tls:
        written["ssl"] = True
    sentinels = sentinels_of(address, timeout_s)
    return SentinelConnectionPool(  # type: ignore[no-untyped-call]
        address.service, sentinels, **(written | options)
    )


def _tls_options(address: SentinelAddress) -> dict[str, Any]:
    if not address.uses_tls:
        return {}
    written: dict[str, Any] = parse_url(address.redis_url)  # type: ignore[no-untyped-call]
    tls = {name: value for name, value in written.items() if name.startswith("ssl_")}
    return {"ssl": True, **tls}
