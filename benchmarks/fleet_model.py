"""A queueing model of an installation: producers, Redis servers, workers, Postgres, Customer.io.

It is deterministic: the same fleet, scenario and seed give the same figures. Costs are measured
(:mod:`benchmarks.capacity`); what the model leaves out is listed in ``docs/explanation/scale.md``.

Each holder of a shard is a generator that yields the moment at which it goes on. Servers are
queues: work waits for the core that is free first.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Literal

from .capacity import FULL_BATCH, Costs

#: Arrivals of this time are appended together.
TICK_S = 0.02
#: A call gives up after this time (``TRACKRELAY_ENQUEUE_TIMEOUT``).
CALL_TIMEOUT_S = 1.0
#: A lost holder's lease lives so long, and the next tick finds the shard.
LEASE_S = 6.0 + 1.0
#: A holder passes its shard on after this time.
SLICE_S = 5.0
#: How often somebody looks for shards with work and without a holder.
TICK_OF_FLEET_S = 1.0
#: A relay appends while Redis answers within this time.
RELAY_WAIT_S = 0.2
US = 1e-6

Loss = Literal["", "redis", "postgres", "workers", "customer.io"]


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """What an installation consists of."""

    redis: int
    shards: int
    worker_hosts: int
    cores_of_host: int
    #: Processes of a host, each of which holds one shard at a time.
    slots_of_host: int
    postgres_cores: int
    requests_per_s: float
    #: Guessed: how long Customer.io takes to answer a batch, what a disk takes to sync, and how
    #: much WAL it can write.
    api_s: float = 0.1
    #: The shortest and the longest answer, in parts of that.
    api_spread: tuple[float, float] = (0.7, 1.6)
    sync_s: float = 0.002
    wal_bytes_per_s: float = 200e6


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What happens. Times are seconds from the start."""

    name: str
    rate: float
    seconds: float
    burst: float = 1.0
    loss: Loss = ""
    begins: float = 0.0
    ends: float = 0.0

    def rate_at(self, now: float) -> float:
        """Return the calls per second at a moment."""
        return self.rate * (self.burst if self.begins <= now < self.ends else 1.0)

    def is_lost(self, part: Loss, now: float) -> bool:
        """Return whether a part is away."""
        return self.loss == part and self.begins <= now < self.ends


class Server:
    """Some cores. Work waits for the first free one, and for the end of a loss."""

    def __init__(self, cores: int, down: tuple[float, float] = (0.0, 0.0)) -> None:
        self._free = [0.0] * cores
        self._down = down
        self.cores = cores
        self.busy_s = 0.0

    def starts(self, at: float) -> float:
        """Return when work that comes at a moment would start."""
        start = max(at, self._free[0])
        return self._down[1] if self._down[0] <= start < self._down[1] else start

    def serve(self, at: float, work_s: float) -> float:
        """Return when work that comes at a moment is done."""
        end = self.starts(at) + work_s
        heapq.heapreplace(self._free, end)
        self.busy_s += work_s
        return end


@dataclass
class _Shard:
    redis: Server
    weight: float
    #: (visible since, jobs, called at)
    stream: deque[tuple[float, int, float]] = field(default_factory=deque)
    backlog: deque[tuple[float, int, float]] = field(default_factory=deque)
    #: Refused by a lost server, and in the outbox: (jobs, called at)
    outbox: deque[tuple[int, float]] = field(default_factory=deque)
    is_held: bool = False

    def oldest(self) -> float:
        """Return when the oldest waiting job was called."""
        firsts = [each[0][2] for each in (self.stream, self.backlog) if each]
        return min((*firsts, self.outbox[0][1] if self.outbox else math.inf))


@dataclass
class Outcome:
    """What a run showed."""

    scenario: Scenario
    fleet: Fleet
    #: Seconds from call to arrival, by the second of the call: (jobs, seconds).
    lags: dict[int, list[tuple[int, float]]] = field(default_factory=dict)
    #: Age of the oldest waiting job, each second.
    oldest_s: list[float] = field(default_factory=list)
    called: int = 0
    delivered: int = 0
    #: Calls that Redis did not answer in time: they went to the outbox.
    to_outbox: int = 0
    requests: int = 0
    max_waiting: int = 0
    max_backlog: int = 0
    wal_bytes: float = 0.0
    #: Share of the time for which each part was busy.
    load: dict[str, float] = field(default_factory=dict)

    def lag_s(self, share: float, first: float, last: float) -> float:
        """Return a percentile of the lag of jobs that were called in a span of time."""
        span = range(int(first), int(last))
        found = sorted((lag, jobs) for second in span for jobs, lag in self.lags.get(second, ()))
        wanted = share * sum(jobs for _, jobs in found)
        for lag, jobs in found:
            wanted -= jobs
            if wanted <= 0:
                return lag
        return math.inf

    def max_oldest_s(self) -> float:
        """Return the greatest age of a waiting job from the event on."""
        return max(self.oldest_s[int(self.scenario.begins) :])

    def recovery_s(self, limit_s: float = 2.0) -> float:
        """Return how long after the event a job last waited for longer than a limit."""
        late = [second for second, age in enumerate(self.oldest_s) if age > limit_s]
        if late and late[-1] >= len(self.oldest_s) - 2:
            return math.inf
        return max(0.0, late[-1] + 1 - self.scenario.ends) if late else 0.0


