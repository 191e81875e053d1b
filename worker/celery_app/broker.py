"""Celery's connection to Redis: it leaves replicas, and drops messages that are not ours.

kombu treats the refusal of a replica as an error of its channel, and keeps the connection. As an
error of the connection, it makes Celery connect anew. A message that cannot be decoded would end
the worker.
"""

from __future__ import annotations

import traceback
from typing import Any

import redis
from celery.app.amqp import AMQP
from kombu.connection import Connection
from kombu.transport import redis as kombu_redis

from trackrelay.queue.redis_keys import QUEUE
from trackrelay.worker.queue.redis_client import LeavesReplicas

from .celery_messages import NotOursError, checked, log_dropped

#: Where kombu decodes messages.
_DECODERS = ("kombu.utils.json", "kombu.utils.encoding")


class _PlainConnection(LeavesReplicas, redis.Connection):
    pass


class _TLSConnection(LeavesReplicas, redis.SSLConnection):
    pass


def _is_of_decoding(error: Exception) -> bool:
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_globals.get("__name__") in _DECODERS for frame, _ in frames)


class Channel(kombu_redis.Channel):
    """kombu's channel, on connections that leave a replica. It drops messages that are not JSON."""

    connection_class = _PlainConnection
    connection_class_ssl = _TLSConnection

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]
        except Exception as error:
            if not _is_of_decoding(error):
                raise
            # The message is off the list already. Go on with the next one.
            log_dropped(f"it is not JSON: {type(error).__name__}")
            return True


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


class BrokerConnection(Connection):
    """kombu's connection, always on our transport."""

    def get_transport_cls(self) -> Any:
        """Return our transport, whatever the URL's scheme."""
        return Transport


class BrokerAMQP(AMQP):  # type: ignore[misc]
    """Celery's AMQP class, on our connections."""

    Connection = BrokerConnection
