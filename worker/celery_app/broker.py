"""Celery's connection to Redis: it leaves replicas, and drops messages that are not ours.

kombu treats the refusal of a replica as an error of its channel, and keeps the connection. As an
error of the connection, it makes Celery connect anew. A message that cannot be decoded would end
the worker.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from typing import Any

import redis
from celery.app.amqp import AMQP
from kombu.connection import Connection
from kombu.transport import redis as kombu_redis
from redis import sentinel as redis_sentinel

from trackrelay.configuration.server_urls import is_sentinel
from trackrelay.queue.redis_keys import QUEUE
from trackrelay.queue.sentinel import sentinel_pool
from trackrelay.worker.queue.redis_client import TIMEOUT_S, LeavesReplicas
from trackrelay.worker.settings import settings

from .celery_messages import NotOursError, checked, log_dropped

#: Where kombu decodes messages.
_DECODERS = ("kombu.utils.json", "kombu.utils.encoding")


class _PlainConnection(LeavesReplicas, redis.Connection):
    pass


class _TLSConnection(LeavesReplicas, redis.SSLConnection):
    pass


class _SentinelConnection(LeavesReplicas, redis_sentinel.SentinelManagedConnection):
    pass


class _SentinelTLSConnection(LeavesReplicas, redis_sentinel.SentinelManagedSSLConnection):
    pass


#: Options of kombu's connections that hold for those by Sentinel too. The others are in our URL.
_KEPT_OPTIONS = (
    "connection_class",
    "max_connections",
    "socket_timeout",
    "socket_connect_timeout",
    "socket_keepalive",
    "health_check_interval",
)


def _is_of_decoding(error: Exception) -> bool:
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_globals.get("__name__") in _DECODERS for frame, _ in frames)


class _JsonOnly:
    """A mixin for kombu's channels that drops messages that are not JSON."""

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[misc]
        except Exception as error:
            if not _is_of_decoding(error):
                raise
            # The message is off the list already. Go on with the next one.
            log_dropped(f"it is not JSON: {type(error).__name__}")
            return True


class Channel(_JsonOnly, kombu_redis.Channel):
    """kombu's channel, on connections that leave a replica."""

    connection_class = _PlainConnection
    connection_class_ssl = _TLSConnection


class SentinelChannel(_JsonOnly, kombu_redis.SentinelChannel):
    """kombu's channel, on connections to the primary that Sentinels name."""

    connection_class: Any = _SentinelConnection

    def _sentinel_managed_pool(self, asynchronous: bool = False) -> Any:
        # The pool of the settings' URL: kombu's has no login at the Sentinels in a URL, and its
        # errors can show passwords.
        url = settings().redis_url.get_secret_value()
        if url.startswith("sentinels://"):
            self.connection_class = _SentinelTLSConnection
        options = self._connparams(asynchronous)  # type: ignore[no-untyped-call]
        kept = {name: options[name] for name in _KEPT_OPTIONS if options.get(name) is not None}
        pool = sentinel_pool(url, TIMEOUT_S, kept)
        # kombu closes them with the channel.
        if asynchronous:
            self._async_sentinel_manager = pool.sentinel_manager
        else:
            self._sentinel_manager = pool.sentinel_manager
        return pool


class Transport(kombu_redis.Transport):
    """kombu's transport, on our channels.

    An application's Celery in the same process keeps its own.
    """

    Channel = Channel

    def _deliver(self, message: Any, queue: str) -> None:
        if queue == QUEUE:
            try:
                message = checked(message)
            except NotOursError as error:
                log_dropped(str(error))
                return
            if queue not in self._callbacks:
                # The worker is stopping. kombu would do the same, and log a warning.
                self._reject_inbound_message(message)  # type: ignore[no-untyped-call]
                return
        super()._deliver(message, queue)  # type: ignore[no-untyped-call]


class SentinelTransport(Transport):
    """Our transport, on a Redis that Sentinels watch."""

    Channel: Any = SentinelChannel


class BrokerConnection(Connection):
    """kombu's connection, always on our transport."""

    def get_transport_cls(self) -> Any:
        """Return our transport, whatever the URL's scheme."""
        by_sentinel = is_sentinel(settings().redis_url.get_secret_value())
        return SentinelTransport if by_sentinel else Transport

    def _info(self, resolve: bool = True) -> Iterator[tuple[str, Any]]:
        # kombu's pools make their connections from this, and those are of kombu's class.
        for name, value in super()._info(resolve):  # type: ignore[no-untyped-call]
            is_class = name == "transport" and not resolve
            yield name, self.get_transport_cls() if is_class else value


class BrokerAMQP(AMQP):  # type: ignore[misc]
    """Celery's AMQP class, on our connections."""

    Connection = BrokerConnection
