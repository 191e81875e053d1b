"""How large an installation for a rate is, how much one carries, and what happens to it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .capacity import FULL_BATCH, Costs
from .fleet_model import Fleet, Loss, Model, Outcome, Scenario

#: Fleets are sized so that so much more than the usual rate fits into this share of each part.
HEADROOM, MAX_LOAD = 2.0, 0.75
#: A run keeps up if no job waits for longer.
MAX_LAG_S = 2.0
#: Seconds before an event, and after it.
BEFORE_S, AFTER_S = 40.0, 120.0
#: Jobs a second that a shard easily delivers, one batch after the other.
SHARD_RATE = 2_500
Step = tuple[str, float, Loss, float]
EVENTS: tuple[Step, ...] = (
    ("twice the rate for 60 s", 2.0, "", 60.0),
    ("four times the rate for 60 s", 4.0, "", 60.0),
    ("a Redis server away for 15 s", 1.0, "redis", 15.0),
    ("a worker host lost for 60 s", 1.0, "workers", 60.0),
    ("Postgres away for 30 s", 1.0, "postgres", 30.0),
    ("Customer.io away for 60 s", 1.0, "customer.io", 60.0),
)


@dataclass(frozen=True)
class Shares:
    """CPU microseconds of one job in each part, in full batches."""

    producer: float
    append: float
    read: float
    worker: float
    postgres: float
    wal: float

    @classmethod
    def of(cls, costs: Costs, batch: float = FULL_BATCH) -> Shares:
        """Divide the cost of a cycle by the jobs of its batch."""
        return cls(
            costs.producer_job,
            costs.append_job,
            costs.redis_job + costs.redis_cycle / batch,
            costs.worker_job + costs.worker_cycle / batch,
            costs.postgres_job + costs.postgres_cycle / batch,
            costs.wal_job + costs.wal_cycle / batch,
        )

    @property
    def redis(self) -> float:
        """Everything that the one thread of a Redis does for a job."""
        return self.append + self.read


def fleet_for(rate: float, costs: Costs) -> Fleet:
    """Return an installation in which twice a rate fits."""
    peak = rate * HEADROOM
    # Batches are full at the peak only if there are few shards: count with a quarter of that.
    shares = Shares.of(costs, min(FULL_BATCH / 4, max(5.0, rate / 40)))

    def cores(us: float) -> int:
        return max(1, math.ceil(peak * us * 1e-6 / MAX_LOAD))

    redis = cores(shares.redis)
    worker_cores = cores(shares.worker)
    hosts = max(2, math.ceil(worker_cores / 4))
    shards = redis * math.ceil(max(4, peak / SHARD_RATE) / redis)
    # A shard without a process waits for seconds. So there are enough of them without one host.
    slots = math.ceil(shards / (hosts - 1))
    requests = 100.0 if peak / (FULL_BATCH / 4) < 90 else 1_000.0
    return Fleet(
        redis=redis,
        shards=shards,
        worker_hosts=hosts,
        cores_of_host=math.ceil(worker_cores / hosts),
        slots_of_host=slots,
        postgres_cores=max(2, cores(shares.postgres)),
        requests_per_s=requests,
    )


def keeps_up(costs: Costs, fleet: Fleet, rate: float, seconds: float = 30.0) -> Outcome | None:
    """Return how a fleet does at a steady rate; None if jobs wait for ever longer."""
    run = Model(costs, fleet, Scenario(name="steady", rate=rate, seconds=seconds)).run()
    is_fine = max(run.oldest_s[5:]) <= MAX_LAG_S and not run.to_outbox
    return run if is_fine else None


def limit(costs: Costs, fleet: Fleet) -> tuple[float, Outcome]:
    """Return the highest rate with which a fleet keeps up, within 3 %, and how it does then."""
    low, high = 100.0, 1_000_000.0
    found = keeps_up(costs, fleet, low)
    assert found is not None
    # The simulation takes time in proportion to the rate. So begin below.
    while (found_above := keeps_up(costs, fleet, low * 2)) is not None:
        low, found = low * 2, found_above
        if low > high:
            break
    high = low * 2
    while high / low > 1.03:
        middle = (low + high) / 2
        above = keeps_up(costs, fleet, middle)
        if above is None:
            high = middle
        else:
            low, found = middle, above
    return low, found


def events_at(costs: Costs, rate: float, fleet: Fleet) -> list[Outcome]:
    """Return what each event does to an installation."""
    found = []
    for name, burst, loss, lasts in EVENTS:
        ends = BEFORE_S + lasts
        found.append(
            Model(
                costs,
                fleet,
                Scenario(
                    name=name,
                    rate=rate,
                    seconds=ends + AFTER_S,
                    burst=burst,
                    loss=loss,
                    begins=BEFORE_S,
                    ends=ends,
                ),
            ).run()
        )
    return found
