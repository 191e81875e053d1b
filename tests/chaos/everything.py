"""Everything at once, at random, for as long as one likes."""

from __future__ import annotations

import dataclasses
import random
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.support.waiting import patient

from . import (
    api_faults,
    job_faults,
    operation_faults,
    outbox_faults,
    postgres_faults,
    redis_faults,
    reshard_faults,
    worker_faults,
)
from .plans import BOTH_POOLS, StackPlan, TrafficPlan, WorkerPlan
from .scenario import Act, Trial, scenario

#: What hurts the same thing takes turns; different things are hurt at the same time.
WORKERS: tuple[Act, ...] = (
    worker_faults.kill_a_child,
    worker_faults.kill_a_child,
    worker_faults.kill_a_parent,
    worker_faults.terminate_a_worker,
    worker_faults.freeze_a_worker,
    worker_faults.kill_all,
)
REDIS = (
    redis_faults.restart,
    redis_faults.kill,
    redis_faults.cut,
    redis_faults.cut,
    redis_faults.stall,
    redis_faults.freeze,
)
POSTGRES = (
    postgres_faults.restart,
    postgres_faults.kill,
    postgres_faults.cut,
    postgres_faults.cut,
    postgres_faults.lock,
    postgres_faults.freeze,
)


def _api(trial: Trial) -> None:
    kinds: tuple[dict[str, Any], ...] = (
        {"kind": "status", "status": 503},
        {"kind": "status", "status": 500, "rate": 0.5},
        {"kind": "status", "status": 429, "retry_after": "1"},
        {"kind": "close_after", "rate": 0.5},
        {"kind": "hang", "seconds": 8.0, "rate": 0.3},
        {"kind": "drip", "seconds": 8.0, "rate": 0.3},
        {"kind": "body", "body": api_faults.HTML, "content_type": "text/html"},
    )
    api_faults.fault(trial, trial.chance.uniform(0.5, 4.0), **trial.chance.choice(kinds))


def _reshard(trial: Trial) -> None:
    operation_faults.attempt(
        trial, "reshard", str(trial.chance.choice(reshard_faults.SIZES)), "--yes"
    )


OPERATORS = (operation_faults.pause_and_resume, _reshard)

#: Each kind with the longest pause between two of it, seconds.
KINDS: dict[tuple[Act, ...], float] = {
    WORKERS: 6.0,
    REDIS: 8.0,
    POSTGRES: 8.0,
    (_api,): 6.0,
    (job_faults.add_junk,): 3.0,
}


BREAKABLE = StackPlan(
    redis_proxy=True,
    postgres_proxy=True,
    redis={"appendfsync": "always"},
    workers=(WorkerPlan("prefork", 2), WorkerPlan("threads", 4), WorkerPlan("prefork", 2)),
)


#: Three workers of processes beside one of threads, and a sandbox that remembers every request.
OBSERVED = dataclasses.replace(
    BREAKABLE,
    workers=(*BREAKABLE.workers, WorkerPlan("prefork", 2)),
    sandbox={"max_records": 1_000_000},
)


@scenario(
    "everything",
    "all of it at random: workers, Redis, Postgres and the API, at the same time",
    stack=OBSERVED,
    observed=True,
    seconds=60.0,
    jobs=10_000,
    bound_s=120.0,
)
def _everything(trial: Trial) -> None:
    _hurt_all(trial, KINDS)


@scenario(
    "everything-by-outbox",
    "the same and FLUSHALL, with jobs that go through an outbox",
    stack=BREAKABLE,
    traffic=TrafficPlan(outbox="other"),
    seconds=60.0,
    jobs=8_000,
    bound_s=120.0,
)
def _everything_by_outbox(trial: Trial) -> None:
    _hurt_all(trial, KINDS | {(outbox_faults.wipe,): 15.0})


@scenario(
    "everything-and-operators",
    "the same while somebody pauses, resumes, and changes the number of shards",
    stack=BREAKABLE,
    seconds=60.0,
    jobs=8_000,
    bound_s=120.0,
)
def _everything_and_operators(trial: Trial) -> None:
    _hurt_all(trial, KINDS | {OPERATORS: 8.0})
    # A second run completes a change that was killed, as `status` advises.
    trial.stack.heal()
    trial.fault_is_over()
    operation_faults.insist(trial, "reshard", "4", "--yes")


def _hurt_all(trial: Trial, kinds: Mapping[tuple[Act, ...], float]) -> None:
    # Each in a thread with its own random numbers: none depends on when the others act.
    trials = [
        dataclasses.replace(trial, chance=random.Random(trial.chance.random())) for _ in kinds
    ]
    with ThreadPoolExecutor(len(kinds)) as pool:
        list(pool.map(_hurt, trials, kinds.keys(), kinds.values()))
    trial.injected += sum(each.injected for each in trials)


def _hurt(trial: Trial, acts: tuple[Act, ...], most_pause_s: float) -> None:
    while trial.goes_on():
        trial.pause(1.0, most_pause_s)
        if trial.goes_on():
            trial.chance.choice(acts)(trial)
            trial.injected += 1


@scenario(
    "short",
    "a little of everything, one after the other: the part of it that runs with the tests",
    stack=StackPlan(
        redis_proxy=True,
        postgres_proxy=True,
        redis={"appendfsync": "always"},
        workers=(*BOTH_POOLS, WorkerPlan("threads", 2, failpoint="before_settle=stop@4")),
    ),
    seconds=20.0,
    jobs=3_000,
    # It runs beside other tests, on machines that do other things too.
    bound_s=patient(75.0),
    on_request=True,
)
def _short(trial: Trial) -> None:
    watcher = threading.Thread(target=worker_faults.wake_the_stopped, args=(trial,), daemon=True)
    watcher.start()
    for act in (
        worker_faults.kill_a_child,
        redis_faults.restart,
        postgres_faults.kill,
        lambda trial: api_faults.fault(trial, 2.0, kind="close_after", rate=0.5),
        redis_faults.kill,
        api_faults.short_outage,
        lambda trial: postgres_faults.lose_commits(trial, 2.0),
        worker_faults.kill_a_parent,
        redis_faults.cut,
        postgres_faults.restart,
    ):
        act(trial)
        trial.injected += 1
        trial.pause(0.5, 1.5)
    trial.pause(1e9)
    watcher.join()
