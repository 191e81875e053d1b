"""Jobs that harm their neighbours, crowd them out, or must agree with them."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Sequence
from typing import Any

import redis

from trackrelay import operations as make
from trackrelay.queue.redis_keys import stream

from . import api_faults, marks
from .calls import Call
from .crash_job import KILLS
from .plans import StackPlan, TrafficPlan
from .scenario import Trial, scenario
from .stores import Stores
from .worker_faults import kill_a_child
from .workload import Planned

#: Live load beside jobs that the scenario makes itself.
BESIDE = TrafficPlan(rate=100.0)
#: Beside an import, 99 of 100 live jobs arrive within this time, also on a slow machine. The import
#: takes longer.
LIVE_LATE_S = 5.0
#: Entries that no version of the format explains.
JUNK: tuple[dict[Any, Any], ...] = (
    {b"v": b"1", b"j": b"\x00\xff\xfe not JSON"},
    {b"v": b"1", b"j": b"[]"},
    {b"v": b"1", b"j": b'[{"id": 5}]'},
    {b"v": b"1", b"j": b'[{"id":"x","operation":"person.event","keys":[],"body":{}}]'},
    {b"v": b"1"},
    {b"something": b"else"},
    {b"v": b"one", b"j": b'{"id":"x"}'},
)


@scenario(
    "job-poison-400",
    "jobs that make the API refuse the whole batch",
    traffic=TrafficPlan(mix="poisoned"),
    ambiguous=False,
    api=({"kind": "status", "status": 400, "match": api_faults.POISON},),
)
def _poison(trial: Trial) -> None:
    trial.pause(1e9)


@scenario(
    "job-poison-413",
    "jobs that make the API call the whole batch too large",
    traffic=TrafficPlan(mix="poisoned"),
    ambiguous=False,
    api=({"kind": "status", "status": 413, "match": api_faults.POISON},),
)
def _too_large(trial: Trial) -> None:
    trial.pause(1e9)


@scenario(
    "job-kills-worker",
    "a job that kills every worker process that takes it",
    stack=StackPlan(include=("tests.chaos.crash_job",)),
    bound_s=180.0,
    seconds=5.0,
    jobs=2_000,
    note="a killed worker's lease must run out before the next one looks, "
    "so the job's shard stands still for about a "
    "minute until the job is known for what it is; other shards go on.",
)
def _kills_worker(trial: Trial) -> None:
    operation = make.track("killer", KILLS, {"n": "killer"})
    trial.caller.make(Planned(operation, marks.numbered("killer"), fate="dead"))
    trial.injected += 1
    trial.pause(1e9)


def add_junk(trial: Trial) -> None:
    """An entry that cannot be decoded."""
    shard = trial.chance.randrange(trial.stack.plan.shards)
    # While Redis is away there is no stream to spoil.
    with contextlib.suppress(redis.RedisError):
        trial.stack.redis.xadd(
            stream(shard, trial.chance.choice(("live", "bulk"))), dict(trial.chance.choice(JUNK))
        )


@scenario("job-undecodable", "entries that nobody can decode", ambiguous=False)
def _undecodable(trial: Trial) -> None:
    trial.repeat(add_junk, 0.05, 0.3)

    def kept(stores: Stores, _: Sequence[Call]) -> list[str]:
        found = sum(letter.reason == "undecodable" for letter in stores.dead.values())
        return (
            []
            if found == trial.injected
            else [f"{found} undecodable entries kept, not {trial.injected}"]
        )

    trial.checks.append(kept)


@scenario(
    "job-one-busy-person",
    "one person whose jobs fail, with ten thousand of them, beside ten thousand people with one",
    ambiguous=False,
    seconds=30.0,
    jobs=20_000,
    traffic=TrafficPlan(rate=50.0),
    bound_s=120.0,
)
def _one_busy_person(trial: Trial) -> None:
    count = max(100, trial.jobs // 2)
    trial.stack.sandbox.client.add_fault(kind="status", status=500, match={"identifier": "id:busy"})
    trial.injected += 1
    for first in range(0, count, 250):
        planned = []
        for number in range(first, min(first + 250, count)):
            for who, mark in (("busy", f"busy-{number}"), (f"calm-{number}", f"calm-{number}")):
                planned.append(
                    Planned(make.track(who, "looked", {"n": mark}), marks.numbered(mark))
                )
        trial.caller.make_together(planned)
    trial.pause(1e9)
    over = time.time()

    def calm_ones_went_on(stores: Stores, calls: Sequence[Call]) -> list[str]:
        calm = [
            call.id for call in calls if call.mark.startswith("n:calm-") and call.told == "accepted"
        ]
        late = sum(stores.ledger.get(id, over + 1) > over for id in calm)
        return (
            [f"{late} of {len(calm)} other people's jobs waited for the busy one's"] if late else []
        )

    trial.checks.append(calm_ones_went_on)


@scenario(
    "job-one-key-twenty-processes",
    "the same idempotency keys from twenty processes at once",
    ambiguous=False,
    traffic=TrafficPlan(processes=20, mix="shared keys"),
    ordered=False,
    jobs=10_000,
)
def _twenty_processes(trial: Trial) -> None:
    trial.injected += 1
    trial.pause(1e9)


@scenario(
    "job-two-keys",
    "merges and anonymous joins across shards, workers killed and 503 meanwhile",
    traffic=TrafficPlan(mix="two keys"),
    bound_s=120.0,
    jobs=3_000,
)
def _two_keys(trial: Trial) -> None:
    _with_trouble(trial)


@scenario(
    "job-new-life",
    "people deleted, suppressed and back, workers killed and answers lost meanwhile",
    traffic=TrafficPlan(mix="new lives"),
    bound_s=120.0,
    jobs=3_000,
)
def _new_life(trial: Trial) -> None:
    _with_trouble(trial)


def _with_trouble(trial: Trial) -> None:
    trial.stack.sandbox.client.add_fault(kind="close_after", rate=0.1)
    trial.stack.sandbox.client.add_fault(kind="status", status=503, rate=0.1)
    trial.repeat(kill_a_child, 1.0, 3.0)


@scenario(
    "job-bulk",
    "a large import beside live jobs",
    ambiguous=False,
    seconds=20.0,
    jobs=40_000,
    bound_s=120.0,
    traffic=BESIDE,
)
def _bulk(trial: Trial) -> None:
    _import(trial, trial.jobs)


@scenario(
    "job-million",
    "a million jobs imported beside live ones",
    ambiguous=False,
    seconds=300.0,
    jobs=1_000_000,
    bound_s=900.0,
    traffic=BESIDE,
    on_request=True,
)
def _million(trial: Trial) -> None:
    _import(trial, trial.jobs)


def _import(trial: Trial, count: int) -> None:
    chance, began = random.Random(count), time.time()
    trial.checks.append(lambda stores, calls: held_up(stores, calls, began))
    trial.injected += 1
    for first in range(0, count, 500):
        planned = []
        for number in range(first, min(first + 500, count)):
            mark = f"import-{number}"
            operation = make.identify(f"imported-{chance.randrange(count // 3)}", {"n": mark})
            planned.append(Planned(operation, marks.numbered(mark), lane="bulk"))
        trial.caller.make_together(planned)


def held_up(stores: Stores, calls: Sequence[Call], began: float) -> list[str]:
    """Return what is wrong with the live jobs that were enqueued while an import was delivered."""
    imported = [
        stores.ledger.get(call.id, 0.0) for call in calls if call.mark.startswith("n:import-")
    ]
    until = max(imported, default=0.0)
    late = sorted(
        stores.ledger[call.id] - call.ended
        for call in calls
        if call.lane == "live" and began < call.ended < until and call.id in stores.ledger
    )
    if not late:
        return ["no live job was enqueued beside the import"]
    nearly_all = late[int(0.99 * (len(late) - 1))]
    if nearly_all <= LIVE_LATE_S:
        return []
    return [
        f"one live job in a hundred arrived {nearly_all:.1f} s late or later, the import beside it"
    ]


@scenario(
    "job-clocks",
    "web hosts whose clocks are wrong by minutes, and jump",
    ambiguous=False,
    traffic=TrafficPlan(processes=3, clocks_off_s=(-420.0, 0.0, 600.0), clock_jumps_s=180.0),
)
def _clocks(trial: Trial) -> None:
    trial.injected += 1
    trial.pause(1e9)