class Model:
    """One run."""

    def __init__(self, costs: Costs, fleet: Fleet, scenario: Scenario, seed: int = 1) -> None:
        self._costs, self._fleet, self._scenario = costs, fleet, scenario
        self._chance = random.Random(seed)
        self._now = 0.0
        self._events: list[tuple[float, int, Generator[float]]] = []
        self._count = 0
        down = (scenario.begins, scenario.ends)

        def loss(part: Loss) -> tuple[float, float]:
            return down if scenario.loss == part else (0.0, 0.0)

        self._redis = [Server(1, loss("redis") if n == 0 else (0, 0)) for n in range(fleet.redis)]
        self._postgres = Server(fleet.postgres_cores, loss("postgres"))
        self._disk = Server(1)
        self._hosts = [Server(fleet.cores_of_host) for _ in range(fleet.worker_hosts)]
        self._free_slots = [fleet.slots_of_host] * fleet.worker_hosts
        self._ready: deque[_Shard] = deque()
        weights = [max(0.8, self._chance.gauss(1, 0.05)) for _ in range(fleet.shards)]
        self._shards = [
            _Shard(self._redis[number % fleet.redis], weight / sum(weights))
            for number, weight in enumerate(weights)
        ]
        self._permitted_at = 0.0
        self.outcome = Outcome(scenario, fleet)

    def run(self) -> Outcome:
        """Run to the end, and return what it showed."""
        self._start(self._producers(), 0.0)
        self._start(self._watch(), 1.0)
        while self._events and self._events[0][0] < self._scenario.seconds:
            self._now, _, process = heapq.heappop(self._events)
            then = next(process, None)
            if then is not None:
                self._start(process, then)
        seconds = self._scenario.seconds
        self.outcome.load = {
            "Redis": max(each.busy_s for each in self._redis) / seconds,
            "workers": sum(each.busy_s for each in self._hosts)
            / (seconds * sum(each.cores for each in self._hosts)),
            "PostgreSQL": self._postgres.busy_s / (seconds * self._postgres.cores),
            "WAL": self._disk.busy_s / seconds,
            "requests": self.outcome.requests / (seconds * self._fleet.requests_per_s),
        }
        return self.outcome

    def _start(self, process: Generator[float], at: float) -> None:
        self._count += 1
        heapq.heappush(self._events, (at, self._count, process))

    def _producers(self) -> Generator[float]:
        append_s = self._costs.append_job * US
        while True:
            now, rate = self._now, self._scenario.rate_at(self._now)
            for shard in self._shards:
                jobs = self._poisson(rate * shard.weight * TICK_S)
                if jobs:
                    self.outcome.called += jobs
                    self._append(shard, jobs, now, append_s)
                while shard.outbox and shard.redis.starts(now) - now < RELAY_WAIT_S:
                    self._place(shard, *shard.outbox.popleft(), append_s)
            yield now + TICK_S

    def _append(self, shard: _Shard, jobs: int, now: float, append_s: float) -> None:
        if shard.outbox or shard.redis.starts(now) - now > CALL_TIMEOUT_S:
            shard.outbox.append((jobs, now))
            self.outcome.to_outbox += jobs
        else:
            self._place(shard, jobs, now, append_s)

    def _place(self, shard: _Shard, jobs: int, called: float, append_s: float) -> None:
        shard.stream.append((shard.redis.serve(self._now, jobs * append_s), jobs, called))
        self._wake(shard)

    def _poisson(self, mean: float) -> int:
        if mean > 30:
            return max(0, round(self._chance.gauss(mean, math.sqrt(mean))))
        limit, number, product = math.exp(-mean), 0, self._chance.random()
        while product > limit:
            number += 1
            product *= self._chance.random()
        return number

    def _wake(self, shard: _Shard) -> None:
        if not shard.is_held:
            shard.is_held = True
            self._ready.append(shard)
            self._assign()

    def _assign(self) -> None:
        while self._ready:
            # Idle processes of all hosts wait for messages: the host with most of them gets one.
            hosts = [n for n in range(self._fleet.worker_hosts) if not self._is_host_lost(n)]
            host = max(hosts, key=self._free_slots.__getitem__, default=0)
            if not hosts or not self._free_slots[host]:
                return
            self._free_slots[host] -= 1
            self._start(self._holder(self._ready.popleft(), host), self._now)

    def _is_host_lost(self, host: int) -> bool:
        return host == 0 and self._scenario.is_lost("workers", self._now)

    def _holder(self, shard: _Shard, host: int) -> Generator[float]:
        until = self._now + SLICE_S
        while self._now < until:
            blocked = self._scenario.is_lost("customer.io", self._now)
            backlog = [] if blocked else _take(shard.backlog, FULL_BATCH, self._now)
            # New jobs go beside the last ones of the backlog, or wait behind them.
            room = FULL_BATCH if blocked or shard.backlog else FULL_BATCH - _jobs(backlog)
            fresh = _take(shard.stream, room, self._now)
            if not backlog and not fresh:
                if shard.stream and shard.stream[0][0] < until:
                    yield max(self._now + 0.001, shard.stream[0][0])
                    continue
                break
            for moment in self._cycle(shard, host, backlog, fresh):
                yield moment
                if self._is_host_lost(host):
                    shard.backlog.extendleft(reversed(backlog))
                    shard.stream.extendleft(reversed(fresh))
                    yield from self._come_back(shard, host, LEASE_S)
                    return
        if shard.stream or shard.backlog:
            # A shard that can send nothing is looked at again by the next tick.
            idle = not shard.stream and self._scenario.is_lost("customer.io", self._now)
            yield from self._come_back(shard, host, TICK_OF_FLEET_S if idle else 0.0)
        else:
            shard.is_held = False
            self._free_slots[host] += 1
            self._assign()

    def _come_back(self, shard: _Shard, host: int, after_s: float) -> Generator[float]:
        self._free_slots[host] += 1
        if after_s:
            self._assign()
            yield self._now + after_s
        self._ready.append(shard)
        self._assign()

    def _cycle(
        self,
        shard: _Shard,
        host: int,
        backlog: list[tuple[float, int, float]],
        fresh: list[tuple[float, int, float]],
    ) -> Generator[float]:
        costs, worker = self._costs, self._hosts[host]
        blocked = self._scenario.is_lost("customer.io", self._now)
        # While anybody waits, new jobs of the same keys wait behind them: here, all of them do.
        deferred = fresh if blocked or shard.backlog else []
        sent = backlog + ([] if deferred else fresh)
        of_stream, late, new = _jobs(fresh), _jobs(backlog), _jobs(deferred)
        direct = 0 if deferred else of_stream
        worker_s = US * (
            costs.worker_cycle
            + direct * costs.worker_job
            + new * costs.defer_worker_job
            + late * costs.undefer_worker_job
        )
        postgres_s = US * (
            costs.postgres_cycle
            + direct * costs.postgres_job
            + new * costs.defer_postgres_job
            + late * costs.undefer_postgres_job
        )
        wal = (
            costs.wal_cycle
            + direct * costs.wal_job
            + new * costs.defer_wal_job
            + late * costs.undefer_wal_job
        )
        redis_s = US * (costs.redis_cycle + of_stream * costs.redis_job)
        yield shard.redis.serve(self._now, redis_s / 2)
        yield worker.serve(self._now, worker_s / 2)
        yield self._postgres.serve(self._now, postgres_s / 2)
        if sent:
            yield self._permit()
            yield self._now + self._fleet.api_s * self._chance.uniform(*self._fleet.api_spread)
            self.outcome.requests += 1
            self._arrived(sent)
        yield worker.serve(self._now, worker_s / 2)
        self.outcome.wal_bytes += wal
        yield max(
            self._postgres.serve(self._now, postgres_s / 2),
            self._disk.serve(self._now, wal / self._fleet.wal_bytes_per_s) + self._fleet.sync_s,
        )
        yield shard.redis.serve(self._now, redis_s / 2)
        shard.backlog.extend(deferred)

    def _permit(self) -> float:
        # A token bucket that holds a tenth of a second's requests.
        gap = 1 / self._fleet.requests_per_s
        at = max(self._now, self._permitted_at - 0.1)
        self._permitted_at = max(self._permitted_at, self._now) + gap
        return at

    def _arrived(self, sent: list[tuple[float, int, float]]) -> None:
        for _, jobs, called in sent:
            self.outcome.delivered += jobs
            self.outcome.lags.setdefault(int(called), []).append((jobs, self._now - called))

    def _watch(self) -> Generator[float]:
        while True:
            oldest = min(shard.oldest() for shard in self._shards)
            self.outcome.oldest_s.append(max(0.0, self._now - oldest))
            streams = sum(_jobs(shard.stream) for shard in self._shards)
            backlog = sum(_jobs(shard.backlog) for shard in self._shards)
            self.outcome.max_waiting = max(self.outcome.max_waiting, streams)
            self.outcome.max_backlog = max(self.outcome.max_backlog, backlog)
            yield self._now + 1.0


def _jobs(parts: list[tuple[float, int, float]] | deque[tuple[float, int, float]]) -> int:
    return sum(jobs for _, jobs, _ in parts)


def _take(
    queue: deque[tuple[float, int, float]], most: int, now: float
) -> list[tuple[float, int, float]]:
    """Take at most so many jobs that are visible."""
    taken = []
    while queue and most and queue[0][0] <= now:
        visible, jobs, called = queue.popleft()
        if jobs > most:
            queue.appendleft((visible, jobs - most, called))
            jobs = most
        most -= jobs
        taken.append((visible, jobs, called))
    return taken
