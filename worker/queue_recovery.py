"""Redis lost everything (a FLUSHALL, an empty replacement): the queue is set up again from what Postgres knows of it.

What was in a stream and in no outbox is gone. Everything else goes on by itself.
"""

from __future__ import annotations

import redis
import sqlalchemy as sa
import structlog

from producers.ids import new_id
from producers.job import FORMAT_VERSION
from producers.redis_keys import CONFIG, PREFIX

from . import queue_config
from .delivery.pace import GRACE_S
from .queue_config import QueueConfig
from .settings import Settings
from .store import shards

log = structlog.get_logger("trackrelay.worker")

# A shard's holder may have a request on its way, and its lease went with everything else: until that request has
# ended one way or the other, nobody takes the shard. KEYS: config. ARGV: prefix, generation, format, shards, milliseconds
_SET_UP = """
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'generation', ARGV[2], 'format', ARGV[3], 'shards', ARGV[4])
for shard = 0, tonumber(ARGV[4]) - 1 do
  redis.call('SET', ARGV[1] .. shard .. ':lease', 'set up again', 'NX', 'PX', ARGV[5])
end
return 1
"""


def set_up_again(client: redis.Redis, engine: sa.Engine, configured: Settings) -> QueueConfig | None:
    """Set the queue up under a new generation if it is gone, and return what stands there now.

    Where Postgres knows of no shards, nothing was ever set up: that is left to ``trackrelay migrate``.
    """
    with engine.connect() as connection:
        count, held = shards.extent(connection)
    if not count:
        return queue_config.read(client)
    quarantine_s = configured.request_timeout.total_seconds() + GRACE_S if held else 0.001
    arguments: list[str | int] = [PREFIX, new_id(), FORMAT_VERSION, count, int(quarantine_s * 1000)]
    if client.register_script(_SET_UP)(keys=[CONFIG], args=arguments):
        log.error(
            "Redis has lost the queue; it was set up again, and what an outbox still has is relayed again",
            shards=count,
            delivery_resumes_in_s=quarantine_s,
        )
    return queue_config.read(client)
