"""Celery's own connection to Redis, which leaves a server that is no primary any more.

kombu takes the refusal of a replica for an error of its channel, and keeps the connection. Made an error of the connection, it
makes Celery connect anew.
"""

from __future__ import annotations

from typing import Any

import redis
from celery.app.amqp import AMQP
from kombu.connection import Connection
from kombu.transport import redis as kombu_redis

from .redis_client import LeavesReplicas


class _PlainConnection(LeavesReplicas, redis.Connection):
    pass


class _TLSConnection(LeavesReplicas, redis.SSLConnection):
    pass


class Channel(kombu_redis.Channel):
    """kombu's, on connections that leave a replica."""

    connection_class = _PlainConnection
    connection_class_ssl = _TLSConnection


class Transport(kombu_redis.Transport):
    """kombu's, on our channels."""

    Channel = Channel


class BrokerConnection(Connection):
    """kombu's, which goes by the name that the URL gives it."""

    def get_transport_cls(self) -> Any:
        """Our transport, whatever the URL's scheme."""
        return Transport


class BrokerAMQP(AMQP):  # type: ignore[misc]
    """Celery's, on our connections."""

    Connection = BrokerConnection
