"""The relay: what it does with the rows of an outbox, one look at a time.

Safe with any number of relays at once, and after a ``kill -9`` anywhere, because of three things. Whoever sees a row sees the rows that
were committed before it, and takes them first. A row is marked only after it was appended, so in doubt it is appended
again, behind itself: the worker drops repeats. And a mark counts only in the generation of the queue it was made in.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec
import sqlalchemy as sa
import structlog

from trackrelay.errors import QueueNotSetUpError
from trackrelay.operations.ids import id_for
from trackrelay.operations.operation import Operation
from trackrelay.operations.refused_operations import decode_refused
from trackrelay.queue.append import Entry, GenerationDiffersError, ShardsDifferError
from trackrelay.queue.job import FORMAT_VERSION, decode_entry, encode_accepted
from trackrelay.queue.redis_keys import LANES, Lane
from trackrelay.worker.dead_letters.refused_calls import death_of
from trackrelay.worker.delivery.entry_decoder import check_storable
from trackrelay.worker.failpoints import failpoint
from trackrelay.worker.queue.queue_config import QueueConfig
from trackrelay.worker.reasons import DeathReason
from trackrelay.worker.storage import dead_letters, incident_log
from trackrelay.worker.storage.dead_letters import NewDeadLetter
from trackrelay.worker.storage.key_hasher import KeyHasher
from trackrelay.worker.storage.settled_jobs import settled
from trackrelay.worker.storage.stored_job import Job

from .outbox_rows import Mark, Relayed, Row, Rows
from .relay_queue import RelayQueue

log = structlog.get_logger("trackrelay.relay")

#: Rows of one look, and of one append at the most …
ROWS = 500
#: … or bytes, whichever comes first: a script call blocks Redis for everybody.
APPEND_BYTES = 1_000_000
#: Relayed rows whose arrival is asked about at once.
CONFIRM_ROWS = 2_000
#: For how long a relay relies on the number of the last append that it knows. A relay that slept for longer reads it anew.
REMEMBERED_S = 2.0
#: How often it is asked while rows wait for it.
CONFIRM_S = 0.5

_UNREADABLE = (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError)


class NewerRowError(Exception):
    """A row was written by a newer version than this relay's; it and what follows it waits."""


