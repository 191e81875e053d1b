"""Finds jobs in Postgres, in the streams and in the outbox.

Streams have no index, so the number of entries that are read is limited, and reported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

import msgspec
import redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from trackrelay.errors import TrackRelayError
from trackrelay.operations.ids import companion_id, is_ulid
from trackrelay.operations.keys import shard_of, shown
from trackrelay.queue.job import Job, decode_entry
from trackrelay.queue.redis_keys import LANES, stream
from trackrelay.worker.cli.common.command_errors import explain
from trackrelay.worker.cli.common.command_stores import Outbox, OutboxRow, Stores
from trackrelay.worker.cli.common.humanize import count, duration
from trackrelay.worker.delivery.lua_scripts import GROUP
from trackrelay.worker.queue import queue_config
from trackrelay.worker.storage import verdicts
from trackrelay.worker.storage.key_hasher import KeyHasher
from trackrelay.worker.storage.queries.job_search import Match, Place, search
from trackrelay.worker.storage.verdicts import Verdict

from .job_query import Query

#: Entries that are read in one go.
CHUNK = 1_000


@dataclass(slots=True)
class JobFinder:
    """Looks in every place, and collects what cannot be read as problems."""

    stores: Stores
    query: Query
    matches: list[Match] = field(default_factory=list)
    #: Stream entries there are, and those that were read.
    entries: int = 0
    entries_read: int = 0
    outbox_is_complete: bool = True
    #: Matches in each place of Postgres, including those that were not loaded.
    totals_in_postgres: dict[Place, int] = field(default_factory=dict)
    #: Why a place could not be read.
    problems: list[str] = field(default_factory=list)
    #: What became of delivered jobs, by the job's id.
    verdicts: dict[str, list[Verdict]] = field(default_factory=dict)

    def run(self, max_entries: int, limit: int) -> None:
        """Look in every place that answers.

        Args:
            max_entries: of the streams, and of the outbox, that are read; 0: all.
            limit: how many jobs will be shown.
        """
        hasher = self._search_postgres(limit)
        matcher = _Matcher(self.query, hasher)
        if self.stores.outbox is not None:
            self._search_outbox(self.stores.outbox, matcher, max_entries)
        try:
            self._search_streams(matcher, max_entries)
        except RedisError as error:
            self.problems.append(explain(error) or str(error))

    def totals(self) -> dict[Place, int]:
        """Return how many matches there are in each place, including those not loaded."""
        return dict(Counter(match.place for match in self.matches)) | self.totals_in_postgres

    def remarks(self) -> list[str]:
        """Return what the user must know about the search itself."""
        remarks = []
        if self.entries_read < self.entries:
            read = count(self.entries_read, "stream entry", "stream entries")
            remarks.append(f"read {read} of {self.entries:,}; --scan 0 reads all of them")
        if not self.outbox_is_complete:
            remarks.append("the outbox holds more jobs than were read; --scan 0 reads all of them")
        return remarks

    def nothing_found(self) -> str:
        """Return the error for a search without a match."""
        kept = duration(self.stores.settings.ledger_retention.total_seconds())
        return (
            f"no trace of {self.query.text}: it was never enqueued here, or it was delivered "
            f"more than {kept} ago (TRACKRELAY_LEDGER_RETENTION)"
        )

    def _search_postgres(self, limit: int) -> KeyHasher | None:
        try:
            hasher = self.stores.hasher()
            with self.stores.engine.connect() as connection:
                # One more than is shown, to know whether there are more.
                results = search(connection, self.query.stored(hasher), limit + 1)
                for each in verdicts.of_jobs(connection, {job.id for job in results.matches}):
                    self.verdicts.setdefault(each.job_id or "", []).append(each)
        except SQLAlchemyError as error:
            self.problems.append(explain(error) or str(error))
            return None
        self.matches += results.matches
        self.totals_in_postgres = results.totals
        return hasher

    def _search_outbox(self, outbox: Outbox, matcher: _Matcher, max_rows: int) -> None:
        # One more than is read, to know whether there are more.
        limit = max_rows + 1 if max_rows else None
        try:
            rows = outbox.rows(self._generation(), self.query.ids[:1], limit)
            for position, row in enumerate(rows):
                if max_rows and position == max_rows:
                    self.outbox_is_complete = False
                    return
                self.matches += matcher.in_outbox(row)
        except TrackRelayError as error:
            self.problems.append(str(error))

    def _generation(self) -> str | None:
        try:
            config = queue_config.read(self.stores.redis)
        except RedisError:
            return None  # reported when the streams are read
        return config.generation if config else ""

    def _search_streams(self, matcher: _Matcher, max_entries: int) -> None:
        client, query = self.stores.redis, self.query
        config = queue_config.read(client)
        shards = range(config.shards if config else 0)
        if query.key is not None and not query.is_hashed and shards:
            shard = shard_of(query.key, len(shards))
            shards = range(shard, shard + 1)
        # The shortest first: the others get what it leaves of its part.
        streams = sorted(
            (int(client.xlen(stream(shard, lane))), shard, lane)
            for lane in LANES
            for shard in shards
        )
        self.entries = sum(length for length, _, _ in streams)
        left = max_entries or self.entries
        for index, (length, shard, lane) in enumerate(streams):
            part = min(length, left // (len(streams) - index))
            self._search_stream(matcher, _StreamPlace(shard, lane), part)
            left -= part

    def _search_stream(self, matcher: _Matcher, place: _StreamPlace, max_entries: int) -> None:
        client = self.stores.redis
        for entry_id, fields in _entries(client, place.name, max_entries):
            for match in matcher.in_stream(place, entry_id, fields.get(b"j", b"")):
                deliveries = _deliveries(client, place.name, entry_id)
                self.matches.append(replace(match, deliveries=deliveries))
            jobs = fields.get(b"n", b"1")
            place.ahead += int(jobs) if jobs.isdigit() else 1
            self.entries_read += 1


@dataclass(slots=True)
class _StreamPlace:
    """How far the search in a stream has come."""

    shard: int
    lane: Any
    #: Jobs in the entries that were read.
    ahead: int = 0

    @property
    def name(self) -> str:
        return stream(self.shard, self.lane)


class _Matcher:
    """Finds the jobs of a query in entries; decodes only entries whose bytes can match."""

    def __init__(self, query: Query, hasher: KeyHasher | None) -> None:
        self._query = query
        self._hasher = hasher
        texts = [*query.ids, query.idempotency_key, None if query.is_hashed else query.key]
        self._needles = [msgspec.json.encode(text)[1:-1] for text in texts if text]

    def in_stream(self, place: _StreamPlace, entry_id: bytes, entry: bytes) -> Iterator[Match]:
        """Yield the matches in an entry of a stream."""
        for before, job in self._jobs(entry):
            at_ms = job.accepted_ms or int(entry_id.partition(b"-")[0])
            yield self._match(
                "stream",
                job,
                enqueued_at=at_ms / 1000,
                shard=place.shard,
                lane=place.lane,
                ahead=place.ahead + before,
            )

    def in_outbox(self, row: OutboxRow) -> Iterator[Match]:
        """Yield the matches in a row of the outbox."""
        reason = "queue_lost" if row.was_relayed else "not_relayed"
        for _, job in self._jobs(row.entry):
            yield self._match("outbox", job, enqueued_at=row.at, lane=row.lane, reason=reason)

    def _match(self, place: Place, job: Job, **values: Any) -> Match:
        return Match(
            place=place,
            id=job.id,
            operation=job.operation,
            keys=self._stored(job),
            source=job.source,
            idempotency_key=job.idempotency_key,
            **values,
        )

    def _jobs(self, entry: bytes) -> list[tuple[int, Job]]:
        """Return the jobs that match, each with how many jobs of the entry are before it."""
        # The identify that was enqueued with an event is in the event's own entry.
        if self._needles and not any(needle in entry for needle in self._needles):
            return []
        try:
            jobs = decode_entry(entry)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return []
        found, ahead = [], 0
        for job, following in zip_longest(jobs, jobs[1:]):
            if self._matches(job):
                found.append((ahead, job))
            ahead += 0 if following and _belong_together(job, following) else 1
        return found

    def _matches(self, job: Job) -> bool:
        query = self._query
        if query.key is not None:
            return query.key in (self._stored(job) if query.is_hashed else job.keys)
        return job.id in query.ids or (
            query.idempotency_key is not None and job.idempotency_key == query.idempotency_key
        )

    def _stored(self, job: Job) -> tuple[str, ...]:
        """Return the job's keys in the form that may be shown."""
        if self._hasher is None:
            return tuple(shown(key) for key in job.keys)
        return tuple(self._hasher.stored(key) for key in job.keys)


def _belong_together(job: Job, event: Job) -> bool:
    # An event and the identify that was enqueued with it count as one.
    return (
        job.operation == "person.identify"
        and is_ulid(event.id)
        and job.id == companion_id(event.id)
    )


def _entries(
    client: redis.Redis, name: str, limit: int
) -> Iterator[tuple[bytes, dict[bytes, bytes]]]:
    after = "-"
    while limit > 0:
        chunk: Any = client.xrange(name, min=after, count=min(CHUNK, limit))
        if not chunk:
            return
        yield from chunk
        limit -= len(chunk)
        after = f"({chunk[-1][0].decode()}"


def _deliveries(client: redis.Redis, name: str, entry_id: bytes) -> int:
    try:
        pending: Any = client.xpending_range(name, GROUP, entry_id, entry_id, 1)
    except redis.ResponseError:
        return 0  # no worker has created the group yet
    return int(pending[0]["times_delivered"]) if pending else 0
