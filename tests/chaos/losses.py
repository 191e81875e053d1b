"""What a store refuses or loses.

A full disk refuses settlement. Redis forgets everything, or what it knew of an outage.
"""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from collections.abc import Sequence

import psycopg

from . import marks, stores
from .calls import Call
from .operation_faults import COMMAND_TIMEOUT_S, begin, insist, trackrelay
from .plans import StackPlan, TrafficPlan
from .scenario import Trial, scenario
from .stores import Stores

#: As PostgreSQL refuses to write when its disk is full, to each table that a settlement writes to.
DISK_FULL = """
CREATE FUNCTION chaos_disk_full() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100';
END $$;
CREATE TRIGGER chaos_disk_full BEFORE INSERT ON trackrelay_ledger
    EXECUTE FUNCTION chaos_disk_full();
CREATE TRIGGER chaos_disk_full BEFORE INSERT ON trackrelay_backlog
    EXECUTE FUNCTION chaos_disk_full();
CREATE TRIGGER chaos_disk_full BEFORE INSERT ON trackrelay_dead_letters
    EXECUTE FUNCTION chaos_disk_full();
"""
ROOM_AGAIN = "DROP FUNCTION IF EXISTS chaos_disk_full() CASCADE"
#: How often what has no id at Customer.io may arrive: once more after an answer that was lost.
MOST_ARRIVALS = 2
WITHOUT_ID = ("form.", "delivery.")


@scenario(
    "postgres-disk-full",
    "Postgres' disk is full for half a minute, with forms and metrics among the jobs",
    traffic=TrafficPlan(mix="without ids"),
    seconds=30.0,
    bound_s=120.0,
)
def _disk_full(trial: Trial) -> None:
    with psycopg.connect(trial.stack.postgres.url, autocommit=True) as connection:
        # Once: each time that answers are lost, what they were about may be sent once more.
        connection.execute(DISK_FULL)
        trial.injected += 1
        trial.pause(1e9)
        connection.execute(ROOM_AGAIN)

    def at_most_once_more(_: Stores, calls: Sequence[Call]) -> list[str]:
        effects = stores.arrivals(trial.stack.sandbox.client)
        arrived = Counter(mark for effect in effects for mark in marks.of_effect(effect))
        mine = {call.mark for call in calls if call.operation.startswith(WITHOUT_ID)}
        often = {mark: arrived[mark] for mark in mine if arrived[mark] > MOST_ARRIVALS}
        if not often:
            return []
        return [
            f"{len(often)} forms and metrics arrived more than twice, "
            f"one of them {max(often.values())} times"
        ]

    trial.checks.append(at_most_once_more)


@scenario(
    "redis-wiped",
    "FLUSHALL under jobs that did not go through an outbox: the loss is reported",
    traffic=TrafficPlan(mix="one key"),
    seconds=20.0,
    bound_s=90.0,
    note="what the streams held is lost with them, and counts as reported here; "
    "the outbox loses nothing.",
)
def _wiped(trial: Trial) -> None:
    trial.pause(4.0)
    # Jobs must be in the streams, and a worker must have had the time to see them.
    trackrelay(trial, "pause")
    trial.pause(6.0)
    trial.stack.redis.flushall()
    trial.wiped_at = time.time()
    trial.injected += 1
    insist(trial, "resume")
    trial.pause(1e9)
    trial.checks.append(lambda stores, calls: _is_told(trial, stores, calls))


def _is_told(trial: Trial, stores: Stores, calls: Sequence[Call]) -> list[str]:
    somewhere = stores.ledger.keys() | stores.dead.keys() | stores.backlog.keys() | stores.stream
    gone = {call.id for call in calls if call.told == "accepted" and call.id not in somewhere}
    if not gone:
        return ["nothing was lost, so nothing could be told"]
    command = begin(trial, "status", "--fail-if", "lost>0")
    try:
        out, err = command.communicate(timeout=COMMAND_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        command.kill()
        return ["status did not answer"]
    if command.returncode != 1 or "lost" not in out + err:
        return [
            f"{len(gone):,} jobs were lost, and status --fail-if 'lost>0' exits with "
            f"{command.returncode}: {err[:200]}"
        ]
    return []


@scenario(
    "redis-forgets-an-outage",
    "an outage longer than the maximum age, and Redis loses the breaker meanwhile: nothing expires",
    ambiguous=False,
    # The maximum age counts from the end of the outage: a busy machine must deliver the rest by
    # then.
    stack=StackPlan(settings={"TRACKRELAY_MAX_AGE": "60s", "TRACKRELAY_LEDGER_RETENTION": "1h"}),
    seconds=80.0,
    jobs=3_000,
    bound_s=120.0,
)
def _forgets_an_outage(trial: Trial) -> None:
    redis = trial.stack.redis
    with trial.stack.sandbox.client.outage(503):
        while trial.goes_on():
            for name in redis.scan_iter("trackrelay:breaker*"):
                redis.delete(name)
            trial.injected += 1
            trial.pause(2.0, 6.0)
