"""Finds a person's entries in Redis: in the streams of all shards, and among the refused calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import redis

from trackrelay.operations.refused_operations import RefusedCall, decode_refused
from trackrelay.queue.job import FORMAT_VERSION, decode_entry
from trackrelay.queue.job import Job as WireJob
from trackrelay.queue.redis_keys import INVALID, LANES, PREFIX, Lane, stream
from trackrelay.worker.delivery.lua_scripts import GROUP
from trackrelay.worker.delivery.shard_queue import RawEntry
from trackrelay.worker.endpoint_families import Family

from .person_keys import PersonKeys

#: Entries that are read in one go.
CHUNK = 500
#: Ids of others' jobs that are kept as examples.
MAX_EXAMPLES = 20

_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, TypeError, ValueError, RecursionError)
_call = msgspec.json.Decoder(RefusedCall)


@dataclass(frozen=True, slots=True)
class FoundEntry:
    """An entry with something of the person."""

    shard: int
    lane: Lane
    entry: RawEntry
    #: The person's own jobs. Empty: the entry cannot be decoded, and its bytes name the person.
    jobs: tuple[WireJob, ...] = ()
    #: Whether jobs of others are in the same entry.
    is_shared: bool = False
    #: Whether a worker has read it, so that its jobs may be on their way.
    is_pending: bool = False
    #: Whether only a newer version may touch it.
    is_newer: bool = False


@dataclass(slots=True)
class QueueFindings:
    """What the streams hold of a person."""

    entries: list[FoundEntry] = field(default_factory=list)
    #: Jobs of others that have the person's name in their document, and some of their ids.
    mentions: int = 0
    examples: list[str] = field(default_factory=list)
    #: Other names of the person in their own documents, as stored, and in how many jobs.
    other_names: dict[str, int] = field(default_factory=dict)

    @property
    def jobs(self) -> int:
        """The person's jobs. One with keys in two shards counts once."""
        known = {job.id for found in self.entries for job in found.jobs}
        return len(known) + sum(not found.jobs for found in self.entries)

    @property
    def pending(self) -> int:
        """Those of them that a worker has read."""
        return len({job.id for found in self.entries if found.is_pending for job in found.jobs})


def search_streams(
    client: redis.Redis, shards: int, person: PersonKeys, until: str = "+"
) -> QueueFindings:
    """Look at every entry of every stream, up to the entry id ``until``."""
    findings = QueueFindings()
    for shard in range(shards):
        for lane in LANES:
            name = stream(shard, lane)
            _search_stream(client, (shard, lane), person, findings, entries_of(client, name, until))
    return findings


def _search_stream(
    client: redis.Redis,
    place: tuple[int, Lane],
    person: PersonKeys,
    findings: QueueFindings,
    entries: Iterator[tuple[str, dict[bytes, bytes]]],
) -> None:
    shard, lane = place
    name = stream(shard, lane)
    for entry_id, fields in entries:
        if not _may_concern(person, fields):
            continue
        found = _examine(entry_id, fields, person, findings)
        if found is not None:
            jobs, is_shared, is_newer = found
            findings.entries.append(
                FoundEntry(
                    shard=shard,
                    lane=lane,
                    entry=_raw(entry_id, fields),
                    jobs=jobs,
                    is_shared=is_shared,
                    is_pending=_is_pending(client, name, entry_id),
                    is_newer=is_newer,
                )
            )


def entries_of(
    client: redis.Redis, name: str, until: str = "+"
) -> Iterator[tuple[str, dict[bytes, bytes]]]:
    """Yield id and fields of the entries of a stream, as of now."""
    after = "-"
    if until == "+":
        last: Any = client.xrevrange(name, count=1)
        if not last:
            return
        until = last[0][0].decode()
    while True:
        chunk: Any = client.xrange(name, min=after, max=until, count=CHUNK)
        for entry_id, fields in chunk:
            yield entry_id.decode(), fields
        if len(chunk) < CHUNK:
            return
        after = f"({chunk[-1][0].decode()}"


def _may_concern(person: PersonKeys, fields: Mapping[bytes, bytes]) -> bool:
    if person.must_decode:
        return True
    return any(
        person.is_mentioned(value) or any(token in value for token in person.tokens)
        for value in fields.values()
    )


def _examine(
    entry_id: str,
    fields: Mapping[bytes, bytes],
    person: PersonKeys,
    findings: QueueFindings,
) -> tuple[tuple[WireJob, ...], bool, bool] | None:
    version = fields.get(b"v", b"")
    is_newer = version.isdigit() and len(version) < 10 and int(version) > FORMAT_VERSION
    try:
        if is_newer:
            raise ValueError(entry_id)
        jobs = decode_entry(fields.get(b"j", b""))
    except _UNREADABLE:
        if not any(token in value for token in person.tokens for value in fields.values()):
            return None
        return (), False, is_newer
    jobs = tuple(job for job in jobs if job.id not in person.exempt)
    theirs = tuple(job for job in jobs if person.is_in(job.keys))
    others = [job for job in jobs if job not in theirs]
    for job in others:
        if person.is_mentioned(bytes(job.body)):
            findings.mentions += 1
            if len(findings.examples) < MAX_EXAMPLES:
                findings.examples.append(job.id)
    for job in theirs:
        for name in person.other_names(bytes(job.body)):
            findings.other_names[name] = findings.other_names.get(name, 0) + 1
    return (theirs, bool(others), False) if theirs else None


def _raw(entry_id: str, fields: dict[bytes, bytes]) -> RawEntry:
    digits = fields.get(b"n", b"1")
    jobs = int(digits) if digits.isdigit() and len(digits) <= 3 else 1
    if fields.keys() <= {b"v", b"j", b"n"} and b"v" in fields and b"j" in fields:
        return RawEntry(entry_id, fields[b"v"], fields[b"j"], None, max(1, jobs))
    return RawEntry(entry_id, None, None, fields)


def _is_pending(client: redis.Redis, name: str, entry_id: str) -> bool:
    try:
        return bool(client.xpending_range(name, GROUP, entry_id, entry_id, 1))
    except redis.ResponseError:
        return False  # no worker has created the group yet


def search_refused(client: redis.Redis, person: PersonKeys, until: str = "+") -> list[str]:
    """Return the ids of the person's entries among the refused calls, up to entry ``until``."""
    return [
        entry_id
        for entry_id, fields in entries_of(client, INVALID, until)
        if any(is_refused_call_of(value, person) for value in fields.values())
    ]


def search_breakers(client: redis.Redis, person: PersonKeys) -> dict[str, list[str]]:
    """Return the fields that name the person, by the key of the breaker."""
    names = [PREFIX + "breaker", *(f"{PREFIX}breaker:{family}" for family in Family)]
    found = {}
    for name in names:
        values: Any = client.hgetall(name)
        fields = [
            field.decode()
            for field, value in values.items()
            if value.decode(errors="replace") in person.forms.clear or person.is_mentioned(value)
        ]
        if fields:
            found[name] = fields
    return found


def is_refused_call_of(data: bytes, person: PersonKeys) -> bool:
    """Return whether an entry of refused operations, in a stream or an outbox, is the person's."""
    if not person.must_decode and not any(token in data for token in person.tokens):
        return False
    try:
        calls = [_call.decode(job.body) for job in decode_refused(data)]
    except _UNREADABLE:
        return any(token in data for token in person.tokens)
    return any(person.is_in(call.keys) or _names(bytes(call.document), person) for call in calls)


def _names(document: bytes, person: PersonKeys) -> bool:
    # A call whose identifier was refused has no key. Its document still says whose it was.
    return any(token in document for token in person.tokens)
