"""Whether jobs of a subject are still in the streams, unread or unsettled."""

from __future__ import annotations

from typing import Any

import msgspec
import redis

from trackrelay.operations.keys import key_of, object_key, shard_of
from trackrelay.queue.redis_keys import LANES, stream
from trackrelay.worker.queue import queue_config

#: Entries of a stream that are looked through. In a longer one, jobs may be under way.
MAX_ENTRIES = 1_000


def plain_keys(address: dict[str, Any]) -> list[str]:
    """Return the keys of the subject that the App API finds by ``address``."""
    own = {name: value for name, value in address.items() if name != "into"}
    if "object_id" in own:
        return [object_key(own)]
    primary = address.get("into") or {}
    return [key_of(kind, value) for kind, value in (*own.items(), *primary.items())]


def may_be_under_way(client: redis.Redis, address: dict[str, Any], before: float) -> bool:
    """Return whether a stream may hold a job of a subject that was enqueued earlier.

    Args:
        client: Redis.
        address: of the subject.
        before: unix seconds by the clock of Redis.
    """
    config = queue_config.read(client)
    if config is None:
        return False
    for key in plain_keys(address):
        shard = shard_of(key, config.shards)
        for lane in LANES:
            if _holds(client, stream(shard, lane), key, before):
                return True
    return False


def _holds(client: redis.Redis, name: str, key: str, before: float) -> bool:
    # Acknowledged entries are deleted: from the first one left, everything is still to be settled.
    entries: Any = client.xrange(name, max=int(before * 1000), count=MAX_ENTRIES + 1)
    needle = msgspec.json.encode(key)[1:-1]
    return len(entries) > MAX_ENTRIES or any(
        needle in value for _, fields in entries for value in fields.values()
    )
