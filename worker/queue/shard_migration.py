"""Change the number of shards while applications continue to enqueue.

1. No worker takes a shard any more. When all leases have ended, the streams are drained into the
   backlog, which keeps the order by positions.
2. Appending is closed for the last entries. One script then changes the number of shards in Redis,
   and applications append to the new streams.
3. One transaction gives every backlog row its new shard, and workers take shards again.

A crash leaves the old layout, or a change that the next run completes. The mark of an incomplete
change expires, and delivery resumes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import redis
import sqlalchemy as sa

from trackrelay.errors import InvalidOperationError
from trackrelay.operations.json_values import NotJsonError, decode_json
from trackrelay.operations.keys import shard_of
from trackrelay.operations.validation import check
from trackrelay.queue.redis_keys import CONFIG, MOVING, PREFIX, lease
from trackrelay.worker.delivery.cycle import Rules
from trackrelay.worker.delivery.drain_to_backlog import drain_to_backlog
from trackrelay.worker.delivery.entry_decoder import Decoder, NewerFormatError
from trackrelay.worker.delivery.rate_limiter import GRACE_S
from trackrelay.worker.delivery.shard_queue import LEASE_MS, wake_shard
from trackrelay.worker.failpoints import failpoint
from trackrelay.worker.settings import Settings
from trackrelay.worker.storage import incident_log, queue_record, shards
from trackrelay.worker.storage.advisory_lock import advisory_lock
from trackrelay.worker.storage.incident_log import Kind
from trackrelay.worker.storage.key_hasher import KeyHasher, is_hashed
from trackrelay.worker.storage.shard_layout import BacklogKeys, redistribute_backlog
from trackrelay.worker.storage.shards import ShardLostError

from . import queue_config
from .queue_agreement import difference, resume_delivery
from .queue_config import QueueConfig
from .queue_length import jobs_queued

#: What stands for the change expires unless it is renewed: a command that died does not stop delivery for longer.
MOVING_MS = 60_000
CLOSED_MS = 30_000
#: Appending is closed only when so few jobs are left, or when emptying does not get ahead of applications.
FEW = 500
PASSES = 10
_POLL_S = 0.05

# KEYS: moving. ARGV: milliseconds. Not over a change that is past its script.
_STAND = """
if redis.call('GET', KEYS[1]) == 'layout' then return 0 end
redis.call('SET', KEYS[1], 'drain', 'PX', ARGV[1])
return 1
"""
# KEYS: moving. ARGV: what it must say, milliseconds
_RENEW = (
    "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('PEXPIRE', KEYS[1], ARGV[2]) or 0"
)
# KEYS: moving. ARGV: milliseconds. Only what has stood without a break: else workers have taken shards up again meanwhile.
_CLOSE = """
if redis.call('GET', KEYS[1]) ~= 'drain' then return 0 end
redis.call('SET', KEYS[1], 'closed', 'PX', ARGV[1])
return 1
"""
# KEYS: moving. A change that has not happened is called off.
_CALL_OFF = "if redis.call('GET', KEYS[1]) ~= 'layout' then redis.call('DEL', KEYS[1]) end"
# Refuse while a worker holds a shard: the backlog jobs that it is sending are in no stream.
# KEYS: moving, config. ARGV: prefix, shards before, shards
_SWITCH = """
if redis.call('GET', KEYS[1]) ~= 'closed' or redis.call('HGET', KEYS[2], 'shards') ~= ARGV[2] then return 'lost' end
for shard = 0, tonumber(ARGV[2]) - 1 do
  if redis.call('EXISTS', ARGV[1] .. shard .. ':lease') == 1 then return 'work' end
  for _, lane in ipairs({':live', ':bulk'}) do
    if redis.call('XLEN', ARGV[1] .. shard .. lane) > 0 then return 'work' end
  end
