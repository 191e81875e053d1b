"""Erases a person's entries in Redis beside live traffic.

When this runs, the person is marked: no settlement writes their payload any more, and workers drop
their jobs. So an entry may be deleted at any time, also one that a holder has in hand.

1. An entry of the person alone is recorded in the ledger, then acknowledged and deleted.
2. An entry that also has jobs of others cannot be changed in place. This process takes the shard's
   lease, as a worker does, and moves the lane up to that entry to the backlog, which keeps the
   order. The person's jobs are dropped on the way.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import redis
from redis.exceptions import RedisError

from trackrelay.queue.redis_keys import INVALID, LANES, Lane, stream
from trackrelay.worker.delivery.drain_to_backlog import DrainParts, drain_to_backlog
from trackrelay.worker.delivery.entry_decoder import NewerFormatError
from trackrelay.worker.delivery.shard_queue import ShardQueue, wake_shard
from trackrelay.worker.failpoints import failpoint
from trackrelay.worker.reasons import LedgerOutcome
from trackrelay.worker.storage import ledger
from trackrelay.worker.storage.shards import ShardLostError
from trackrelay.worker.storage.storable_jobs import is_data_error
from trackrelay.worker.storage.stored_job import Job

from .person_keys import PersonKeys
from .queue_search import FoundEntry, QueueFindings, search_breakers

#: Entries that are recorded and deleted at once.
CHUNK = 200
_POLL_S = 0.02


class QueueErasureError(Exception):
    """Why something of the person is still in a stream."""


@dataclass(frozen=True, slots=True)
class QueueErasure:
    """Erases entries.

    Args:
        parts: what draining a shard needs.
        person: whose entries.
        patience_s: how long to wait for the lease of a shard.
    """

    parts: DrainParts
    person: PersonKeys
    patience_s: float

    def run(self, findings: QueueFindings) -> None:
        """Erase what was found.

        Raises:
            QueueErasureError: a shard holds an entry of a newer format, or its lease is not
                released.
        """
        if newer := next((found for found in findings.entries if found.is_newer), None):
            raise QueueErasureError(
                f"shard {newer.shard} holds an entry of a newer format that names the person: "
                "upgrade this version"
            )
        for shard in sorted({found.shard for found in findings.entries}):
            for lane in LANES:
                alone = [
                    found
                    for found in findings.entries
                    if (found.shard, found.lane) == (shard, lane) and not found.is_shared
                ]
                for first in range(0, len(alone), CHUNK):
                    self._erase(shard, lane, alone[first : first + CHUNK])
            self._drain(shard, [each for each in findings.entries if each.shard == shard])

    def _erase(self, shard: int, lane: Lane, found: Sequence[FoundEntry]) -> None:
        entries = [each.entry for each in found]
        decoded = self.parts.decoder.decode(shard, lane, entries)
        forms = self.person.forms
        jobs = [job.with_(keys=forms.hide(job.keys), body=b"") for job in decoded.jobs]
        try:
            self._record(jobs)
        except Exception as error:
            if not is_data_error(error):
                raise  # Postgres cannot hold one of them: no ledger row, and nothing to keep
        failpoint("forget_entries_recorded")
        ShardQueue(self.parts.client, shard).acknowledge(lane, entries)

    def _record(self, jobs: Sequence[Job]) -> None:
        with self.parts.engine.begin() as connection:
            ledger.record_dropped(connection, jobs, LedgerOutcome.ERASED)

    # -- entries that also hold jobs of others

    def _drain(self, shard: int, found: Sequence[FoundEntry]) -> None:
        last: dict[Lane, str] = {
            each.lane: each.entry.id for each in found if each.is_shared
        }  # in stream order
        until = time.monotonic() + self.patience_s
        drained = False
        while last := self._left(shard, last):
            try:
                drain_to_backlog(shard, self.parts, lambda: None, last)
                drained = True
            except ShardLostError:
                # A worker holds the shard. It drops the person's jobs itself when it comes to them.
                if time.monotonic() > until:
                    raise QueueErasureError(
                        f"a worker does not release shard {shard}, and has not reached the "
                        "person's entries in it yet"
                    ) from None
                time.sleep(_POLL_S)
            except NewerFormatError as newer:
                raise QueueErasureError(str(newer)) from None
        if drained:
            wake_shard(self.parts.client, shard)

    def _left(self, shard: int, last: dict[Lane, str]) -> dict[Lane, str]:
        # Acknowledged entries are deleted.
        return {
            lane: entry
            for lane, entry in last.items()
            if self.parts.client.xrange(stream(shard, lane), entry, entry)
        }


def erase_refused(client: redis.Redis, entries: Sequence[str]) -> None:
    """Delete refused calls that no worker has kept yet."""
    if entries:
        client.xdel(INVALID, *entries)


def erase_breakers(client: redis.Redis, person: PersonKeys) -> None:
    """Delete what breakers remember of the person: the key of the last probe, the last answer."""
    for name, fields in search_breakers(client, person).items():
        client.hdel(name, *fields)


def wake(client: redis.Redis, shards: Sequence[int]) -> None:
    """Wake shards in which something has become due. A tick finds it too, a moment later."""
    for shard in shards:
        try:
            wake_shard(client, shard)
        except RedisError:
            return
