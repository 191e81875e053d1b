"""The relay: append the rows of an outbox to the queue, and delete those whose jobs have arrived.

Any number of relays may run at once, and a ``kill -9`` does no harm:

- A relay that sees a row also sees the rows that were committed before it, and appends them first.
- A row is marked only after it was appended. In doubt it is appended again, and the worker drops
the
  duplicate.
- A mark is valid only for the generation of the queue in which it was made.
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
from trackrelay.operations.operation import Operation
from trackrelay.operations.refused_operations import decode_refused
from trackrelay.queue.append import Entry, GenerationDiffersError, ShardsDifferError
from trackrelay.queue.job import FORMAT_VERSION, decode_entry, encode_accepted
from trackrelay.queue.redis_keys import LANES, Lane
from trackrelay.worker.dead_letters.refused_calls import (
    insert_unless_blocked,
    letter_of,
    undecodable_letter,
)
from trackrelay.worker.delivery.entry_decoder import check_storable
from trackrelay.worker.failpoints import failpoint
from trackrelay.worker.queue.queue_config import QueueConfig
from trackrelay.worker.reasons import DeathReason
from trackrelay.worker.storage import dead_letters, incident_log
from trackrelay.worker.storage.blocklist import Blocklist
from trackrelay.worker.storage.duplicate_check import settled
from trackrelay.worker.storage.key_hasher import KeyHasher

from .outbox_rows import Mark, OutboxRows, RelayedRow, Row
from .relay_queue import Appended, RelayQueue

log = structlog.get_logger("trackrelay.relay")

#: Most rows of one pass, and of one append …
MAX_ROWS = 500
#: … which ends earlier at this size, because a script call blocks Redis for everybody.
MAX_APPEND_BYTES = 1_000_000
#: Most relayed rows in one check whether their jobs have arrived.
MAX_CONFIRM_ROWS = 2_000
#: How often that is checked while rows wait for it.
CONFIRM_S = 0.5
#: How long a relay relies on the number of its last append. A relay that slept for longer reads the
#: number from the outbox again.
LAST_TURN_S = 2.0

_UNREADABLE = (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError)


class NewerRowError(Exception):
    """A newer version wrote a row. It and the rows behind it wait."""


class QueueMissingError(Exception):
    """Redis has no queue, and only ``trackrelay migrate`` may set one up."""


@dataclass(frozen=True, slots=True)
class PassResult:
    """What one pass over the outbox did."""

    rows: int = 0
    #: Whether there is more to do at once.
    has_more: bool = False


@dataclass(frozen=True, slots=True)
class Agreement:
    """Lets Redis and Postgres agree on the queue; see :mod:`..queue.queue_agreement`."""

    #: Compare both, and return the queue's configuration, or None if there is none.
    config: Callable[[], QueueConfig | None]
    #: Replace the given generation, whose latest entries Redis has lost.
    replace_generation: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Ready:
    row: Row
    entry: Entry


class Relay:
    """Relays one outbox.

    Args:
        stores: the database of ledger, backlog and dead letters.
        agreement: used when Redis has no queue, or another one than before.
        hasher: returns the hasher of keys; called when a row is a refused operation.
    """

    def __init__(
        self,
        rows: OutboxRows,
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

    def relay(self) -> PassResult:
        """Append the first rows of the outbox to the queue.

        Raises:
            QueueFullError: the rows wait in the outbox.
            QueueMissingError: there is no queue.
            NewerRowError: a newer version wrote the next row.
        """
        config = self._queue.config()
        if config is None or self._config is None or config.generation != self._config.generation:
            # It may be another environment's queue. Append nothing before the stores agree.
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
                log.error("latest_entries_lost")
                self._agreement.replace_generation(config.generation)
            return PassResult(has_more=True)
        except (QueueNotSetUpError, ShardsDifferError):
            return PassResult(has_more=True)  # it has just changed

    def confirm(self) -> PassResult:
        """Delete relayed rows whose jobs have arrived, and unmark rows whose entries were lost."""
        if self._config is None or not self._unconfirmed or time.monotonic() < self._confirm_at:
            return PassResult()
        return self._confirm(self._config)

    def forget_appends(self) -> None:
        """Read the number of the last append again, because another relay may have worked."""
        self._last_turn_until = 0.0

    # -- append rows to the queue

    def _start_over(self) -> None:
        #: Whether no row has another generation, so that only rows without one must be selected.
        self._caught_up = False
        self._last_turn = 0
        self._last_turn_until = 0.0
        self._unconfirmed = True
        self._confirmed_up_to = 0
        self._confirm_at = 0.0

    def _relay(self, config: QueueConfig) -> PassResult:
        now = time.monotonic()
        if now >= self._last_turn_until:
            # The rows of this relay's own appends may have been deleted since, so keep the maximum.
            self._last_turn = max(self._last_turn, self._rows.last_turn(config.generation))
            self._last_turn_until = now + LAST_TURN_S
        rows = (
            self._rows.unrelayed(MAX_ROWS)
            if self._caught_up
            else self._rows.not_relayed_in(config.generation, MAX_ROWS)
        )
        relayed = 0
        known = list(itertools.takewhile(lambda row: row.format <= FORMAT_VERSION, rows))
        for lane, ready in _appends(self._ready(self._without_arrived(known))):
            entries = [each.entry for each in ready]
            appended = self._queue.append(entries, lane, config, self._last_turn)
            failpoint("after_relay_append")
            self._mark(config, [each.row for each in ready], appended)
            self._count_relayed_again([each.row for each in ready])
            self._last_turn = max(self._last_turn, appended.turn)
            self._unconfirmed = True
            relayed += len(ready)
        if len(known) < len(rows):
            newer = rows[len(known)]
            raise NewerRowError(
                f"outbox row {newer.id} has format {newer.format}, this relay "
                f"knows up to {FORMAT_VERSION}: upgrade it; the outbox waits"
            )
        has_more = len(rows) == MAX_ROWS
        self._caught_up = self._caught_up or not has_more
        return PassResult(relayed, has_more)

    def _mark(self, config: QueueConfig, rows: Sequence[Row], appended: Appended) -> None:
        self._rows.mark(
            [
                Mark(row.id, row.generation or "", config.generation, appended.turn, place)
                for row, place in zip(rows, appended.places, strict=True)
            ]
        )

    def _count_relayed_again(self, rows: Sequence[Row]) -> None:
        # A job of a lost queue that is relayed again is not lost.
        again = Counter(row.generation for row in rows if row.generation is not None)
        if again:
            with self._stores.begin() as connection:
                for generation, jobs in again.items():
                    incident_log.note_relayed_again(connection, generation, jobs)

    def _without_arrived(self, rows: list[Row]) -> list[Row]:
        # Most jobs that were relayed into a lost queue have arrived.
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
                    self._insert_undecodable(row, f"{type(error).__name__}: {error}")

    def _keep_refused(self, row: Row) -> bool:
        data = row.entry.encode()
        try:
            jobs, hasher = decode_refused(data), self._hasher()
            at = row.accepted_ms / 1000
            letters = [letter_of(job, data, at, row.lane, hasher) for job in jobs]
        except _UNREADABLE:
            return False
        if not letters:
            return False
        with self._stores.begin() as connection:
            insert_unless_blocked(connection, Blocklist(hasher), letters)
        self._rows.delete([row.id])
        log.warning("dead_letter", job=row.job_id, reason=DeathReason.INVALID, row=row.id)
        return True

    def _insert_undecodable(self, row: Row, error: str) -> None:
        key = (f"outbox:{self._rows.name}", str(row.id))
        letter = undecodable_letter(
            key, row.lane, row.accepted_ms / 1000, row.entry.encode(), error
        )
        with self._stores.begin() as connection:
            dead_letters.insert_new(connection, [letter])
        self._rows.delete([row.id])
        log.warning("dead_letter", job=letter.job.id, reason=DeathReason.UNDECODABLE, row=row.id)

    # -- delete rows whose jobs have arrived

    def _confirm(self, config: QueueConfig) -> PassResult:
        rows = self._rows.relayed(self._confirmed_up_to, MAX_CONFIRM_ROWS)
        if any(row.generation != config.generation for row in rows):
            self._caught_up = False
        # Read after the rows, so that no row was appended later than this.
        heads = self._queue.heads(config, LANES)
        passed = [
            row
            for row in rows
            if row.generation == config.generation and heads.have_passed(row.place, row.lane)
        ]
        confirmed = self._delete_arrived(passed, config)
        has_more = len(passed) > MAX_CONFIRM_ROWS // 2
        self._confirm_at = 0.0 if has_more else time.monotonic() + CONFIRM_S
        if len(rows) < MAX_CONFIRM_ROWS:
            self._unconfirmed = len(rows) > len(passed) or self._confirmed_up_to > 0
            self._confirmed_up_to = 0
        elif not passed:
            # The rows of a shard that nobody delivers must not hide the rows behind them.
            self._confirmed_up_to = rows[-1].id
        return PassResult(confirmed, has_more)

    def _delete_arrived(self, passed: Sequence[RelayedRow], config: QueueConfig) -> int:
        if not passed:
            return 0
        # Read after the streams: a job is settled before its entry is acknowledged.
        with self._stores.connect() as connection:
            known = settled(connection, [row.job_id for row in passed], discarded=True)
        arrived = [row.id for row in passed if row.job_id in known]
        lost = [row.id for row in passed if row.job_id not in known]
        if arrived:
            self._rows.delete(arrived)
        # If the whole queue was lost, all its rows are relayed again anyway.
        if lost and self._queue.config() == config:
            log.warning("relayed_entries_deleted", jobs=len(lost))
            self._rows.unmark(lost)
        return len(arrived)


def _entry(row: Row) -> Entry:
    # An entry that no worker can read would count as lost, and be relayed again for ever.
    data = row.entry.encode()
    jobs = decode_entry(data)
    check_storable(data, jobs)
    if not jobs or not all(job.keys for job in jobs):
        raise ValueError("the entry has no jobs, or a job without keys")
    job = jobs[-1]
    if job.id != row.job_id:
        raise ValueError(f"the entry belongs to job {job.id}, its row to {row.job_id}")
    kind, _, action = job.operation.partition(".")
    operation = Operation(id=job.id, type=kind, action=action, keys=job.keys, body=b"")
    return Entry(operation, encode_accepted(jobs, row.accepted_ms))


def _appends(ready: Iterator[_Ready]) -> Iterator[tuple[Lane, list[_Ready]]]:
    """Group rows into appends: each of one lane, in order and of bounded size."""
    pending: dict[Lane, list[_Ready]] = {lane: [] for lane in LANES}
    sizes: dict[Lane, int] = dict.fromkeys(LANES, 0)
    for each in ready:
        lane = each.row.lane
        pending[lane].append(each)
        sizes[lane] += len(each.entry.data)
        if sizes[lane] >= MAX_APPEND_BYTES:
            yield lane, pending[lane]
            pending[lane], sizes[lane] = [], 0
    for lane in LANES:
        if pending[lane]:
            yield lane, pending[lane]