end
redis.call('HSET', KEYS[2], 'shards', ARGV[3])
redis.call('SET', KEYS[1], 'layout')
for shard = tonumber(ARGV[3]), tonumber(ARGV[2]) - 1 do
  local base = ARGV[1] .. shard
  redis.call('DEL', base .. ':live', base .. ':bulk', base .. ':bulk:more', base .. ':wakeup', base .. ':lease')
end
return 'done'
"""


_LOST = "Redis has lost what stood for the change (a restart, a long pause?): run it again"


class ReshardError(Exception):
    """Why the number of shards was not changed. Everything is as it was."""


class Resharder:
    """Changes the number of shards.

    Args:
        say: called with what is being done now, for people.
    """

    def __init__(
        self,
        engine: sa.Engine,
        client: redis.Redis,
        configured: Settings,
        hasher: KeyHasher,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._engine = engine
        self._client = client
        self._settings = configured
        self._hasher = hasher
        self._say = say

    def run(self, target: int) -> QueueConfig:
        """Give the queue ``target`` shards; completes an earlier change first, if one was interrupted.

        Raises:
            ReshardError: a worker does not let go, some shards are paused, or somebody else is at it.
            QueueConfigError: there is no queue.
        """
        with self._alone():
            config = queue_config.check_queue(self._client, None)
            self._refuse_if_stores_differ(config)
            if self._client.get(MOVING) == b"layout":
                self._lay_out(config.shards)
            if config.shards != target:
                self._change(config.shards, target)
                self._lay_out(target)
            return queue_config.check_queue(self._client, target)

    def adopt(self) -> QueueConfig:
        """Make the queue that is in Redis the one that belongs to this database, and return it.

        The backlog gets the shards that the queue has. What Postgres knew of another queue is recorded as lost.

        Raises:
            ReshardError: a worker does not let go, or somebody else is at it.
            QueueConfigError: there is no queue.
        """
        with self._alone():
            config = queue_config.check_queue(self._client, None)
            with self._engine.connect() as connection:
                record = queue_record.read(connection)
            if difference(config, record) is None:
                return config
            if record.shards != config.shards:
                self._client.set(MOVING, "layout")
                self._wait_until_released(max(config.shards, record.shards))
                self._lay_out(config.shards)
            with self._engine.begin() as connection:
                record = queue_record.lock(connection)
                if record.generation not in ("", config.generation):
                    incident_log.open_incident(connection, Kind.REPLACED, record.generation, 0.0)
                queue_record.write(connection, config.generation, config.format)
            resume_delivery(self._client)
            return config

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with advisory_lock(self._engine, "reshard", wait_s=0) as mine:
            if not mine:
                raise ReshardError("another `trackrelay reshard` is running")
            yield

    # -- the streams into the backlog, and Redis to the new number

    def _change(self, before: int, target: int) -> None:
        self._refuse_if_partly_paused()
        self._stand()
        try:
            failpoint("reshard_begun")
            self._wait_for_holders(before)
            self._empty_while_open(before)
            failpoint("reshard_emptied")
            self._say("closing the queue for a moment")
            self._close()
            failpoint("reshard_closed")
            while not self._switched(before, target):
                self._empty(before, "closed", CLOSED_MS)
        except BaseException:
            self._call_off(before)
            raise
        failpoint("reshard_switched")

    def _refuse_if_partly_paused(self) -> None:
        with self._engine.connect() as connection:
            paused = shards.paused(connection)
            count, _ = shards.extent(connection)
        if paused and len(paused) < count:
            raise ReshardError(
                "some shards are paused, and what is in them would move: resume them, or pause all"
            )

    def _stand(self) -> None:
        if not self._client.eval(_STAND, 1, MOVING, MOVING_MS):
            raise ReshardError("an earlier change is not complete: run `trackrelay reshard` again")

    def _close(self) -> None:
        if not self._client.eval(_CLOSE, 1, MOVING, CLOSED_MS):
            raise ReshardError(_LOST)

    def _renew(self, what: str, milliseconds: int) -> None:
        if not self._client.eval(_RENEW, 1, MOVING, what, milliseconds):
            raise ReshardError(_LOST)

    def _call_off(self, before: int) -> None:
        self._client.eval(_CALL_OFF, 1, MOVING)
        for shard in range(before):
            wake_shard(self._client, shard)

    def _refuse_if_stores_differ(self, config: QueueConfig) -> None:
        moving: Any = self._client.get(MOVING) or b""
        with self._engine.connect() as connection:
            record = queue_record.read(connection)
        if problem := difference(config, record, moving.decode()):
            raise ReshardError(problem)

    def _wait_for_holders(self, before: int) -> None:
        self._wait_until_released(before, lambda: self._renew("drain", MOVING_MS))

    def _wait_until_released(
        self, before: int, meanwhile: Callable[[], None] = lambda: None
    ) -> None:
        self._say("waiting for requests that are on their way")
        longest = self._settings.request_timeout.total_seconds() + 2 * GRACE_S + LEASE_MS / 1000 + 5
        until = time.monotonic() + longest
        while held := [shard for shard in range(before) if self._client.exists(lease(shard))]:
            if time.monotonic() > until:
                raise ReshardError(f"a worker does not let go of shard {held[0]}: see its log")
            meanwhile()
            time.sleep(_POLL_S)

    def _empty_while_open(self, before: int) -> None:
        for _ in range(PASSES):
            left = jobs_queued(self._client, before)
            if left <= FEW:
                return
            self._say(f"moving {left:,} jobs from the streams to the backlog")
            self._empty(before, "drain", MOVING_MS)

    def _empty(self, before: int, what: str, milliseconds: int) -> None:
        decoder = Decoder(before, self._hasher)
        for shard in range(before):
            self._renew(what, milliseconds)
            try:
                drain_to_backlog(
                    shard,
                    self._client,
                    self._engine,
                    decoder,
                    self._rules,
                    lambda: self._renew(what, milliseconds),
                )
            except ShardLostError as lost:
                # No claimed job is settled twice. The next pass takes it again.
                self._say(
                    f"shard {shard} took too long, and is begun again ({type(lost).__name__})"
                )
                time.sleep(_POLL_S)
            except NewerFormatError as newer:
                raise ReshardError(str(newer)) from None

    @property
    def _rules(self) -> Rules:
        return Rules(
            max_age_s=self._settings.max_age.total_seconds(),
            max_attempts=self._settings.max_attempts,
            merge_delay_s=self._settings.merge_delay.total_seconds(),
        )

    def _switched(self, before: int, target: int) -> bool:
        answer = self._client.eval(_SWITCH, 2, MOVING, CONFIG, PREFIX, before, target)
        if answer == b"lost":
            raise ReshardError(_LOST)
        return bool(answer == b"done")

    # -- the backlog into its new shards, and workers may come again

    def _lay_out(self, target: int) -> None:
        self._say("giving the backlog its new shards")
        with self._engine.begin() as connection:
            rows = redistribute_backlog(
                connection, target, lambda row: shards_of(row, target, self._hasher)
            )
            shards.mark_delivery_resumed(connection)
        failpoint("reshard_laid_out")
        self._say(f"{rows:,} rows of the backlog have their new shard")
        self._client.delete(MOVING)
        for shard in range(target):
            wake_shard(self._client, shard)


def shards_of(row: BacklogKeys, count: int, hasher: KeyHasher) -> list[int]:
    """The shard of each of a row's keys among ``count``. Those that are stored hashed are made again from its document."""
    plain = {key: key for key in row.keys if not is_hashed(key)}
    if len(plain) < len(row.keys):
        plain |= {hasher.stored(key): key for key in _keys_of_document(row)}
    # One that cannot be made again stays together with itself, if not with what is enqueued for it from now on.
    return [shard_of(plain.get(key, key), count) for key in row.keys]


def _keys_of_document(row: BacklogKeys) -> tuple[str, ...]:
    try:
        return check(decode_json(row.body), id=row.job_id).keys
    except (InvalidOperationError, NotJsonError):
        return ()
