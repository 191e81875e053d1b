"""Clocks that are wrong: the workers', and Redis'."""

from __future__ import annotations

import time
from collections.abc import Sequence

from trackrelay import operations as make
from trackrelay.operations.keys import shard_of
from trackrelay.queue.job import encode_entry
from trackrelay.queue.redis_keys import stream

from . import api_faults, marks, stores
from .calls import Call
from .plans import StackPlan, WorkerPlan
from .scenario import Trial, scenario
from .stores import Stores
from .workload import Planned

#: By how much Redis' clock was ahead when it gave its streams an entry.
AHEAD_S = 3_600.0
#: By how much a time that Customer.io gets may be ahead of the real one.
MOST_AHEAD_S = 75.0


@scenario(
    "worker-clocks",
    "workers whose clocks are days ahead and hours behind, and jump, through outages",
    ambiguous=False,
    stack=StackPlan(
        workers=(
            WorkerPlan("prefork", 2, include=("tests.chaos.clock_ahead",)),
            WorkerPlan("threads", 4, include=("tests.chaos.clock_behind",)),
        )
    ),
    seconds=25.0,
    bound_s=120.0,
)
def _worker_clocks(trial: Trial) -> None:
    trial.repeat(api_faults.short_outage, 2.0, 4.0)


@scenario(
    "redis-clock-ahead",
    "Redis' clock was an hour ahead for a moment: every stream has an entry from the future",
    ambiguous=False,
    seconds=15.0,
)
def _redis_clock_ahead(trial: Trial) -> None:
    for shard in range(trial.stack.plan.shards):
        for lane in ("live", "bulk"):
            _append_from_the_future(trial, shard, lane)
            trial.injected += 1
    for number in range(20):
        person = f"ahead-{number}"
        trial.caller.make(Planned(make.identify(person, {"n": person}), marks.numbered(person)))
    trial.pause(1e9)

    def told_in_time(_: Stores, __: Sequence[Call]) -> list[str]:
        early = [
            (effect["timestamp"] or 0) - effect["at"]
            for effect in stores.arrivals(trial.stack.sandbox.client)
            if effect["action"] == "identify" and effect["timestamp"]
        ]
        future = [each for each in early if each > MOST_AHEAD_S]
        return (
            [f"{len(future)} identifies say that they are {max(future):,.0f} s in the future"]
            if future
            else []
        )

    trial.checks.append(told_in_time)


def _append_from_the_future(trial: Trial, shard: int, lane: str) -> None:
    """Append an identify with a stream id of an hour ahead. Those that follow are later still."""
    people = (f"future-{lane}-{number}" for number in range(1_000))
    person = next(
        each for each in people if shard_of(f"id:{each}", trial.stack.plan.shards) == shard
    )
    operation = make.identify(person, {"n": person})
    trial.strangers.add(marks.numbered(person))
    entry = f"{int((time.time() + AHEAD_S) * 1000)}-0"
    trial.stack.redis.xadd(stream(shard, lane), {"v": "1", "j": encode_entry(operation)}, id=entry)  # type: ignore[arg-type]
