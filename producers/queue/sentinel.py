"""Connections to the Redis that Sentinels name: each new connection asks them for the primary.

redis-py's classes find the primary. What is added here: the URL, and errors without passwords.

https://valkey.io/topics/sentinel/
"""

from __future__ import annotations

import re
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.exceptions import RedisError
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool

from trackrelay.configuration.server_urls import SentinelAddress, sentinel_address

#: The longest wait for one Sentinel. The others are asked after it.
MAX_WAIT_S = 1.0
#: Most characters of a Sentinel's reason that an error shows.
MAX_REASON_CHARACTERS = 200
#: How redis-py begins the error of a connection. The place is said anyway.
_CONNECTING = re.compile(r"^Error (?:-?\d+ )?connecting to \S+ ")


class Sentinels(Sentinel):
    """The Sentinels of one Redis."""

    def discover_master(self, service_name: str) -> tuple[str, int]:
        """Return host and port of the primary, by the first Sentinel that knows it.

        Raises:
            MasterNotFoundError: none of them does. The message has the reason of each.
        """
        # redis-py moves the one that answered to the front, which is not safe among threads. Its
        # error shows each Sentinel's client; in older versions, with the password.
        asked = list(self.sentinels)
        reasons: dict[str, list[str]] = {}
        for sentinel in asked:
            try:
                known: Any = sentinel.sentinel_masters()
            except RedisError as error:
                reason = _reason(error)
            else:
                state = known.get(service_name)
                if state and self.check_master_state(state, service_name):  # type: ignore[no-untyped-call]
                    self.sentinels = [sentinel, *(each for each in asked if each is not sentinel)]
                    return str(state["ip"]), int(state["port"])
                reason = "it knows the primary as down" if state else "it does not watch this name"
            reasons.setdefault(reason, []).append(_place(sentinel))
        told = "; ".join(f"{', '.join(places)}: {reason}" for reason, places in reasons.items())
        raise MasterNotFoundError(
            f"none of {len(asked)} Sentinels knows a primary of {service_name!r}: {told}"
        )


def _reason(error: RedisError) -> str:
    text = _CONNECTING.sub("", str(error)).rstrip(".") or type(error).__name__
    return text[:MAX_REASON_CHARACTERS]


def _place(sentinel: Redis) -> str:
    where = sentinel.connection_pool.connection_kwargs
    return f"{where['host']}:{where['port']}"


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
