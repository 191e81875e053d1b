"""Change the number of shards while applications continue to enqueue.

1. No worker takes a shard any more. When all leases have ended, the streams are drained into the
   backlog, which keeps the order by positions.
2. Appending is closed for the last entries. One script then changes the number of shards in Redis,
   and applications append to the new streams.
3. One transaction gives every backlog row its new shard, and workers take shards again.

A crash leaves the old layout, or a change that the next run completes. Before step 3, the state of
the change expires and delivery resumes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import redis
import sqlalchemy as sa

from trackrelay.errors import InvalidOperationError
from trackrelay.operations.json_values import NotJsonError, decode_json
from trackrelay.operations.keys import shard_of
from trackrelay.operations.validation import check
from trackrelay.queue.lua_files import lua_script
from trackrelay.queue.redis_keys import CONFIG, MOVING, PREFIX, lease
from trackrelay.worker.delivery.cycle_parts import Rules
from trackrelay.worker.delivery.drain_to_backlog import DrainParts, drain_to_backlog
from trackrelay.worker.delivery.entry_decoder import Decoder, NewerFormatError
from trackrelay.worker.delivery.rate_limiter import GRACE_S
from trackrelay.worker.delivery.shard_queue import LEASE_MS, wake_shard
from trackrelay.worker.failpoints import failpoint
from trackrelay.worker.settings import Settings
from trackrelay.worker.storage import incident_log, queue_record, shards
from trackrelay.worker.storage.advisory_lock import ENDED_S, advisory_lock
from trackrelay.worker.storage.blocklist import Blocklist
from trackrelay.worker.storage.incident_log import Kind
from trackrelay.worker.storage.key_hasher import KeyHasher, is_hashed
from trackrelay.worker.storage.shard_layout import BacklogKeys, redistribute_backlog
from trackrelay.worker.storage.shards import ShardLostError

from . import queue_config
from .queue_agreement import difference, resume_delivery
from .queue_config import Moving, QueueConfig, end_moving, set_moving
from .queue_length import jobs_queued

#: Lifetime of each state of the change. A command that crashed does not stop delivery for longer.
DRAIN_MS = 60_000
CLOSED_MS = 30_000
#: Appending is closed when at most this many jobs are left in the streams …
MAX_JOBS_CLOSED = 500
#: … or after this many passes, if applications append as fast as jobs are drained.
MAX_PASSES = 10
_POLL_S = 0.05

_SWITCH = lua_script(__package__, "switch_shards")
_LOST = "Redis has lost the state of the change (a restart, a long pause?): run it again"


class ReshardError(Exception):
    """Why the number of shards was not changed. Everything is as it was."""


class Resharder:
    """Changes the number of shards.

    Args:
        report: called with a description of each step, for people.
    """

    def __init__(
        self,
        engine: sa.Engine,
        client: redis.Redis,
        configured: Settings,
        hasher: KeyHasher,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._engine = engine
        self._client = client
        self._settings = configured
        self._hasher = hasher
        self._report = report

    def run(self, target: int) -> QueueConfig:
        """Give the queue ``target`` shards. Complete an interrupted earlier change first.

        Raises:
            ReshardError: a worker keeps its shard, some shards are paused, or another reshard runs.
            QueueConfigError: there is no queue.
        """
        with self._only_reshard():
            config = queue_config.check_queue(self._client, None)
            self._refuse_if_stores_differ(config)
            if queue_config.moving(self._client) == Moving.LAYOUT:
                self._redistribute(config.shards)
            if config.shards != target:
                self._change(config.shards, target)
                self._redistribute(target)
            return queue_config.check_queue(self._client, target)

    def adopt(self) -> QueueConfig:
        """Make the queue in Redis the one that belongs to this database, and return it.

        The backlog gets the queue's number of shards. If Postgres knew another queue, that one is
        recorded as lost.

        Raises:
            ReshardError: a worker keeps its shard, or another reshard runs.
            QueueConfigError: there is no queue.
        """
        with self._only_reshard():
            config = queue_config.check_queue(self._client, None)
            with self._engine.connect() as connection:
                record = queue_record.read(connection)
            if difference(config, record) is None:
                return config
            if record.shards != config.shards:
                self._client.set(MOVING, Moving.LAYOUT)
                self._wait_for_holders(max(config.shards, record.shards))
                self._redistribute(config.shards)
            with self._engine.begin() as connection:
                record = queue_record.lock(connection)
                if record.generation not in ("", config.generation):
                    incident_log.open_incident(connection, Kind.REPLACED, record.generation, 0.0)
                queue_record.write(connection, config.generation, config.format)
            resume_delivery(self._client)
            return config

    @contextmanager
    def _only_reshard(self) -> Iterator[None]:
        with advisory_lock(self._engine, "reshard", wait_s=ENDED_S) as acquired:
            if not acquired:
                raise ReshardError("another `trackrelay reshard` is running")
            yield

    def _refuse_if_stores_differ(self, config: QueueConfig) -> None:
        moving = queue_config.moving(self._client)
        with self._engine.connect() as connection:
            record = queue_record.read(connection)
        if problem := difference(config, record, moving):
            raise ReshardError(problem)

    # -- drain the streams into the backlog, and change the number in Redis

    def _change(self, before: int, target: int) -> None:
        self._refuse_if_partly_paused()
        self._begin()
        try:
            failpoint("reshard_begun")
            self._wait_for_holders(before, lambda: self._renew(Moving.DRAIN, DRAIN_MS))
            self._drain_while_open(before)
            failpoint("reshard_emptied")
            self._report("closing the queue for a moment")
            self._close()
            failpoint("reshard_closed")
            while not self._switch(before, target):
                self._drain(before, Moving.CLOSED, CLOSED_MS)
        except BaseException:
            self._cancel(before)
            raise
        failpoint("reshard_switched")

    def _refuse_if_partly_paused(self) -> None:
        with self._engine.connect() as connection:
            paused = shards.paused(connection)
            count, _ = shards.extent(connection)
        if paused and len(paused) < count:
            raise ReshardError(
                "some shards are paused, and their jobs would move to others: "
                "resume them, or pause all"
            )

    def _begin(self) -> None:
        before = (Moving.NO, Moving.DIFFERS, Moving.DRAIN, Moving.CLOSED)
        if not set_moving(self._client, Moving.DRAIN, DRAIN_MS, *before):
            raise ReshardError("an earlier change is not complete: run `trackrelay reshard` again")

    def _close(self) -> None:
        # If the state has expired meanwhile, workers may have taken shards.
        if not set_moving(self._client, Moving.CLOSED, CLOSED_MS, Moving.DRAIN):
            raise ReshardError(_LOST)

    def _renew(self, state: Moving, lifetime_ms: int) -> None:
        if not set_moving(self._client, state, lifetime_ms, state):
            raise ReshardError(_LOST)

    def _cancel(self, before: int) -> None:
        end_moving(self._client, Moving.DIFFERS, Moving.DRAIN, Moving.CLOSED)
        for shard in range(before):
            wake_shard(self._client, shard)

    def _wait_for_holders(self, before: int, meanwhile: Callable[[], None] = lambda: None) -> None:
        self._report("waiting for requests in progress")
        longest = self._settings.request_timeout.total_seconds() + 2 * GRACE_S + LEASE_MS / 1000 + 5
        until = time.monotonic() + longest
        while held := [shard for shard in range(before) if self._client.exists(lease(shard))]:
            if time.monotonic() > until:
                raise ReshardError(
                    f"a worker has kept shard {held[0]} for {longest:.0f} s: see its log"
                )
            meanwhile()
            time.sleep(_POLL_S)

    def _drain_while_open(self, before: int) -> None:
        for _ in range(MAX_PASSES):
            jobs = jobs_queued(self._client, before)
            if jobs <= MAX_JOBS_CLOSED:
                return
            self._report(f"moving {jobs:,} jobs from the streams to the backlog")
            self._drain(before, Moving.DRAIN, DRAIN_MS)

    def _drain(self, before: int, state: Moving, lifetime_ms: int) -> None:
        parts = DrainParts(
            client=self._client,
            engine=self._engine,
            decoder=Decoder(before, self._hasher),
            rules=self._rules,
            blocklist=Blocklist(self._hasher),
        )
        for shard in range(before):
            self._renew(state, lifetime_ms)
            try:
                drain_to_backlog(shard, parts, lambda: self._renew(state, lifetime_ms))
            except ShardLostError as lost:
                # No claimed job is settled twice. The next pass takes it again.
                self._report(f"shard {shard} took too long, trying again ({type(lost).__name__})")
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

    def _switch(self, before: int, target: int) -> bool:
        answer = self._client.eval(_SWITCH, 2, CONFIG, MOVING, PREFIX, before, target)
        if answer == b"lost":
            raise ReshardError(_LOST)
        return bool(answer == b"done")

    # -- give the backlog its new shards, and let workers take them

    def _redistribute(self, target: int) -> None:
        self._report("giving the backlog its new shards")
        with self._engine.begin() as connection:
            rows = redistribute_backlog(
                connection, target, lambda row: shards_of(row, target, self._hasher)
            )
            shards.mark_delivery_resumed(connection)
        failpoint("reshard_laid_out")
        self._report(f"{rows:,} rows of the backlog have their new shard")
        self._client.delete(MOVING)
        for shard in range(target):
            wake_shard(self._client, shard)


def shards_of(row: BacklogKeys, count: int, hasher: KeyHasher) -> list[int]:
    """Return the shard of each of a row's keys among ``count`` shards.

    A key that is stored as a hash is computed again from the row's document.
    """
    plain = {key: key for key in row.keys if not is_hashed(key)}
    if len(plain) < len(row.keys):
        found = _keys_of_document(row)
        plain |= {hasher.stored(key): key for key in found}
        # The job that tells Customer.io about a forgotten person hides also an id.
        plain |= {hasher.hidden(key): key for key in found}
    # A key that cannot be computed gets the shard of its hash. Then its waiting jobs stay together,
    # but its later jobs may be in another shard.
    return [shard_of(plain.get(key, key), count) for key in row.keys]


def _keys_of_document(row: BacklogKeys) -> tuple[str, ...]:
    try:
        return check(decode_json(row.body), id=row.job_id, planned=False).keys
    except (InvalidOperationError, NotJsonError):
        return ()
