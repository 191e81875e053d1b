"""Pause, resume and probe delivery: what the commands and the console do alike."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import redis
from sqlalchemy.exc import SQLAlchemyError

from trackrelay.errors import TrackRelayError
from trackrelay.queue.redis_keys import lease
from trackrelay.worker.delivery.breaker import probe_now
from trackrelay.worker.delivery.shard_queue import wake_shard
from trackrelay.worker.endpoint_families import Family
from trackrelay.worker.queue import queue_config
from trackrelay.worker.reasons import Act
from trackrelay.worker.storage import acts
from trackrelay.worker.storage.acts import Author
from trackrelay.worker.storage.shards import set_paused

from .command_stores import Stores
from .humanize import listed


class NoSuchShardError(TrackRelayError):
    """A shard that was named does not exist; the message says which."""


def change_shards(stores: Stores, wanted: Sequence[int], paused: bool, author: Author) -> list[int]:
    """Pause or resume shards, and return which; without ``wanted``, all of them.

    Raises:
        NoSuchShardError: there is no such shard; nothing was changed.
    """
    with stores.engine.begin() as connection:
        changed = set_paused(connection, list(wanted) or None, paused)
        if missing := [str(number) for number in sorted(set(wanted)) if number not in changed]:
            connection.rollback()
            raise NoSuchShardError(
                f"there is no shard {listed(missing, 'or')}: `trackrelay status` lists them"
            )
        if changed:
            act = Act.DELIVERY_PAUSED if paused else Act.DELIVERY_RESUMED
            acts.record(connection, author, act, name_shards(changed))
    if not changed:
        raise NoSuchShardError("the database knows no shards: run `trackrelay migrate`")
    return changed


def wake_shards(client: redis.Redis, numbers: Sequence[int]) -> None:
    """Tell the workers that there may be work."""
    for number in numbers:
        wake_shard(client, number)


def request_probe(stores: Stores, author: Author) -> list[Family | None]:
    """Make the next attempt due now, and return the families that are stopped."""
    stopped = probe_now(stores.redis)
    if stopped:
        config = queue_config.read(stores.redis)
        wake_shards(stores.redis, range(config.shards if config else 0))
        families = listed([str(each or "all") for each in stopped])
        # An attempt needs Redis only.
        with suppress(SQLAlchemyError), stores.engine.begin() as connection:
            acts.record(connection, author, Act.DELIVERY_PROBED, families)
    return stopped


def name_shards(numbers: Sequence[int]) -> str:
    """Return ``shard 3``, ``shards 0, 1 and 2`` or ``shards 0 to 15``."""
    names = (
        listed([str(number) for number in numbers])
        if len(numbers) <= 8
        else f"{numbers[0]} to {numbers[-1]}"
    )
    return f"shard {names}" if len(numbers) == 1 else f"shards {names}"


def held_shards(client: redis.Redis, numbers: Sequence[int]) -> list[int]:
    """Return which of the shards ``numbers`` a worker holds."""
    with client.pipeline(transaction=False) as pipe:
        for number in numbers:
            pipe.exists(lease(number))
        return [number for number, held in zip(numbers, pipe.execute(), strict=True) if held]
