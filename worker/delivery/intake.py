"""What comes in: decoding entries, fixing times, dropping repeats, keeping back what must wait. Pure but for the clock it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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
from trackrelay.worker.storage.backlog import BacklogItem
from trackrelay.worker.storage.dead_letters import NewDeadLetter
from trackrelay.worker.storage.duplicate_check import DuplicateCheck
from trackrelay.worker.storage.key_hasher import KeyHasher
from trackrelay.worker.storage.storable_jobs import (
    MAX_BODY_BYTES,
    MAX_KEY_BYTES,
    MAX_MS,
    unstorable_body_reason,
)
from trackrelay.worker.storage.stored_job import Job

from .shard_queue import RawEntry

#: An entry handed out this often, the last times alone, is what kills its workers.
MAX_DELIVERIES = 10
#: A stream entry's time may be ahead of the server's clock by so many seconds.
MAX_AHEAD_S = 60.0
#: A format's number has no more digits. One that has is not of a newer version but of nobody's.
MAX_VERSION_DIGITS = 4
#: Jobs in an entry; producers put 25 into one, and the identify that travels with each. More could outlast the lease.
MAX_ENTRY_JOBS = 1_000
#: Of an entry that cannot be decoded, as much of each field is kept.
MAX_RAW_BYTES = 1_000_000
#: Characters of an error's message that are kept.
MAX_ERROR = 300


class NewerFormatError(Exception):
    """The stream holds an entry of a format this version does not know: only a newer worker may touch it."""


@dataclass(slots=True)
class Decoded:
    """What some entries held."""

    jobs: list[Job] = field(default_factory=list)
    #: Entries that could not be decoded.
    undecodable: list[NewDeadLetter] = field(default_factory=list)
    #: Entries that were deleted behind our back: nothing is left to deliver.
    vanished: list[str] = field(default_factory=list)


class _Place(NamedTuple):
    """Where a job was read."""

    shard: int
    lane: Lane
    entry: str
    #: Unix seconds: when the entry was added, and the latest time that may be given to it.
    at: float
    latest: float


class Decoder:
    """Turns one shard's entries into jobs."""

    def __init__(self, shards: int, hasher: KeyHasher) -> None:
        self._shards = shards
        # Hashing and sharding the same few keys again and again is most of what decoding would cost.
        self._key = lru_cache(maxsize=50_000)(
            lambda key: (_stored_key(key, hasher), shard_of(key, shards))
        )

    def decode(
        self, shard: int, lane: Lane, entries: Iterable[RawEntry], now: float = float("inf")
    ) -> Decoded:
        """Return the jobs in ``entries``, in order.

        Args:
            now: unix seconds by a server's clock. An entry from the future, of a clock that was wrong for a while, must not give
                its time to what comes after it: an identify with a later timestamp would win over those for as long.

        Raises:
            NewerFormatError: an entry is of a newer format; none of the read is to be touched.
        """
        decoded = Decoded()
        for entry in entries:
            if entry.vanished:
                decoded.vanished.append(entry.id)
                continue
            try:
                self._refuse_newer(entry, shard, lane)
                data = entry.data if entry.data is not None else (entry.fields or {})[b"j"]
                wire = decode_entry(data)
                refuse_unstorable(data, wire)
                latest = now + MAX_AHEAD_S
                place = _Place(shard, lane, entry.id, min(entry.at, latest), latest)
                jobs = [self._job(each, place) for each in wire]
            except NewerFormatError:
                raise
            except Exception as error:
                # Of whatever type: raised, it would stop the shard for good, as the entry would be the first to be read again.
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
                f"shard {shard}, {lane}: entry {entry.id} has format {int(version)}, this worker knows up to "
                f"{FORMAT_VERSION}: upgrade the workers; the shard waits"
            )

    def _job(self, wire: WireJob, place: _Place) -> Job:
        stored, shards = zip(*map(self._key, wire.keys), strict=True)
        if len(stored) > 1 and stored[0] == stored[1]:
            stored, shards = stored[:1], shards[:1]
        if place.shard not in shards:
            # Nobody of ours wrote it here. In the shards where its keys belong it would be looked for in vain.
            shards = (place.shard,) * len(stored)
        at = (
            min(wire.accepted_ms / 1000, place.latest)
            if 0 < wire.accepted_ms < MAX_MS
            else place.at
        )
        body = bytes(wire.body)
        if body[:1] != b"{":
            raise ValueError("the body of a job is not a JSON object")
        return Job(
            id=wire.id,
            operation=wire.operation,
            keys=stored,
            shards=shards,
            body=stamped(body, int(at)) if wire.stamp else body,
            lane=place.lane,
            enqueued_at=at,
            # Not from when an outbox accepted it: that nobody relayed it does not make it a dead letter.
            age_from=place.at,
            source=wire.source,
            idempotency_key=wire.idempotency_key,
            trace=wire.trace,
            entry=place.entry,
        )

    def _undecodable(self, entry: RawEntry, shard: int, lane: Lane, error: str) -> NewDeadLetter:
        fields = entry.fields or {b"v": entry.version or b"", b"j": entry.data or b""}
        raw = msgspec.json.encode({_latin(name): _latin(value) for name, value in fields.items()})
        if cut := sum(
            max(0, len(part) - MAX_RAW_BYTES) for field in fields.items() for part in field
        ):
            error = f"{error[:MAX_ERROR]} (the last {cut:,} bytes of it are not kept)"
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
        return NewDeadLetter(job=job, reason="undecodable", error=error[: 2 * MAX_ERROR], raw=raw)


