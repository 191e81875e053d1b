"""One part that cannot work beside others that can: a paused shard, a failing endpoint family."""

from __future__ import annotations

import time
from collections.abc import Sequence

from trackrelay import operations as make
from trackrelay.operations.keys import shard_of

from . import marks
from .calls import Call
from .operation_faults import trackrelay
from .plans import StackPlan, TrafficPlan, WorkerPlan
from .scenario import Trial, scenario
from .stores import Stores
from .workload import Planned

#: One key a job, and no detour by v1: such a job waits for its own shard alone.
SIMPLE = TrafficPlan(mix="events of many")
PAUSED = 2
#: The part of the time in which all shards work, for comparison.
BEFORE = 0.25
#: By how much the others' latency may grow beside a paused shard: the machine is not quiet either.
FACTOR, SLACK_S = 2.0, 0.5
#: The median means little for a shard that is paused half of the time.
SHARES = (0.5, 0.9)
#: v2 jobs that must be delivered while forms are down.
DELIVERED = 0.99
#: What was enqueued in the last seconds of an outage may be under way when it ends.
UNDER_WAY_S = 5.0
FORMS_A_SECOND = 5.0


@scenario(
    "operation-pause-one-shard",
    "one shard paused for minutes beside busy ones, whose latency must hold",
    ambiguous=False,
    # Something is always unread: a shard is held to the end of its slice, and claimed again at a
    # wakeup.
    stack=StackPlan(workers=(WorkerPlan("threads", 4),), sandbox={"latency": "200ms"}),
    traffic=TrafficPlan(mix="events of many", rate=80.0),
    seconds=80.0,
    jobs=6_000,
    bound_s=90.0,
)
def _paused_shard(trial: Trial) -> None:
    began, paused_s = time.time(), trial.seconds_left() * (1 - BEFORE)
    trial.pause(trial.seconds_left() - paused_s)
    trackrelay(trial, "pause", "--shard", str(PAUSED))
    trial.injected += 1
    paused = time.time()
    trial.pause(1e9)
    resumed = time.time()
    trackrelay(trial, "resume", "--shard", str(PAUSED))
    trial.fault_is_over()
    trial.checks.append(
        lambda stores, calls: beside(
            stores, calls, trial.stack.plan.shards, (began, paused), (paused, resumed)
        )
    )


def beside(
    stores: Stores,
    calls: Sequence[Call],
    shards: int,
    all_work: tuple[float, float],
    paused: tuple[float, float],
) -> list[str]:
    """What is wrong with the latency of the shards that were not paused."""
    before, during = (_latencies(stores, calls, shards, *window) for window in (all_work, paused))
    if not before or not during:
        return ["no job of another shard was enqueued before the pause, or none beside it"]
    found = ((share, _within(before, share), _within(during, share)) for share in SHARES)
    return [
        f"{share:.0%} of the other shards' jobs arrived within {usual:.2f} s, "
        f"and within {now:.2f} s beside a paused one"
        for share, usual, now in found
        if now > usual * FACTOR + SLACK_S
    ]


def _within(latencies: list[float], share: float) -> float:
    return sorted(latencies)[int(share * (len(latencies) - 1))]


def _latencies(
    stores: Stores, calls: Sequence[Call], shards: int, since: float, until: float
) -> list[float]:
    never = time.time()
    return [
        stores.ledger.get(call.id, never) - call.ended
        for call in calls
        if call.told == "accepted"
        and since < call.ended < until
        and all(shard_of(key, shards) != PAUSED for key in call.keys)
    ]


@scenario(
    "api-forms-down",
    "forms answered 503, then 429, beside v2 traffic, which must go on",
    ambiguous=False,
    stack=StackPlan(settings={"TRACKRELAY_MAX_ATTEMPTS": "3"}),
    traffic=SIMPLE,
    seconds=60.0,
    jobs=6_000,
    bound_s=120.0,
)
def _forms_down(trial: Trial) -> None:
    client, began, half = trial.stack.sandbox.client, time.time(), trial.seconds_left() / 2
    for status, until in ((503, half), (429, 0.0)):
        number = client.add_fault(kind="status", status=status, match={"path": "/api/v1/forms"})
        while trial.seconds_left() > until:
            person = f"form-{trial.injected}"
            trial.caller.make(
                Planned(
                    make.submit_form("contact", person, {"form_n": person}), marks.numbered(person)
                )
            )
            trial.injected += 1
            trial.pause(1 / FORMS_A_SECOND)
        client.delete_fault(number)
    over = time.time()
    trial.checks.append(lambda stores, calls: went_on(stores, calls, began, over))


def went_on(stores: Stores, calls: Sequence[Call], began: float, over: float) -> list[str]:
    """What is wrong with the v2 jobs that were enqueued while forms were down."""
    meanwhile = [
        call.id
        for call in calls
        if call.told == "accepted"
        and call.operation != "form.submit"
        and began < call.ended < over - UNDER_WAY_S
    ]
    if not meanwhile:
        return ["no v2 job was enqueued while forms were down"]
    delivered = sum(stores.ledger.get(id, over + 1) <= over for id in meanwhile)
    if delivered >= DELIVERED * len(meanwhile):
        return []
    return [f"{delivered:,} of {len(meanwhile):,} v2 jobs were delivered while forms were down"]
