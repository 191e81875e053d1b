"""The keys of forgotten people, whose jobs are not sent, as a process knows them.

Postgres counts the changes of these keys in the row of every shard. A holder reads that number in
the statements that it runs anyway: with each read, and under the lock of each settlement. It loads
the keys only when the number is another one. So nothing is asked while nobody was ever forgotten,
and no settlement writes a forgotten person's payload, however old its read is.

A holder that cannot load the keys sends nothing. It could not settle either, because the keys come
from the same database.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import sqlalchemy as sa

from . import shards
from .key_hasher import KeyHasher
from .stored_job import Job

_LOAD = sa.text("SELECT key, job_id FROM trackrelay_forgotten WHERE blocked")


@dataclass(frozen=True, slots=True)
class BlockedKeys:
    """The blocked keys at one moment."""

    #: What the rows of the shards said then. 0: nobody was ever forgotten.
    version: int = 0
    #: As keyed hashes, also those of ids.
    keys: frozenset[str] = frozenset()
    #: Jobs that are delivered all the same: they tell Customer.io.
    exempt: frozenset[str] = frozenset()


class Blocklist:
    """Knows which jobs are blocked. Threads may share it.

    Args:
        hasher: hides keys.
    """

    def __init__(self, hasher: KeyHasher) -> None:
        self._known = BlockedKeys()
        # Without a cache, a hash for each job would cost more than everything else in a read.
        self._hidden = lru_cache(maxsize=50_000)(hasher.hidden)

    def at(self, connection: sa.Connection, version: int) -> BlockedKeys:
        """Return the blocked keys of ``version``; load them unless they are known."""
        known = self._known
        if known.version != version:
            rows = connection.execute(_LOAD).all()
            known = self._known = BlockedKeys(
                version,
                frozenset(row.key for row in rows),
                frozenset(row.job_id for row in rows if row.job_id is not None),
            )
        return known

    def locked(self, connection: sa.Connection) -> BlockedKeys:
        """Return the blocked keys of now. They do not change until the transaction ends."""
        shard = shards.lock(connection, [0]).get(0)
        return self.at(connection, shard.block_version if shard else 0)

    def any_blocked(self, blocked: BlockedKeys, keys: Iterable[str]) -> bool:
        """Return whether one of ``keys``, as stored or in the clear, is blocked."""
        return not blocked.keys.isdisjoint(map(self._hidden, keys))

    def split(self, blocked: BlockedKeys, jobs: list[Job]) -> tuple[list[Job], list[Job]]:
        """Return the jobs that may be sent, and the blocked ones, with blocked keys hashed."""
        if not blocked.keys:
            return jobs, []
        passed: list[Job] = []
        dropped: list[Job] = []
        for job in jobs:
            if not self.any_blocked(blocked, job.keys):
                passed.append(job)
            else:
                target = passed if job.id in blocked.exempt else dropped
                target.append(self._without_names(blocked, job))
        return passed, dropped

    def _without_names(self, blocked: BlockedKeys, job: Job) -> Job:
        keys = tuple(
            hidden if (hidden := self._hidden(key)) in blocked.keys else key for key in job.keys
        )
        return job.with_(keys=keys, idempotency_key=None)


class BlockGuard:
    """What the holder of a shard knows of the blocked keys. One thread uses it.

    Args:
        blocklist: the process's own.
    """

    def __init__(self, blocklist: Blocklist) -> None:
        self.blocklist = blocklist
        #: What the jobs were compared with when they were read.
        self.known = BlockedKeys()

    def learn(self, connection: sa.Connection, version: int | None) -> None:
        """Compare jobs with the keys of ``version`` from now on; None keeps the known ones."""
        if version is not None and version != self.known.version:
            self.known = self.blocklist.at(connection, version)

    def split(self, jobs: list[Job]) -> tuple[list[Job], list[Job]]:
        """Return the jobs that may be sent, and the blocked ones, with blocked keys hashed."""
        return self.blocklist.split(self.known, jobs)
