"""The delivery cycle: how jobs of a held shard get from the stream and the backlog to Customer.io.

Everything starts at :meth:`DeliveryCycle.run`. Which step is where:

====  ===========================================================  ==============================
step  what happens                                                 where
====  ===========================================================  ==============================
0, 1  read what is pending; then the due backlog and the stream    ``intake.LaneReader``
2     drop duplicates                                              ``intake.LaneReader``
3     hold back jobs whose key waits or whose breaker is open      ``intake``, ``admission``
      compare with the tracking plan, and fix                      ``plan_gate``
4     pack batches                                                 ``batching``
5     wait for the rate limit, send, classify the response         ``sender``, ``rate_limiter``
6     settle in one commit                                         ``outcomes``, ``storage``
7     acknowledge                                                  ``intake.LaneReader``
====  ===========================================================  ==============================
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress

import structlog
from redis.exceptions import RedisError

from trackrelay.queue.redis_keys import Lane
from trackrelay.worker.endpoint_families import ALL_FAMILIES, Family
from trackrelay.worker.failpoints import failpoint
from trackrelay.worker.reasons import DeferReason
from trackrelay.worker.storage import settlement
from trackrelay.worker.storage.backlog import BacklogItem
from trackrelay.worker.storage.blocklist import BlockGuard
from trackrelay.worker.storage.counts import Counts, Dropped, Name, status_class
from trackrelay.worker.storage.isolation import settle_separately
from trackrelay.worker.storage.ledger_partitions import lacks_partition
from trackrelay.worker.storage.scan_cursor import ScanCursor
from trackrelay.worker.storage.settlement import Settlement
from trackrelay.worker.storage.shards import Takeover
from trackrelay.worker.storage.storable_jobs import is_data_error
from trackrelay.worker.storage.stored_job import Job

from .admission import admit
from .batching import PackedRequest, Wave, pack, split_blocked
from .breaker import BreakerStates, Phase
from .cycle_parts import Parts
from .intake import Intake, LaneReader, Sources, crashed_letter, partition_blocked, split_expired
from .outcomes import (
    Deferred,
    Delivered,
    Rejected,
    Result,
    blocked_keys,
    settlement_of,
    shrink_batch,
)
from .plan_gate import PlanGate
from .settlement_log import log_settlement
from .shard_queue import ShardQueue

log = structlog.get_logger("trackrelay.delivery")

#: A cycle starts no request after this time; what is left waits in the backlog. Without it, many
#: requests that must follow one another would hold up all later jobs, and the shard's successor.
MAX_CYCLE_S = 2.0
#: A cycle starts no request of a single operation after this time. Live jobs wait for the end of a
#: cycle, and the next cycle continues with the singles.
MAX_SINGLES_S = 0.3
#: A lane that has no job for a family's probe leaves the probe to other shards for this time.
PROBE_REST_S = 1.0


class DeliveryCycle:
    """The cycles of one held shard.

    Args:
        queue: the shard, held by this worker.
        parts: what all cycles of the process share.
        takeover: what Postgres said when the shard was taken over.
        cursors: how far scans of each lane's backlog have come.
    """

    def __init__(
        self,
        queue: ShardQueue,
        parts: Parts,
        takeover: Takeover,
        cursors: Mapping[Lane, ScanCursor],
    ) -> None:
        self._queue = queue
        self._parts = parts
        self._takeover = takeover
        self._clock = _ServerClock(takeover.now)
        guard = BlockGuard(parts.blocklist)
        self._holder = settlement.Holder(
            queue.shard, queue.fence, queue.claim_id, guard, self._clock.now
        )
        sources = Sources(parts.engine, parts.decoder, guard, parts.plan)
        self._readers = {
            lane: LaneReader(lane, queue, sources, self._clock.now, cursor)
            for lane, cursor in cursors.items()
        }
        #: Until when a lane leaves a family's probe to others, by ``time.monotonic()``.
        self._probe_rests: dict[tuple[Lane, Family], float] = {}
        #: What the next settlement counts besides its jobs.
        self._counts = Counts()
        self._gate = PlanGate(parts.plan)
        #: Whether an operator paused the shard, as the last settlement found.
        self.paused = False
        #: Jobs of this cycle that Postgres alone has from now on.
        self._stored: list[str] = []

    def run(self, lane: Lane) -> bool:
        """Deliver what ``lane`` has, once. Return whether there was anything.

        Raises:
            ShardLostError: another worker holds the shard, and settles what this one has read.
            NewerFormatError: an entry is of a newer format.
        """
        breakers = self._parts.breaker.read_states(may_probe=self._may_probe(lane))
        breakers = self._parts.sender.check_credentials(breakers)
        try:
            return self._run(lane, breakers)
        except BaseException:
            # Without this, nobody could probe until the token expires.
            with suppress(RedisError):
                self._parts.sender.release_probes(breakers)
            raise

    def _run(self, lane: Lane, breakers: BreakerStates) -> bool:
        reader = self._readers[lane]
        self._stored = []
        intake = reader.read(breakers)  # 0, 1
        if intake.is_empty:
            self._rest(lane, breakers.probing)
            self._parts.sender.release_probes(breakers)
            return False
        failpoint("after_read")
        waiting_keys = reader.drop_duplicates(intake, breakers)  # 2
        self._count_dropped(intake)
        if self._parts.observer and not intake.may_be_sent_already:
            fresh = [job for job in intake.jobs if not job.from_backlog]
            self._parts.observer.note(fresh, self._clock.now())
        ready = self._hold_back(intake, waiting_keys, breakers)  # 3
        if ready and intake.may_be_sent_already:
            self._prove_writable([job.id for job in ready])
        waves = pack(ready)  # 4
        self._send_and_settle(waves, intake, breakers)  # 5, 6
        reader.acknowledge(intake, self._stored)  # 7
        failpoint("after_acknowledge")
        return bool(ready or intake.read.entries or intake.decided)

    @property
    def unsettled_requests(self) -> Counts:
        """The counts of requests that were sent, and that no settlement has tried to write."""
        return self._counts.only(Name.REQUESTS)

    def release_uncounted(self) -> None:
        """Leave what was read to a successor. Its delivery does not count: this process lives."""
        for reader in self._readers.values():
            reader.release_uncounted()

    def flush(self) -> None:
        """Write down what was observed, because the process ends."""
        for each in (self._parts.observer, self._parts.plan):
            if each is not None:
                each.flush()

    def _prove_writable(self, ids: Sequence[str]) -> None:
        # An operation without an id at Customer.io that may have been sent before is sent again
        # only if this attempt can be settled. Without this check it could repeat without end.
        with self._parts.engine.begin() as connection:
            settlement.prove_writable(connection, self._holder, ids)

    def _count_dropped(self, intake: Intake) -> None:
        why = Dropped.REDELIVERED if intake.may_be_sent_already else Dropped.REPEAT
        self._counts.add(Name.DROPPED, why, number=intake.dropped)

    def _count_exchanges(self, requests: Sequence[PackedRequest]) -> None:
        for request in requests:
            for family, status, duration_s in request.exchanges:
                labels = (family, status_class(status))
                self._counts.observe(Name.REQUESTS, *labels, seconds=[duration_s])

    # -- which families a lane may probe

    def _may_probe(self, lane: Lane) -> frozenset[Family]:
        if not self._probe_rests:
            return ALL_FAMILIES
        now = time.monotonic()
        return frozenset(
            family for family in ALL_FAMILIES if now > self._probe_rests.get((lane, family), 0.0)
        )

    def _rest(self, lane: Lane, families: Iterable[Family]) -> None:
        until = time.monotonic() + PROBE_REST_S
        self._probe_rests |= {(lane, family): until for family in families}

    # -- 3: what must wait: for its key, for its other shard, for a breaker; and what is too old

    def _hold_back(
        self, intake: Intake, waiting_keys: frozenset[str], breakers: BreakerStates
    ) -> list[Job]:
        sender, decided = self._parts.sender, intake.decided
        if deliveries := intake.crashing_deliveries:
            decided.dead += [crashed_letter(job, deliveries) for job in intake.jobs]
            sender.release_probes(breakers)
            return []
        partition = partition_blocked(intake.jobs, waiting_keys)
        ready = partition.ready
        decided.waiting += partition.waiting
        if intake.must_isolate:
            # In the backlog, deliveries are counted for each job by itself.
            decided.waiting += [BacklogItem(job=job, reason=DeferReason.ISOLATED) for job in ready]
            sender.release_probes(breakers)
            return []
        ready = self._gate.pass_jobs(ready, intake, breakers.may_send, self._clock.now())
        if len(breakers.may_send) < len(ALL_FAMILIES) or breakers.probing:
            probes = sender.choose_probes(ready, breakers)
            self._rest(intake.lane, breakers.probing - probes.keys())
            admission = admit(ready, breakers, probes)
            ready = admission.ready
            decided.waiting += admission.waiting
        ready = self._drop_expired(ready, intake, breakers)
        return [_shrunk(job, breakers) if job.failed_at else job for job in ready]

    def _drop_expired(self, ready: list[Job], intake: Intake, breakers: BreakerStates) -> list[Job]:
        # Both servers must find a job too old, because the clock of one of them may have jumped.
        now = min(breakers.now, self._clock.now())
        max_age_s = self._parts.rules.max_age_s
        if not ready or now - min(job.age_from for job in ready) <= max_age_s:
            return ready

        def delivery_resumed_at(job: Job) -> float | None:
            state = breakers.of(job.family)
            if state.phase != Phase.CLOSED or not state.recovered:
                return None
            return max(self._takeover.family_resumed_at(job.family), state.recovered)

        young, dead = split_expired(ready, now, max_age_s, delivery_resumed_at)
        intake.decided.dead += dead
        return young

    # -- 5 and 6: send wave by wave, and settle each in one commit

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
                return self._settle_last(results, waves[index + 1 :], intake, order)
            # A wave without any attempt needs no commit of its own: there can be a thousand waves.
            if not all(isinstance(each, Deferred) for each in sent):
                self._settle(self._settlement(results), order)
                results = []
        # Jobs that were held back may stand behind one that fails in the last wave. Settle them
        # with that wave, so that they get later positions in the backlog.
        results += self._send(waves[-1], blocked, breakers, began) if waves else []
        self._settle_last(results, [], intake, order)

    def _settle_last(
        self, results: list[Result], unsent: list[Wave], intake: Intake, order: dict[str, int]
    ) -> None:
        results += [
            Deferred(job, DeferReason.CYCLE_OVER)
            for wave in unsent
            for request in wave
            for job in request.jobs
        ]
        last = self._settlement(results)
        last.delivered += intake.decided.delivered
        last.waiting += intake.decided.waiting
        last.dead += intake.decided.dead
        last.blocked += intake.decided.blocked
        self._settle(last, order)

    def _send(
        self, wave: Wave, blocked: set[str], breakers: BreakerStates, began: float
    ) -> list[Result]:
        results: list[Result] = []
        requests: list[PackedRequest] = []
        for request in wave:
            request.jobs, held = split_blocked(request.jobs, blocked)
            results += [Deferred(job, DeferReason.KEY_WAITS) for job in held]
            if request.jobs:
                requests.append(request)
        return results + self._send_in_parallel(requests, breakers, began)

    def _send_in_parallel(
        self, requests: Sequence[PackedRequest], breakers: BreakerStates, began: float
    ) -> list[Result]:
        def send(request: PackedRequest) -> list[Result]:
            limit_s = MAX_SINGLES_S if request.route == "single" else MAX_CYCLE_S
            if time.monotonic() > began + limit_s:
                return [Deferred(job, DeferReason.CYCLE_OVER) for job in request.jobs]
            state = breakers.of(request.family)
            return self._parts.sender.send(request, self._queue.shard, self._queue.token, state)

        if len(requests) <= 1:
            try:
                return [result for request in requests for result in send(request)]
            finally:
                self._count_exchanges(requests)
        # Batches first, because they carry most jobs. One request stays in this thread, so that it
        # never waits behind other holders' singles.
        own, *others = sorted(requests, key=lambda request: request.route != "v2")
        futures = [self._parts.executor.submit(send, request) for request in others]
        futures.append(_completed(send, own))
        wait(futures)
        self._count_exchanges(requests)
        errors = [error for future in futures if (error := future.exception())]
        done = [each for future in futures if not future.exception() for each in future.result()]
        if not errors:
            return done
        # This holder gives up. But what Customer.io took must be settled, because not every
        # operation has an id by which Customer.io would recognize it.
        final = [each for each in done if isinstance(each, Delivered | Rejected)]
        if final:
            self._settle(self._settlement(final), {})
        raise errors[0]

    def _settlement(self, results: Sequence[Result]) -> Settlement:
        return settlement_of(
            results,
            now=self._clock.now(),
            max_attempts=self._parts.rules.max_attempts,
            fraction=random.random(),
        )

    def _settle(self, outcome: Settlement, order: dict[str, int]) -> None:
        outcome.counts, self._counts = self._counts, Counts()
        if not outcome:
            return
        failpoint("before_settle")
        outcome.waiting.sort(key=lambda each: order[each.job.id])
        engine, remember = self._parts.engine, self._parts.remember
        if remember is not None:
            # Requests end in any order, and of two values of an attribute the later one counts.
            outcome.delivered.sort(key=lambda job: order.get(job.id, -1))
        settled = (self._holder, outcome, self._parts.rules.merge_delay_s, remember)
        try:
            with engine.begin() as connection:
                self.paused = settlement.settle(connection, *settled)
                failpoint("before_commit")
        except Exception as error:
            # The next attempt knows the partitions that there are now.
            if not (is_data_error(error) or lacks_partition(error)):
                raise
            self.paused = settle_separately(engine, *settled)
        failpoint("after_settle")
        for each in outcome.waiting:
            self._readers[each.job.lane].note_due()
        kept = [each.job for each in outcome.waiting] + [each.job for each in outcome.dead]
        self._stored += [job.id for job in kept if not job.from_backlog]
        self._gate.count(outcome)
        if self._parts.exemplars is not None:
            self._parts.exemplars.note(outcome.delivered, self._clock.now())
        log_settlement(self._queue.shard, outcome)


def _shrunk(job: Job, breakers: BreakerStates) -> Job:
    state = breakers.of(job.family)
    return shrink_batch(job, state.last_success) if state.phase == Phase.CLOSED else job


def _completed(
    call: Callable[[PackedRequest], list[Result]], request: PackedRequest
) -> Future[list[Result]]:
    future: Future[list[Result]] = Future()
    try:
        future.set_result(call(request))
    except BaseException as error:
        future.set_exception(error)
    return future


class _ServerClock:
    """Postgres' clock, read once: a worker's own clock may be days off."""

    def __init__(self, now: float) -> None:
        self._offset = now - time.monotonic()

    def now(self) -> float:
        """Return unix seconds."""
        return self._offset + time.monotonic()
