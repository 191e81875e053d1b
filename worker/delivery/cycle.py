"""The heart: how a shard's holder gets jobs from the stream and the backlog to Customer.io."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future, wait
from contextlib import suppress
from dataclasses import dataclass, field

import sqlalchemy as sa
import structlog
from redis.exceptions import RedisError

from trackrelay.queue.redis_keys import Lane
from trackrelay.worker.endpoint_families import ALL_FAMILIES, Family
from trackrelay.worker.failpoints import failpoint
from trackrelay.worker.storage import due_jobs, duplicate_check, ledger, settlement
from trackrelay.worker.storage.backlog import BacklogItem
from trackrelay.worker.storage.duplicate_check import DueFilter
from trackrelay.worker.storage.isolation import settle_separately
from trackrelay.worker.storage.scan_cursor import ScanCursor
from trackrelay.worker.storage.settlement import Settlement
from trackrelay.worker.storage.shards import Takeover
from trackrelay.worker.storage.storable_jobs import is_data_error
from trackrelay.worker.storage.stored_job import Job

from .admission import admit
from .batching import Packed, Wave, pack, unblocked
from .breaker import Breaker, BreakerStates
from .intake import MAX_DELIVERIES, Decoder, crashed, drop_duplicates, expired, partition_blocked
from .outcomes import (
    Deferred,
    Delivered,
    Rejected,
    Result,
    blocked_keys,
    settlement_of,
    shrink_batch,
)
from .sender import Sender
from .settlement_log import log_settlement
from .shard_queue import ALONE, Claimed, Read, ShardQueue

log = structlog.get_logger("trackrelay.delivery")

#: Jobs a round takes at the most.
MAX_CYCLE_JOBS = 1000
#: A round's entries should not be more than this, whatever they hold.
MAX_CYCLE_BYTES = 2_000_000
#: After so long a round begins no further request; what is left waits in the backlog. A flood of v1 singles, or of requests that
#: must follow one another for one key, would otherwise hold up all that comes behind it, and the shard's successor.
MAX_CYCLE_S = 2.0
#: … and after so long none for what only v1 carries, a job at a time: live jobs wait for a round's end, and there is always a next one.
MAX_SINGLES_S = 0.3
#: So long a holder leaves the probes of a family to others after it found no job for one.
PROBE_REST_S = 1.0


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings say."""

    max_age_s: float
    max_attempts: int
    merge_delay_s: float


@dataclass(slots=True)
class Intake:
    """One read: what came out of the backlog and the stream, in order."""

    lane: Lane
    jobs: list[Job] = field(default_factory=list)
    #: Which of ``jobs`` came out of the backlog.
    handed: Claimed = field(default_factory=Claimed)
    #: The stream entries that the others came in, to be acknowledged once everything is settled.
    read: Read = field(default_factory=Read)
    #: What became of jobs already, without sending: they are settled with the last wave.
    aside: Settlement = field(default_factory=Settlement)

    @property
    def was_unsettled(self) -> bool:
        """Whether some of it was handed out before and not settled: it may have been sent already."""
        return bool(self.read.deliveries or self.handed.most_deliveries)

    @property
    def killed_its_workers(self) -> int:
        """How often what is in hand was handed out, if that is more often than anything that does not kill its workers."""
        deliveries = max(self.read.deliveries, self.handed.deliveries)
        return deliveries if deliveries > MAX_DELIVERIES else 0

    @property
    def must_part(self) -> bool:
        """Whether several jobs share an entry that keeps coming back, now alone: one of them may be what kills its workers."""
        return self.read.deliveries > ALONE and len(self.jobs) > 1


