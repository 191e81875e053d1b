"""Everything at once, at random, for as long as one likes."""

from __future__ import annotations

import threading
from collections.abc import Callable

from . import api_faults, postgres_faults, redis_faults, worker_faults
from .plans import BOTH_POOLS, StackPlan, WorkerPlan
from .scenario import Trial, scenario

#: What hurts the same thing takes turns; different things are hurt at the same time.
WORKERS: tuple[Callable[[Trial], None], ...] = (
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
    kinds = (
        {"kind": "status", "status": 503},
        {"kind": "status", "status": 500, "rate": 0.5},
        {"kind": "status", "status": 429, "retry_after": "1"},
        {"kind": "close_after", "rate": 0.5},
        {"kind": "hang", "seconds": 8.0, "rate": 0.3},
        {"kind": "drip", "seconds": 8.0, "rate": 0.3},
        {"kind": "body", "body": api_faults.HTML, "content_type": "text/html"},
    )
    api_faults.fault(trial, trial.chance.uniform(0.5, 4.0), **trial.chance.choice(kinds))


@scenario(
    "everything",
    "all of it at random: workers, Redis, Postgres and the API, at the same time",
    stack=StackPlan(
        redis_proxy=True,
        postgres_proxy=True,
        redis={"appendfsync": "always"},
        workers=(WorkerPlan("prefork", 2), WorkerPlan("threads", 4), WorkerPlan("prefork", 2)),
    ),
    seconds=60.0,
    jobs=10_000,
    bound_s=120.0,
)
def _everything(trial: Trial) -> None:
    threads = [
        threading.Thread(target=_hurt, args=(trial, faults, pause), daemon=True)
        for faults, pause in ((WORKERS, 6.0), (REDIS, 8.0), (POSTGRES, 8.0), ((_api,), 6.0))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _hurt(trial: Trial, faults: tuple[Callable[[Trial], None], ...], most_pause_s: float) -> None:
    while trial.goes_on():
        trial.pause(1.0, most_pause_s)
        if trial.goes_on():
            trial.chance.choice(faults)(trial)
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
