"""Which of many entries, of a stream or an outbox, is the one that is meant."""

from __future__ import annotations

from itertools import zip_longest

import msgspec

from trackrelay.operations.ids import companion_id, is_ulid
from trackrelay.operations.keys import shown
from trackrelay.queue.job import Job, decode_entry
from trackrelay.worker.storage.key_hasher import KeyHasher

from .query import Asked


class Matcher:
    """Decodes only what can be meant: most entries are passed over by their bytes."""

    def __init__(self, asked: Asked, hasher: KeyHasher | None) -> None:
        self._asked = asked
        self._hasher = hasher
        words = [*asked.ids, asked.idempotency_key, None if asked.is_hashed else asked.key]
        # The identify that travels with an event is in the event's own entry.
        self._needles = [msgspec.json.encode(word)[1:-1] for word in words if word]

    def jobs(self, data: bytes) -> list[tuple[int, Job]]:
        """The jobs of an entry that are meant, each with how many are before it in the entry."""
        if self._needles and not any(needle in data for needle in self._needles):
            return []
        try:
            jobs = decode_entry(data)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return []
        meant, ahead = [], 0
        for job, following in zip_longest(jobs, jobs[1:]):
            if self._is_meant(job):
                meant.append((ahead, job))
            ahead += 0 if following and _travels_with(job, following) else 1
        return meant

    def _is_meant(self, job: Job) -> bool:
        asked = self._asked
        if asked.key is not None:
            return asked.key in (self.stored(job) if asked.is_hashed else job.keys)
        return job.id in asked.ids or (
            asked.idempotency_key is not None and job.idempotency_key == asked.idempotency_key
        )

    def stored(self, job: Job) -> tuple[str, ...]:
        """The job's keys as they may be shown."""
        if self._hasher is None:
            return tuple(shown(key) for key in job.keys)
        return tuple(self._hasher.stored(key) for key in job.keys)


def _travels_with(job: Job, event: Job) -> bool:
    # An event and its identify count as one.
    return (
        job.operation == "person.identify"
        and is_ulid(event.id)
        and job.id == companion_id(event.id)
    )
