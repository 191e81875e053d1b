"""Restarts and upgrades under load: rolling restarts, a newer entry format, migrations."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from itertools import pairwise

import psycopg
from psycopg import sql

from tests.support.waiting import wait_until
from tests.support.worker_process import WorkerProcess
from trackrelay import operations as make
from trackrelay.operations.keys import shard_of
from trackrelay.queue.job import FORMAT_VERSION, encode_entry
from trackrelay.queue.redis_keys import stream

from . import marks
from .calls import Call, Journal
from .clocks import now
from .operation_faults import trackrelay
from .plans import BOTH_POOLS, StackPlan, WorkerPlan
from .scenario import Trial, scenario
from .stores import Stores
from .worker_faults import kill_a_child

#: The format of the next version. Not imported from `newer`, which turns the importing process into
#: that version.
NEXT_FORMAT = FORMAT_VERSION + 1
#: A shard whose lease had to run out (six seconds) would stand still for longer than this.
LONGEST_PAUSE_S = 5.0
LONGEST_FAREWELL_S = 60.0
TABLES = ("trackrelay_ledger", "trackrelay_backlog", "trackrelay_dead_letters", "trackrelay_shards")
NEWER = tuple(
    WorkerPlan(plan.pool, plan.concurrency, include=("tests.chaos.newer",)) for plan in BOTH_POOLS
)


@scenario(
    "operation-rolling-restart",
    "every worker restarted in turn, warmly: no shard stands still meanwhile",
    ambiguous=False,
    seconds=25.0,
    # Each has a place for every shard by itself: otherwise they would wait for each other.
    stack=StackPlan(workers=(WorkerPlan("prefork", 4), WorkerPlan("threads", 4))),
)
def _rolling_restart(trial: Trial) -> None:
    fleet, began = trial.stack.fleet, time.time()
    while trial.goes_on():
        for worker in list(fleet.workers):
            _restart(worker)
            trial.injected += 1
            fleet.wait_ready()
    over, shards = time.time(), trial.stack.plan.shards
    trial.checks.append(lambda stores, calls: _pauses(stores, calls, began, over, shards))


def _restart(worker: WorkerProcess) -> None:
    before = worker.pid
    worker.term()
    # Not until it no longer runs: the next may already stand in its place.
    wait_until(
        lambda: worker.pid != before, LONGEST_FAREWELL_S, "a worker told to end to be replaced"
    )


def _pauses(
    stores: Stores, calls: Sequence[Call], began: float, over: float, shards: int
) -> list[str]:
    moments: dict[int, list[float]] = {shard: [began, over] for shard in range(shards)}
    for call in calls:
        if call.lane == "live" and began < (at := stores.ledger.get(call.id, 0.0)) < over:
            moments[shard_of(call.keys[0], shards)].append(at)
    longest = {
        shard: max(later - at for at, later in pairwise(sorted(ats)))
        for shard, ats in moments.items()
    }
    return [
        f"shard {shard} stood still for {s:.1f} s"
        for shard, s in longest.items()
        if s > LONGEST_PAUSE_S
    ]


@scenario(
    "operation-upgrade",
    "entries of a newer format under workers of this one, which are then replaced in turn",
    ambiguous=False,
    seconds=20.0,
    bound_s=90.0,
)
def _upgrade(trial: Trial) -> None:
    application = _NewerApplication(trial)
    application.enqueue(40)
    trial.injected += 1
    trial.pause(4.0)
    halted = sum("shard_halted" in worker.output for worker in trial.stack.fleet.workers)
    for old, plan in zip(list(trial.stack.fleet.workers), NEWER, strict=True):
        trial.stack.fleet.add([plan])
        application.enqueue(40)
        trial.stack.fleet.retire([old])
        trial.injected += 1
    trial.pause(1e9)
    application.enqueue(40)
    application.close()
    trial.checks.append(lambda *_: [] if halted else ["no worker logged that it halted a shard"])


class _NewerApplication:
    """A producer of the next version: its entries have the next format, among those of today."""

    def __init__(self, trial: Trial) -> None:
        self._redis = trial.stack.redis
        self._shards = trial.stack.plan.shards
        self._journal = Journal(trial.stack.journal("newer"))
        self._chance = random.Random(trial.chance.random())
        self._made = 0

    def enqueue(self, count: int) -> None:
        for _ in range(count):
            self._made += 1
            number = f"newer-{self._made}"
            operation = make.track(f"newer-{self._chance.randrange(20)}", "looked", {"n": number})
            began = now()
            shard = shard_of(operation.keys[0], self._shards)
            self._redis.xadd(
                stream(shard, "live"), {"v": str(NEXT_FORMAT), "j": encode_entry(operation)}
            )
            self._journal.write(
                [
                    Call(
                        id=operation.id,
                        operation=operation.name,
                        keys=operation.keys,
                        mark=marks.numbered(number),
                        told="accepted",
                        began=began,
                        ended=now(),
                    )
                ]
            )

    def close(self) -> None:
        self._journal.close()


@scenario(
    "operation-migrate",
    "`migrate` again and again, then a newer version's migration under workers of this one",
    seconds=20.0,
)
def _migrate(trial: Trial) -> None:
    half = trial.seconds_left() / 2
    while trial.seconds_left() > half:
        trackrelay(trial, "migrate")
        trial.injected += 1
        trial.pause(0.5, 1.0)
    with trial.stack.connect() as connection:
        connection.execute("UPDATE trackrelay_alembic_version SET version_num = 'newer'")
    while trial.goes_on():
        _add_column(trial, trial.chance.choice(TABLES))
        trial.injected += 1
        # One that starts on tables newer than itself.
        kill_a_child(trial)
        trackrelay(trial, "migrate")
        trial.pause(0.5, 1.0)


def _add_column(trial: Trial, table: str) -> None:
    # As a migration does: it waits for running transactions, and all others wait for it.
    statement = sql.SQL("ALTER TABLE {} ADD COLUMN {} text").format(
        sql.Identifier(table), sql.Identifier(f"newer_{trial.injected}")
    )
    with psycopg.connect(trial.stack.postgres.url, autocommit=True) as connection:
        connection.execute(statement)
        connection.execute(
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS newer ON trackrelay_ledger (delivered_at, "
            "source)"
        )