class QueueMissingError(Exception):
    """Redis has no queue, and nobody may set one up but ``trackrelay migrate``."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look did."""

    rows: int = 0
    #: Whether another one is worth it at once.
    more: bool = False


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the relay asks those who keep Redis and Postgres agreed on the queue."""

    #: Compare both and return the queue's set-up, or None if there is none; raises if they differ.
    config: Callable[[], QueueConfig | None]
    #: Give the queue another generation than the given one, whose latest entries Redis has lost.
    replace_generation: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Ready:
    row: Row
    entry: Entry


class Relay:
    """Relays one outbox.

    Args:
        stores: where the worker keeps ledger, backlog and dead letters.
        agreement: asked when Redis has no queue, or another than before.
        hasher: called when a row is a refused operation; returns what its keys are stored with.
    """

    def __init__(
        self,
        rows: Rows,
        queue: RelayQueue,
        stores: sa.Engine,
        agreement: Agreement,
        hasher: Callable[[], KeyHasher],
    ) -> None:
        self._rows = rows
        self._queue = queue
        self._stores = stores
        self._agreement = agreement
        self._hasher = hasher
        self._config: QueueConfig | None = None
        self._start_over()

    def relay(self) -> Look:
        """Take the first rows that are there on into the queue.

        Raises:
            QueueFullError: the rows wait in the outbox.
            QueueMissingError: there is no queue.
            NewerRowError: the next row is a newer version's.
        """
        config = self._queue.config()
        if config is None or self._config is None or config.generation != self._config.generation:
            # It may be another environment's queue: nothing goes there before Postgres knows it.
            config = self._agreement.config()
            if config is None:
                raise QueueMissingError(
                    "the queue was never set up in this Redis: run `trackrelay migrate`"
                )
            self._start_over()
        self._config = config
        try:
            return self._relay(config)
        except GenerationDiffersError as differs:
            if differs.actual is None:
                log.error(
                    "Redis has lost its latest entries; what has not arrived is relayed again"
                )
                self._agreement.replace_generation(config.generation)
            return Look(more=True)
        except (QueueNotSetUpError, ShardsDifferError):
            return Look(more=True)  # it has changed since a moment ago

    def confirm(self) -> Look:
        """Let go of relayed rows whose jobs have arrived; those whose entries are gone without a trace are relayed again."""
        if self._config is None or not self._unconfirmed or time.monotonic() < self._confirm_at:
            return Look()
        return self._confirm(self._config)

    def forget_appends(self) -> None:
        """Read anew what was appended last: another relay may have worked since."""
        self._remembered_until = 0.0

    # -- rows into the queue

    def _start_over(self) -> None:
        #: Whether every row of another generation has been dealt with, so that only new ones need looking for.
        self._caught_up = False
        self._remembered = 0
        self._remembered_until = 0.0
        self._unconfirmed = True
        self._confirmed_up_to = 0
        self._confirm_at = 0.0

    def _relay(self, config: QueueConfig) -> Look:
        now = time.monotonic()
        if now >= self._remembered_until:
            # The highest of both: the rows of our own appends may have been let go since.
            self._remembered = max(self._remembered, self._rows.last_turn(config.generation))
            self._remembered_until = now + REMEMBERED_S
        rows = (
            self._rows.unrelayed(ROWS)
            if self._caught_up
            else self._rows.not_relayed_in(config.generation, ROWS)
        )
        relayed = 0
        known = list(itertools.takewhile(lambda row: row.format <= FORMAT_VERSION, rows))
        for lane, ready in _appends(self._ready(self._without_arrived(known))):
            appended = self._queue.append(
                [each.entry for each in ready], lane, config, self._remembered
            )
            failpoint("after_relay_append")
            self._mark(config, [each.row for each in ready], appended.turn, appended.places)
            self._note_again([each.row for each in ready])
            self._remembered = max(self._remembered, appended.turn)
            self._unconfirmed = True
            relayed += len(ready)
        if len(known) < len(rows):
            raise NewerRowError(
                f"outbox row {rows[len(known)].id} has format {rows[len(known)].format}, this relay knows up to "
                f"{FORMAT_VERSION}: upgrade it; the outbox waits"
            )
        more = len(rows) == ROWS
        self._caught_up = self._caught_up or not more
        return Look(relayed, more)

    def _mark(
        self, config: QueueConfig, rows: Sequence[Row], turn: int, places: Sequence[str]
    ) -> None:
        self._rows.mark(
            [
                Mark(row.id, row.generation, config.generation, turn, place)
                for row, place in zip(rows, places, strict=True)
            ]
        )

    def _note_again(self, rows: Sequence[Row]) -> None:
        # What was in a lost queue and goes again is not lost.
        again = Counter(row.generation for row in rows if row.generation is not None)
        if again:
            with self._stores.begin() as connection:
                for generation, jobs in again.items():
                    incident_log.note_relayed_again(connection, generation, jobs)

    def _without_arrived(self, rows: list[Row]) -> list[Row]:
        # Of what went into a queue that is gone, most has arrived.
        before = [row for row in rows if row.generation is not None]
        if not before:
            return rows
        with self._stores.connect() as connection:
            known = settled(connection, [row.job_id for row in before], discarded=False)
        arrived = {row.id for row in before if row.job_id in known}
        if arrived:
            self._rows.delete(sorted(arrived))
        return [row for row in rows if row.id not in arrived]

    def _ready(self, rows: Sequence[Row]) -> Iterator[_Ready]:
        for row in rows:
            try:
                yield _Ready(row, _entry(row))
            except _UNREADABLE as error:
                if not self._keep_refused(row):
                    self._bury(row, f"{type(error).__name__}: {error}")

    def _keep_refused(self, row: Row) -> bool:
        data = row.entry.encode()
        try:
            jobs, hasher = decode_refused(data), self._hasher()
            deaths = [death_of(job, data, row.accepted_ms / 1000, row.lane, hasher) for job in jobs]
        except _UNREADABLE:
            return False
        if not deaths:
            return False
        with self._stores.begin() as connection:
            dead_letters.insert_new(connection, deaths)
        self._rows.delete([row.id])
        log.warning("dead_letter", job=row.job_id, reason=DeathReason.INVALID, row=row.id)
        return True

    def _bury(self, row: Row, error: str) -> None:
        death = _undecodable(row, self._rows.name, error)
        with self._stores.begin() as connection:
            dead_letters.insert(connection, [death])
        self._rows.delete([row.id])
        log.warning("dead_letter", job=death.job.id, reason=DeathReason.UNDECODABLE, row=row.id)

    # -- rows whose jobs have arrived

    def _confirm(self, config: QueueConfig) -> Look:
        rows = self._rows.relayed(self._confirmed_up_to, CONFIRM_ROWS)
        if any(row.generation != config.generation for row in rows):
            self._caught_up = False
        # Asked after the rows were read: whatever was appended later is not among them.
        heads = self._queue.heads(config, LANES)
        gone = [
            row
            for row in rows
            if row.generation == config.generation and heads.have_passed(row.place, row.lane)
        ]
        confirmed = self._let_go(gone, config)
        more = len(gone) > CONFIRM_ROWS // 2
        self._confirm_at = 0.0 if more else time.monotonic() + CONFIRM_S
        if len(rows) < CONFIRM_ROWS:
            self._unconfirmed = len(rows) > len(gone) or self._confirmed_up_to > 0
            self._confirmed_up_to = 0
        elif not gone:
            # A shard that stands still must not hide what lies behind its rows.
            self._confirmed_up_to = rows[-1].id
        return Look(confirmed, more)

    def _let_go(self, gone: Sequence[Relayed], config: QueueConfig) -> int:
        if not gone:
            return 0
        # Asked after the entries were seen to be gone: a job is settled before its entry is acknowledged.
        with self._stores.connect() as connection:
            known = settled(connection, [row.job_id for row in gone], discarded=True)
        arrived = [row.id for row in gone if row.job_id in known]
        lost = [row for row in gone if row.job_id not in known]
        if arrived:
            self._rows.delete(arrived)
        # If all of the queue was lost, they go again in any case, with everything else.
        if lost and self._queue.config() == config:
            log.warning(
                "stream entries were deleted by somebody else; their jobs are relayed again",
                jobs=len(lost),
            )
            self._rows.unmark([row.id for row in lost])
        return len(arrived)


def _entry(row: Row) -> Entry:
    # What a worker could not read would come back as lost, and be relayed again for ever.
    data = row.entry.encode()
    jobs = decode_entry(data)
    check_storable(data, jobs)
    if not jobs or not all(job.keys for job in jobs):
        raise ValueError("an entry without jobs, or a job without keys")
    job = jobs[-1]
    if job.id != row.job_id:
        raise ValueError("the entry is another job's")
    kind, _, action = job.operation.partition(".")
    operation = Operation(id=job.id, type=kind, action=action, keys=job.keys, body=b"")
    return Entry(operation, encode_accepted(jobs, row.accepted_ms))


def _appends(ready: Iterator[_Ready]) -> Iterator[tuple[Lane, list[_Ready]]]:
    """What goes in one append each: rows of one lane, in order, none too large."""
    waiting: dict[Lane, list[_Ready]] = {lane: [] for lane in LANES}
    sizes: dict[Lane, int] = dict.fromkeys(LANES, 0)
    for each in ready:
        lane = each.row.lane
        waiting[lane].append(each)
        sizes[lane] += len(each.entry.data)
        if sizes[lane] >= APPEND_BYTES:
            yield lane, waiting[lane]
            waiting[lane], sizes[lane] = [], 0
    for lane in LANES:
        if waiting[lane]:
            yield lane, waiting[lane]


def _undecodable(row: Row, outbox: str, error: str) -> NewDeadLetter:
    job = Job(
        id=id_for("undecodable", f"outbox:{outbox}", "", str(row.id)),
        operation="unknown",
        keys=("unknown",),
        shards=(0,),
        body=b"null",
        lane=row.lane,
        enqueued_at=row.accepted_ms / 1000,
        age_from=row.accepted_ms / 1000,
    )
    return NewDeadLetter(
        job=job, reason=DeathReason.UNDECODABLE, error=error, raw=row.entry.encode()
    )
