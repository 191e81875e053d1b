"""What kind of work waits: the beginnings of the streams, looked into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import redis

from trackrelay.operations.limits import OPERATION_BYTES
from trackrelay.queue.job import decode_entry
from trackrelay.queue.redis_keys import LANES, stream
from trackrelay.worker.endpoint_families import SINGLES

#: Entries of each stream that are looked at.
ENTRIES = 50


@dataclass(frozen=True, slots=True)
class Sample:
    """Some jobs, and how many of them need a request of their own."""

    jobs: int = 0
    singles: int = 0

    @property
    def share(self) -> float:
        """Part of the jobs that need a request of their own."""
        return self.singles / self.jobs if self.jobs else 0.0


def sample(client: redis.Redis, shards: Sequence[int]) -> Sample:
    """Look into the streams of ``shards``."""
    with client.pipeline(transaction=False) as asked:
        for shard in shards:
            for lane in LANES:
                asked.xrange(stream(shard, lane), count=ENTRIES)
        found: list[Any] = asked.execute() if shards else []
    jobs = singles = 0
    for entries in found:
        for _, fields in entries:
            for operation, size in _operations(fields):
                jobs += 1
                singles += operation.startswith(SINGLES) or size > OPERATION_BYTES
    return Sample(jobs, singles)


def _operations(fields: dict[bytes, bytes]) -> list[tuple[str, int]]:
    try:
        return [
            (job.operation, len(bytes(job.body))) for job in decode_entry(fields.get(b"j", b""))
        ]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return []