class Delivery:
    """One shard, held by this worker, for a few seconds.

    Args:
        takeover: what Postgres said when the shard was taken over.
        sweeps: how far looking through the lanes' backlogs has come.
    """

    def __init__(
        self,
        queue: ShardQueue,
        engine: sa.Engine,
        decoder: Decoder,
        breaker: Breaker,
        sender: Sender,
        executor: Executor,
        rules: Rules,
        takeover: Takeover,
        sweeps: Mapping[Lane, ScanCursor],
    ) -> None:
        self._queue = queue
        self._engine = engine
        self._decoder = decoder
        self._breaker = breaker
        self._sender = sender
        self._executor = executor
        self._rules = rules
        self._takeover = takeover
        self._clock = _ServerClock(takeover.now)
        self._holder = settlement.Holder(queue.shard, queue.fence, queue.claim_id)
        self._lanes: dict[Lane, _LaneState] = {
            lane: _LaneState(sweep) for lane, sweep in sweeps.items()
        }
        self._in_hand: Intake | None = None
        #: Families for whose probes a lane had no job, and until when it leaves those probes to others (``time.monotonic()``).
        self._no_probe_until: dict[tuple[Lane, Family], float] = {}
        self.paused = False

    def round(self, lane: Lane) -> bool:
        """Take what ``lane`` has, and settle it. Returns whether there was anything.

        Raises:
            LeaseLostError, LeaseLostError, FenceLostError: the shard is another worker's; whatever was in hand is its to settle.
        """
        breakers = self._sender.ask(self._breaker.read_states(may_probe=self._may_probe(lane)))
        try:
            return self._round(lane, breakers)
        except BaseException:
            # The probe's token would stand until it expires, and nobody could find out that delivery is possible again.
            with suppress(RedisError):
                self._sender.release_probes(breakers)
            raise

    def _may_probe(self, lane: Lane) -> frozenset[Family]:
        if not self._no_probe_until:
            return ALL_FAMILIES
        now = time.monotonic()
        return frozenset(
            family for family in ALL_FAMILIES if now > self._no_probe_until.get((lane, family), 0.0)
        )

    def _round(self, lane: Lane, breakers: BreakerStates) -> bool:
        intake = self._read(lane, breakers)
        if not intake.read.entries and not intake.jobs:
            self._rest(lane, breakers.probing)
            self._sender.release_probes(breakers)
            return False
        failpoint("after_read")
        waiting_keys = self._drop_repeats(intake, breakers)
        ready = self._keep_back(intake, waiting_keys, breakers)
        if ready and intake.was_unsettled:
            self._prove_writable()
        waves = pack(ready)
        self._send_and_settle(waves, intake, breakers)
        self._acknowledge(intake)
        return bool(ready or intake.read.entries or intake.aside)

    def _rest(self, lane: Lane, families: Iterable[Family]) -> None:
        until = time.monotonic() + PROBE_REST_S
        self._no_probe_until |= {(lane, family): until for family in families}

    def _prove_writable(self) -> None:
        # What was sent before and has no id at Customer.io is sent again only if it can be settled this time.
        with self._engine.begin() as connection:
            settlement.prove_writable(connection, self._holder)

    def release_uncounted(self) -> None:
        """The round in hand ends here, but this process lives: that its entries were handed out is not counted against them."""
        if self._in_hand:
            with suppress(RedisError):
                self._queue.release_uncounted(
                    self._in_hand.lane, self._in_hand.read, self._in_hand.handed
                )

    # -- 1: the due backlog, then the stream; before anything new, what an earlier holder left pending

    def _read(self, lane: Lane, breakers: BreakerStates) -> Intake:
        state = self._lanes[lane]
        intake = Intake(lane)
        if state.pending:
            read = self._queue.read(lane, MAX_CYCLE_JOBS, MAX_CYCLE_BYTES, pending=True)
            if read.entries:
                self._take(read, intake)
                return intake
            state.pending = False
        may_send = breakers.may_send
        if breakers.probing or not may_send <= state.families:
            # A family may be tried again: what waits for it may stand below where the last look ended.
            state.has_due = True
            state.sweep.rewind()
        state.families = may_send
        if state.has_due and may_send:
            self._look(intake, MAX_CYCLE_JOBS // 2 if state.stream_has_work else MAX_CYCLE_JOBS)
            if intake.handed.deliveries:
                # They came back from a holder that did not settle them: if it is they that kill, then nothing beside them.
                return intake
        read = self._queue.read(
            lane, max(1, MAX_CYCLE_JOBS - len(intake.jobs)), MAX_CYCLE_BYTES, pending=False
        )
        state.stream_has_work = bool(read.entries)
        self._take(read, intake)
        if state.has_due and may_send and not read.entries and not intake.jobs:
            # Look from the beginning once before leaving: something may be due below where the last look began.
            state.sweep.rewind()
            self._look(intake, MAX_CYCLE_JOBS)
        return intake

    def _look(self, intake: Intake, most: int) -> None:
        state = self._lanes[intake.lane]
        began = time.monotonic()
        start = state.sweep.start(began)
        with self._engine.connect() as connection:
            found = due_jobs.select_due(
                connection, self._queue.shard, intake.lane, most, start, state.families
            )
        # Only a look from the beginning can tell that nothing is.
        state.has_due = bool(found.jobs) or start > 0
        self._take_due(found.jobs, intake)
        if len(intake.jobs) == len(found.jobs):
            state.sweep.looked(start, found.seen, began, time.monotonic())

    def _take_due(self, jobs: list[Job], intake: Intake) -> None:
        if jobs:
            intake.handed = self._queue.claim_backlog(intake.lane, [job.id for job in jobs])
            intake.jobs = jobs[: len(intake.handed.jobs)]
            self._in_hand = intake

    def _take(self, read: Read, intake: Intake) -> None:
        intake.read = read
        self._in_hand = intake
        decoded = self._decoder.decode(
            self._queue.shard, intake.lane, read.entries, self._clock.now()
        )
        intake.aside.dead += decoded.undecodable
        for entry in decoded.vanished:
            log.warning("stream_entry_deleted", shard=self._queue.shard, entry=entry)
        intake.jobs += decoded.jobs

    # -- 2: repeats: known to ledger, backlog or open dead letters, or twice in this read

    def _drop_repeats(self, intake: Intake, breakers: BreakerStates) -> frozenset[str]:
        self._drop_delivered_replays(intake)
        fresh = [job for job in intake.jobs if not job.from_backlog]
        state = self._lanes[intake.lane]
        if not fresh:
            return frozenset()
        began = time.monotonic()
        due_from = None if state.has_due else state.sweep.start(began)
        ids, keys = [job.id for job in fresh], list({key for job in fresh for key in job.keys})
        try:
            with self._engine.connect() as connection:
                stores = duplicate_check.find_duplicates(
                    connection,
                    self._queue.shard,
                    intake.lane,
                    ids,
                    keys,
                    None if due_from is None else DueFilter(due_from, breakers.may_send),
                )
        except Exception as error:
            if not (intake.killed_its_workers and is_data_error(error)):
                raise
            # Postgres does not even take the question, and did not before: they become dead letters without it.
            stores = duplicate_check.DuplicateCheck(frozenset(), frozenset(), has_due=True)
        if due_from is not None and not stores.has_due:
            state.sweep.asked(due_from, began, time.monotonic())
        state.has_due = state.has_due or stores.has_due
        intake.jobs = drop_duplicates(intake.jobs, stores)
        return stores.waiting_keys

    def _drop_delivered_replays(self, intake: Intake) -> None:
        # The job of a discarded letter may have been enqueued again, and was in hand when somebody replayed the letter.
        replays = [job for job in intake.jobs if job.from_backlog and job.replayed]
        if replays:
            with self._engine.connect() as connection:
                delivered = ledger.among(connection, [job.id for job in replays])
            intake.aside.delivered += [job for job in replays if job.id in delivered]
            intake.jobs = [job for job in intake.jobs if job.id not in delivered]

    # -- 3: what must wait: behind its key, for its second shard, or because delivery is impossible

    def _keep_back(
        self, intake: Intake, waiting_keys: frozenset[str], breakers: BreakerStates
    ) -> list[Job]:
        if intake.killed_its_workers:
            intake.aside.dead += [crashed(job, intake.killed_its_workers) for job in intake.jobs]
            self._sender.release_probes(breakers)
            return []
        kept = partition_blocked(intake.jobs, waiting_keys)
        intake.aside.waiting += kept.waiting
        if intake.must_part:
            # In the backlog each of them is handed out, and counted, by itself.
            intake.aside.waiting += [BacklogItem(job=job, reason="isolated") for job in kept.ready]
            self._sender.release_probes(breakers)
            return []
        if len(breakers.may_send) < len(ALL_FAMILIES) or breakers.probing:
            probes = self._sender.choose_probes(kept.ready, breakers)
            self._rest(intake.lane, breakers.probing - probes.keys())
            admission = admit(kept.ready, breakers, probes)
            intake.aside.waiting += admission.waiting
            kept.ready = admission.ready
        young = self._drop_expired(kept.ready, intake, breakers)
        return [_suspected(job, breakers) if job.failed_at else job for job in young]

    def _drop_expired(self, ready: list[Job], intake: Intake, breakers: BreakerStates) -> list[Job]:
        # Both servers must find a job too old: the clock of one of them may have jumped.
        now = min(breakers.now, self._clock.now())
        if not ready or now - min(job.age_from for job in ready) <= self._rules.max_age_s:
            return ready

        def delivery_resumed_at(job: Job) -> float | None:
            breaker_state = breakers.of(job.family)
            if breaker_state.phase != "closed" or not breaker_state.recovered:
                return None
            return max(self._takeover.family_resumed_at(job.family), breaker_state.recovered)

        young, dead = expired(ready, now, self._rules.max_age_s, delivery_resumed_at)
        intake.aside.dead += dead
        return young

    # -- 4 to 6: send wave by wave, and settle each in one commit

    def _send_and_settle(self, waves: list[Wave], intake: Intake, breakers: BreakerStates) -> None:
        order = {job.id: index for index, job in enumerate(intake.jobs)}
        began = time.monotonic()
        blocked: set[str] = set()
        results: list[Result] = []
        for index, wave in enumerate(waves[:-1]):
            sent = self._send(wave, blocked, breakers, began)
            blocked |= blocked_keys(sent)
            results += sent
            if time.monotonic() > began + MAX_CYCLE_S:
                return self._settle_the_rest(results, waves[index + 1 :], intake, order)
            # A wave of which nothing was tried needs no commit of its own: there can be a thousand of them.
            if not all(isinstance(each, Deferred) for each in sent):
                self._settle(self._settlement(results), order)
                results = []
        # What was kept back may stand behind a job that fails in the last wave, so it is settled no sooner than that one.
        results += self._send(waves[-1], blocked, breakers, began) if waves else []
        self._settle_the_rest(results, [], intake, order)

    def _settle_the_rest(
        self, results: list[Result], unsent: list[Wave], intake: Intake, order: dict[str, int]
    ) -> None:
        results += [
            Deferred(job, "round_over") for wave in unsent for packed in wave for job in packed.jobs
        ]
        last = self._settlement(results)
        last.delivered += intake.aside.delivered
        last.waiting += intake.aside.waiting
        last.dead += intake.aside.dead
        self._settle(last, order)

    def _send(
        self, wave: Wave, blocked: set[str], breakers: BreakerStates, began: float
    ) -> list[Result]:
        results: list[Result] = []
        requests: list[Packed] = []
        for packed in wave:
            packed.jobs, held = unblocked(packed.jobs, blocked)
            results += [Deferred(job, "key_waits") for job in held]
            if packed.jobs:
                requests.append(packed)
        return results + self._send_side_by_side(requests, breakers, began)

    def _send_side_by_side(
        self, requests: Sequence[Packed], breakers: BreakerStates, began: float
    ) -> list[Result]:
        def send(packed: Packed) -> list[Result]:
            if time.monotonic() > began + (
                MAX_SINGLES_S if packed.route == "single" else MAX_CYCLE_S
            ):
                return [Deferred(job, "round_over") for job in packed.jobs]
            return self._sender.send(
                packed, self._queue.shard, self._queue.token, breakers.of(packed.family)
            )

        if len(requests) <= 1:
            return [result for packed in requests for result in send(packed)]
        # Batches first, for they carry most jobs; and one in this thread, so that it never stands behind other holders' singles.
        ahead, *others = sorted(requests, key=lambda packed: packed.route != "v2")
        futures = [self._executor.submit(send, packed) for packed in others]
        futures.append(_in_this_thread(send, ahead))
        wait(futures)
        errors = [error for future in futures if (error := future.exception())]
        if not errors:
            return [result for future in futures for result in future.result()]
        # This holder gives up, but what Customer.io took is written down: not everything has an id that it would know again.
        results = [
            result for future in futures if not future.exception() for result in future.result()
        ]
        self._settle(
            self._settlement([each for each in results if isinstance(each, Delivered | Rejected)]),
            {},
        )
        raise errors[0]

    def _settlement(self, results: Sequence[Result]) -> Settlement:
        return settlement_of(
            results,
            now=self._clock.now(),
            max_attempts=self._rules.max_attempts,
            fraction=random.random(),
        )

    def _settle(self, outcome: Settlement, order: dict[str, int]) -> None:
        if not outcome:
            return
        failpoint("before_settle")
        outcome.waiting.sort(key=lambda each: order[each.job.id])
        try:
            with self._engine.begin() as connection:
                self.paused = settlement.settle(
                    connection, self._holder, outcome, self._rules.merge_delay_s
                )
                failpoint("before_commit")
        except Exception as error:
            if not is_data_error(error):
                raise
            self.paused = settle_separately(
                self._engine, self._holder, outcome, self._rules.merge_delay_s
            )
        failpoint("after_settle")
        for each in outcome.waiting:
            self._lanes[each.job.lane].has_due = True
        log_settlement(self._queue.shard, outcome)

    # -- 7: only now

    def _acknowledge(self, intake: Intake) -> None:
        self._queue.acknowledge(intake.lane, intake.read.entries, intake.handed.jobs)
        self._in_hand = None
        failpoint("after_acknowledge")


def _suspected(job: Job, breakers: BreakerStates) -> Job:
    breaker_state = breakers.of(job.family)
    return shrink_batch(job, breaker_state.last_success) if breaker_state.phase == "closed" else job


def _in_this_thread(call: Callable[[Packed], list[Result]], packed: Packed) -> Future[list[Result]]:
    future: Future[list[Result]] = Future()
    try:
        future.set_result(call(packed))
    except BaseException as error:
        future.set_exception(error)
    return future


class _ServerClock:
    """Postgres' clock, without asking it again and again: a worker's own clock may be days off."""

    def __init__(self, now: float) -> None:
        self._offset = now - time.monotonic()

    def now(self) -> float:
        """Return unix seconds."""
        return self._offset + time.monotonic()


@dataclass(slots=True)
class _LaneState:
    sweep: ScanCursor
    #: Those of which something could be sent in the last read.
    families: frozenset[Family] = ALL_FAMILIES
    pending: bool = True
    has_due: bool = True
    stream_has_work: bool = True
