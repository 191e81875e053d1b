"""Decode stream entries into jobs: check them, fix their times, hash their keys. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import msgspec

from trackrelay.operations.ids import id_for, is_ulid
from trackrelay.operations.json_values import MAX_DEPTH, is_deeper
from trackrelay.operations.keys import shard_of
from trackrelay.queue.job import FORMAT_VERSION, decode_entry
from trackrelay.queue.job import Job as WireJob
from trackrelay.queue.redis_keys import Lane
from trackrelay.worker.reasons import DeathReason
from trackrelay.worker.storage.dead_letters import NewDeadLetter
from trackrelay.worker.storage.key_hasher import KeyHasher
from trackrelay.worker.storage.storable_jobs import (
    MAX_BODY_BYTES,
    MAX_KEY_BYTES,
    MAX_MS,
    unstorable_body_reason,
)
from trackrelay.worker.storage.stored_job import Job

from .shard_queue import RawEntry

#: A stream entry's time may be ahead of the server's clock by this many seconds.
MAX_AHEAD_S = 60.0
#: A format number with more digits is not of a newer version. It is garbage.
MAX_VERSION_DIGITS = 4
#: Jobs in one entry. Producers put 25 into one, and the identify that comes with each. More could
#: outlast the lease.
MAX_ENTRY_JOBS = 1_000
#: Bytes kept of each field of an entry that cannot be decoded.
MAX_RAW_BYTES = 1_000_000
#: Characters kept of an error's message.
MAX_ERROR = 300

#: The format of today, as an entry has it.
_VERSION = b"%d" % FORMAT_VERSION
#: How the document of almost every job ends: a last value, and no space.
_TIGHT_ENDS = frozenset(b"%c}" % end for end in b'"}]e0123456789')


class NewerFormatError(Exception):
    """The stream holds an entry of a newer format: only a newer worker may process it."""


@dataclass(slots=True)
class Decoded:
    """What some entries hold."""

    jobs: list[Job] = field(default_factory=list)
    #: One dead letter for each entry that cannot be decoded.
    undecodable: list[NewDeadLetter] = field(default_factory=list)
    #: Ids of entries that somebody else deleted: nothing is left to deliver.
    deleted: list[str] = field(default_factory=list)


class _Read(NamedTuple):
    """Where entries were read from, and the latest time that their jobs may get."""

    shard: int
    lane: Lane
    #: Unix seconds.
    latest: float


class Decoder:
    """Turns stream entries into jobs."""

    def __init__(self, shards: int, hasher: KeyHasher) -> None:
        self._shards = shards
        # Without a cache, hashing and sharding the same keys again would be most of the cost.
        self._key = lru_cache(maxsize=50_000)(
            lambda key: (_stored_key(key, hasher), shard_of(key, shards))
        )
        self._only_key = lru_cache(maxsize=50_000)(
            lambda key: ((_stored_key(key, hasher),), (shard_of(key, shards),))
        )

    def decode(
        self, shard: int, lane: Lane, entries: Iterable[RawEntry], now: float = float("inf")
    ) -> Decoded:
        """Return the jobs in ``entries``, in order.

        Args:
            shard: the shard that the entries were read from.
            lane: their lane.
            entries: as read.
            now: unix seconds by a server's clock. A clock that was wrong for a while gives entries
                times in the future. Such a time is cut: an identify with it would win over all
                later ones until that time.

        Raises:
            NewerFormatError: an entry is of a newer format; no entry of the read may be settled.
        """
        decoded = Decoded()
        read = _Read(shard, lane, now + MAX_AHEAD_S)
        for entry in entries:
            if entry.was_deleted:
                decoded.deleted.append(entry.id)
                continue
            try:
                if entry.version != _VERSION:
                    self._refuse_newer(entry, shard, lane)
                data = entry.data if entry.data is not None else (entry.fields or {})[b"j"]
                wire = decode_entry(data)
                check_storable(data, wire)
                added_at = min(entry.at, read.latest)
                jobs = [self._job(each, read, entry.id, added_at) for each in wire]
            except NewerFormatError:
                raise
            except Exception as error:
                # Catch every type: a raised error would stop the shard for good, because the entry
                # would be the first one of the next read.
                decoded.undecodable.append(
                    self._undecodable(entry, shard, lane, f"{type(error).__name__}: {error}")
                )
            else:
                decoded.jobs += jobs
        return decoded

    def _refuse_newer(self, entry: RawEntry, shard: int, lane: Lane) -> None:
        version = (
            entry.version if entry.version is not None else (entry.fields or {}).get(b"v", b"")
        )
        if not version.isdigit():
            return
        if len(version) > MAX_VERSION_DIGITS:
            raise ValueError(
                f"a format of {len(version):,} digits; none has more than {MAX_VERSION_DIGITS}"
            )
        if int(version) > FORMAT_VERSION:
            raise NewerFormatError(
                f"shard {shard}, {lane}: entry {entry.id} has format {int(version)}, "
                f"this worker knows up to {FORMAT_VERSION}: upgrade the workers; the shard waits"
            )

    def _job(self, wire: WireJob, read: _Read, entry: str, added_at: float) -> Job:
        stored: tuple[str, ...]
        shards: tuple[int, ...]
        if len(wire.keys) == 1:
            stored, shards = self._only_key(wire.keys[0])
        else:
            stored, shards = zip(*map(self._key, wire.keys), strict=True)
            if stored[0] == stored[1]:
                stored, shards = stored[:1], shards[:1]
        if read.shard not in shards:
            # No producer wrote it here. The backlog of its keys' own shards would never send it.
            shards = (read.shard,) * len(stored)
        at = (
            min(wire.accepted_ms / 1000, read.latest) if 0 < wire.accepted_ms < MAX_MS else added_at
        )
        body = bytes(wire.body)
        if body[:1] != b"{":
            raise ValueError("the body of a job is not a JSON object")
        return Job(
            id=wire.id,
            operation=wire.operation,
            keys=stored,
            shards=shards,
            body=add_timestamp(body, int(at)) if wire.stamp else body,
            lane=read.lane,
            enqueued_at=at,
            # Not since an outbox accepted it: time without a relay does not expire a job.
            age_from=added_at,
            source=wire.source,
            idempotency_key=wire.idempotency_key,
            trace=wire.trace,
            entry=entry,
        )

    def _undecodable(self, entry: RawEntry, shard: int, lane: Lane, error: str) -> NewDeadLetter:
        fields = entry.fields or {b"v": entry.version or b"", b"j": entry.data or b""}
        raw = msgspec.json.encode({_latin(name): _latin(value) for name, value in fields.items()})
        if cut := sum(
            max(0, len(part) - MAX_RAW_BYTES) for field in fields.items() for part in field
        ):
            error = f"{error[:MAX_ERROR]} (its last {cut:,} bytes are not kept)"
        job = Job(
            id=id_for("undecodable", f"shard:{shard}:{lane}", "", entry.id),
            operation="unknown",
            keys=("unknown",),
            shards=(shard,),
            body=b"null",
            lane=lane,
            enqueued_at=entry.at,
            age_from=entry.at,
            entry=entry.id,
        )
        return NewDeadLetter(
            job=job, reason=DeathReason.UNDECODABLE, error=error[: 2 * MAX_ERROR], raw=raw
        )


def _latin(part: bytes) -> str:
    return str(part[:MAX_RAW_BYTES], "latin-1")


def _stored_key(key: str, hasher: KeyHasher) -> str:
    """Return ``key`` as it is stored. The decoder calls it once for each key, not for each job."""
    stored = hasher.stored(key)
    if "\0" in stored:
        raise ValueError("a key contains a NUL character")
    if (size := len(stored.encode())) > MAX_KEY_BYTES:
        raise ValueError(f"a key of {size:,} bytes; the limit is {MAX_KEY_BYTES:,}")
    return stored


def check_storable(data: bytes, wire: Sequence[WireJob]) -> None:
    """Raise for jobs that decode and yet are more than Postgres or a request can hold.

    Nothing that is read together with such a job could be settled. The decoder checks lengths of
    text and numbers of keys; keys are checked where they are hashed.

    Raises:
        ValueError: it says which limit an entry breaks.
    """
    data.decode()
    if not 1 <= len(wire) <= MAX_ENTRY_JOBS:
        raise ValueError(f"an entry of {len(wire):,} jobs; it holds 1 to {MAX_ENTRY_JOBS:,}")
    may_hold_nul = b"\\u0000" in data
    is_large = len(data) > MAX_BODY_BYTES or is_deeper(data, MAX_DEPTH)
    for job in wire:
        if not is_ulid(job.id):
            raise ValueError("a job's id is not a ULID")
        if may_hold_nul and any("\0" in text for text in (job.operation, *job.keys, *_texts(job))):
            raise ValueError("a NUL character outside of the document")
        if is_large and (why := unstorable_body_reason(bytes(job.body))):
            raise ValueError(why)


def _texts(job: WireJob) -> list[str]:
    return [text for text in (job.source, job.idempotency_key, job.trace) if text]


def add_timestamp(body: bytes, timestamp: int) -> bytes:
    """Return the document with a timestamp at its end. The caller knows that it has none."""
    if body[-2:] in _TIGHT_ENDS:
        return b'%s,"timestamp":%d}' % (body[:-1], timestamp)
    head = body.rstrip()[:-1].rstrip()
    return b'%s%s"timestamp":%d}' % (head, b"" if head.endswith(b"{") else b",", timestamp)
