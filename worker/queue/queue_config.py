"""The queue's configuration in Redis, and the key that stops delivery while it changes.

``trackrelay migrate`` writes the configuration once. Workers and commands compare it with their
own settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import redis

from trackrelay.operations.ids import new_id
from trackrelay.queue.job import FORMAT_VERSION
from trackrelay.queue.lua_files import lua_script
from trackrelay.queue.queue_client import DEFAULT_SHARDS
from trackrelay.queue.redis_keys import CONFIG, MOVING

_SET_IF = lua_script(__package__, "set_if")
_DELETE_IF = lua_script(__package__, "delete_if")


class QueueConfigError(Exception):
    """The queue is not set up, or differs from what this process expects."""


@dataclass(frozen=True, slots=True)
class QueueConfig:
    """The configuration in Redis."""

    shards: int
    format: int
    #: A new one is given when Redis has lost jobs.
    generation: str


class Moving(StrEnum):
    """Why no worker may take a shard: the value of the key ``MOVING``."""

    #: The key does not exist, and workers take shards.
    NO = ""
    #: Redis and Postgres know different queues. Applications may enqueue.
    DIFFERS = "differs"
    #: The streams are drained into the backlog. Applications may enqueue.
    DRAIN = "drain"
    #: The last entries are drained. Nothing may be appended.
    CLOSED = "closed"
    #: The queue has its new number of shards, and the backlog is being redistributed.
    LAYOUT = "layout"


def read(client: redis.Redis) -> QueueConfig | None:
    """Return the queue's configuration, or None if there is none."""
    values: Any = client.hmget(CONFIG, ["shards", "format", "generation"])
    shards, version, generation = values
    if not shards:
        return None
    return QueueConfig(int(shards), int(version or 0), (generation or b"").decode())


def set_up(client: redis.Redis, shards: int | None) -> QueueConfig:
    """Write the configuration if there is none, and return the one that is in Redis now.

    Raises:
        QueueConfigError: the queue has another number of shards than ``shards``.
    """
    for name, value in (
        ("generation", new_id()),
        ("format", FORMAT_VERSION),
        ("shards", shards or DEFAULT_SHARDS),
    ):
        client.hsetnx(CONFIG, name, str(value))
    return check_queue(client, shards)


def check_queue(client: redis.Redis, shards: int | None) -> QueueConfig:
    """Return the queue's configuration, if this process can work with it.

    Raises:
        QueueConfigError: there is none, or it differs from ``shards`` or has a newer format.
    """
    config = read(client)
    if config is None:
        raise QueueConfigError("the queue was never set up in this Redis: run `trackrelay migrate`")
    if shards is not None and config.shards != shards:
        raise QueueConfigError(
            f"TRACKRELAY_SHARDS is {shards}, but the queue has {config.shards} shards: "
            "correct the setting (or leave it out), "
            "or change the queue with `trackrelay reshard`"
        )
    if config.format > FORMAT_VERSION:
        raise QueueConfigError(
            f"the queue has format {config.format}, this version of trackrelay knows up to "
            f"{FORMAT_VERSION}: upgrade it"
        )
    return config


def moving(client: redis.Redis) -> str:
    """Return why no worker may take a shard; empty if workers may."""
    state: Any = client.get(MOVING)
    return (state or b"").decode()


def set_moving(client: redis.Redis, state: Moving, lifetime_ms: int, *expected: Moving) -> bool:
    """Set the state if it is one of ``expected``; return whether it was."""
    return bool(client.eval(_SET_IF, 1, MOVING, state, lifetime_ms, *expected))


def end_moving(client: redis.Redis, *expected: Moving) -> bool:
    """Let workers take shards again if the state is one of ``expected``; return whether it was."""
    return bool(client.eval(_DELETE_IF, 1, MOVING, *expected))


def delete_if(client: redis.Redis, key: str, value: str) -> None:
    """Delete ``key`` if its value is ``value``."""
    client.eval(_DELETE_IF, 1, key, value)