def _latin(part: bytes) -> str:
    return str(part[:MAX_RAW_BYTES], "latin-1")


def _stored_key(key: str, hasher: KeyHasher) -> str:
    """Return ``key`` as it is stored. Called once for each key, so that what it costs is not paid for each job."""
    stored = hasher.stored(key)
    if "\0" in stored:
        raise ValueError("a NUL in a key")
    if (size := len(stored.encode())) > MAX_KEY_BYTES:
        raise ValueError(f"a key of {size:,} bytes; the limit is {MAX_KEY_BYTES:,}")
    return stored


def refuse_unstorable(data: bytes, wire: Sequence[WireJob]) -> None:
    """Raise ValueError for JSON that decodes, and yet is more than Postgres, or a request, can hold.

    Nothing read together with it could be settled. Lengths of text, and how many keys there are, were checked while decoding; keys are
    checked where they are hashed.
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
            raise ValueError("a NUL outside of the document")
        if is_large and (why := unstorable_body_reason(bytes(job.body))):
            raise ValueError(why)


def _texts(job: WireJob) -> list[str]:
    return [text for text in (job.source, job.idempotency_key, job.trace) if text]


def stamped(body: bytes, timestamp: int) -> bytes:
    """Return the document with a timestamp at its end. It has none of its own: that is what ``stamp`` says."""
    head = body.rstrip()[:-1].rstrip()
    return b'%s%s"timestamp":%d}' % (head, b"" if head.endswith(b"{") else b",", timestamp)


def drop_duplicates(jobs: Sequence[Job], known: DuplicateCheck) -> list[Job]:
    """Those jobs that the stores do not know, each once: the first wins. Jobs out of the backlog are known by nature."""
    seen: set[str] = set()
    fresh = []
    for job in jobs:
        if job.id in seen or (not job.from_backlog and job.id in known.jobs):
            continue
        seen.add(job.id)
        fresh.append(job)
    return fresh


@dataclass(slots=True)
class Partition:
    """Which jobs may be tried now, and which may not."""

    ready: list[Job] = field(default_factory=list)
    waiting: list[BacklogItem] = field(default_factory=list)


def partition_blocked(jobs: Sequence[Job], waiting_keys: Iterable[str]) -> Partition:
    """Keep back the jobs whose key waits: behind an earlier job in the backlog, or behind one kept back just now.

    A merge, and a job whose keys are in two shards, always goes through the backlog: there it is due when it is first for
    both of its keys. ``jobs`` are in order, those out of the backlog first.
    """
    result = Partition()
    blocked = set(waiting_keys)
    for job in jobs:
        if job.from_backlog:
            # It is due, so it is first for its keys; what comes after it may follow in the same read only out of the backlog.
            result.ready.append(job)
        elif not blocked.isdisjoint(job.keys):
            result.waiting.append(BacklogItem(job=job, reason="key_waits"))
            blocked.update(job.keys)
        elif job.crosses_shards or job.is_delayed:
            result.waiting.append(BacklogItem(job=job, reason="two_keys"))
            blocked.update(job.keys)
        else:
            result.ready.append(job)
    return result


def crashed(job: Job, deliveries: int) -> NewDeadLetter:
    """The dead letter of a job that took its workers with it."""
    error = f"its stream entry was handed out {deliveries} times, at last alone, and never settled: it may kill its workers"
    return NewDeadLetter(job=job, reason="crashed", error=error)


def expired(
    jobs: Sequence[Job],
    now: float,
    max_age_s: float,
    delivery_resumed_at: Callable[[Job], float | None],
) -> tuple[list[Job], list[NewDeadLetter]]:
    """Split ``jobs`` in those that may still be delivered and those that are too old.

    Age counts from enqueueing, from the last replay, or from when delivery became possible again, whichever is latest.

    Args:
        now: unix seconds by the clock of a server, never by a worker's own.
        delivery_resumed_at: since when a job's delivery has been possible, in unix seconds; None if that is not known, and then it
            does not expire.
    """
    young: list[Job] = []
    deaths: list[NewDeadLetter] = []
    for job in jobs:
        since = delivery_resumed_at(job)
        age = now - max(job.age_from, since) if since is not None else 0.0
        if age <= max_age_s:
            young.append(job)
            continue
        hours, limit = age / 3600, max_age_s / 3600
        error = f"it is {hours:,.1f} hours old; TRACKRELAY_MAX_AGE is {limit:,.1f} hours"
        deaths.append(
            NewDeadLetter(
                job=job, reason="expired", error=error, history=({"at": now, "what": "expired"},)
            )
        )
    return young, deaths
