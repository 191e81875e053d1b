"""How the queue in Redis is set up: written once by ``trackrelay migrate``, compared by everybody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import redis

from trackrelay.operations.ids import new_id
from trackrelay.queue.job import FORMAT_VERSION
from trackrelay.queue.queue_client import DEFAULT_SHARDS
from trackrelay.queue.redis_keys import CONFIG


class QueueConfigError(Exception):
    """The queue is not set up, or not as this process expects it."""


@dataclass(frozen=True, slots=True)
class QueueConfig:
    """What is written in Redis."""

    shards: int
    format: int
    #: Made anew when Redis lost everything.
    generation: str


def read(client: redis.Redis) -> QueueConfig | None:
    """The queue's set-up, or None if there is none."""
    values: Any = client.hmget(CONFIG, ["shards", "format", "generation"])
    shards, version, generation = values
    if not shards:
        return None
    return QueueConfig(int(shards), int(version or 0), (generation or b"").decode())


def set_up(client: redis.Redis, shards: int | None) -> QueueConfig:
    """Write the set-up if there is none, and return what stands there now.

    Raises:
        QueueConfigError: another number of shards stands there than ``shards``.
    """
    for name, value in (
        ("generation", new_id()),
        ("format", FORMAT_VERSION),
        ("shards", shards or DEFAULT_SHARDS),
    ):
        client.hsetnx(CONFIG, name, str(value))
    return check_queue(client, shards)


def check_queue(client: redis.Redis, shards: int | None) -> QueueConfig:
    """The queue's set-up, if this process can work with it.

    Raises:
        QueueConfigError: there is none, or it differs; both values are named.
    """
    config = read(client)
    if config is None:
        raise QueueConfigError("the queue was never set up in this Redis: run `trackrelay migrate`")
    if shards is not None and config.shards != shards:
        raise QueueConfigError(
            f"TRACKRELAY_SHARDS is {shards}, but the queue has {config.shards} shards: correct the setting (or leave it "
            "out), or change the queue with `trackrelay reshard`"
        )
    if config.format > FORMAT_VERSION:
        raise QueueConfigError(
            f"the queue has format {config.format}, this version of trackrelay knows up to {FORMAT_VERSION}: upgrade it"
        )
    return config
