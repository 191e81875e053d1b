"""The memory that settlement writes: which subjects are remembered, and what of them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from trackrelay.worker.settings import Settings
from trackrelay.worker.storage import ledger, sent_subjects
from trackrelay.worker.storage.key_hasher import KeyHasher
from trackrelay.worker.storage.stored_job import Job

from .sent_items import Recorder, updated

#: Spreads the checksums of keys, whose lowest bits choose the shard.
_SPREAD = 0x9E3779B1
_RANGE = 2**32


def selector(share: float) -> Callable[[str], bool]:
    """Return whether the subject of a stored key is in a sample of this share."""
    if share >= 1:
        return lambda key: True
    limit = int(share * _RANGE)
    return lambda key: (zlib.crc32(key.encode()) * _SPREAD) % _RANGE < limit


@dataclass(frozen=True, slots=True)
class SentMemory:
    """Remembers delivered jobs within their settlement."""

    recorder: Recorder
    after_s: float

    def __call__(self, connection: sa.Connection, jobs: Sequence[Job]) -> None:
        """Remember ``jobs``, which the transaction of ``connection`` records as delivered.

        Args:
            connection: holds the shards of the jobs' keys, so nobody else changes their subjects.
            jobs: in the order of their streams.
        """
        selects = self.recorder.selects
        selected = [job for job in jobs if any(map(selects, job.keys))]
        if replays := [job.id for job in selected if job.replayed]:
            # Some were delivered before, under the same id: what came after them still holds.
            old = ledger.recorded_before(connection, replays)
            selected = [job for job in selected if job.id not in old]
        if not selected:
            return
        loaded = sent_subjects.load(connection, {key for job in selected for key in job.keys})
        subjects, before = loaded.subjects, set(loaded.subjects)
        changes = self.recorder.changes(selected, loaded.now)
        updated(subjects, changes, self.after_s)
        touched = {each.key for each in changes} | {
            each.events_to for each in changes if each.events_to in before
        }
        sent_subjects.save(connection, [subjects[key] for key in touched if key in subjects])


def sent_memory(configured: Settings, hasher: KeyHasher) -> SentMemory | None:
    """Return the memory that the settings ask for; None if verification is off."""
    if configured.verify == "off":
        return None
    share = 1.0 if configured.verify == "all" else configured.verify_sample
    recorder = Recorder(hasher.digest, hasher.stored, selector(share))
    return SentMemory(recorder, configured.verify_after.total_seconds())
