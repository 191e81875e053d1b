"""The outbox: jobs that commit with the application's own work survive every fault on their way."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import random
import time
from concurrent.futures import ThreadPoolExecutor

import redis

from trackrelay import Producer
from trackrelay import operations as make
from trackrelay.outbox.outbox_fallback import IDLE_POLL_S
from trackrelay.worker.relay.relay_queue import LEASE_MS

from . import marks, postgres_faults, redis_faults, worker_faults
from .caller import Caller
from .calls import Journal
from .job_takers import IntoQueue
from .plans import BOTH_POOLS, StackPlan, TrafficPlan, WorkerPlan
from .scenario import Trial, scenario
from .workload import Planned

#: People for whom two producers call, in turn.
SHARED_PEOPLE = 8
SAME = TrafficPlan(outbox="same")
OTHER = TrafficPlan(outbox="other")


def wipe(trial: Trial) -> None:
    """FLUSHALL: everything Redis knows is gone. Not while Redis itself is away."""
    with contextlib.suppress(redis.RedisError):
        trial.stack.redis.flushall()


@scenario(
    "outbox-flushall",
    "FLUSHALL in the middle of twenty thousand jobs, again and again",
    traffic=OTHER,
    seconds=25.0,
    jobs=20_000,
    bound_s=120.0,
)
def _flushall(trial: Trial) -> None:
    trial.repeat(wipe, 3.0, 7.0)


@scenario(
    "outbox-flushall-and-kill",
    "FLUSHALL, workers killed, their relays with them",
    traffic=SAME,
    seconds=25.0,
    bound_s=90.0,
)
def _flushall_and_kill(trial: Trial) -> None:
    acts = (
        wipe,
        worker_faults.kill_a_child,
        worker_faults.kill_a_parent,
        worker_faults.kill_a_child,
    )
    trial.repeat(lambda trial: trial.chance.choice(acts)(trial), 1.0, 4.0)


@scenario("outbox-redis-restart", "Redis restarted under the relay", traffic=SAME)
def _redis_restart(trial: Trial) -> None:
    trial.repeat(redis_faults.restart, 1.0, 3.0)


@scenario(
    "outbox-commit-lost",
    "connections break at COMMIT, the application's and ours",
    traffic=OTHER,
    stack=StackPlan(postgres_proxy=True),
)
def _commit_lost(trial: Trial) -> None:
    trial.injected += postgres_faults.lose_commits(trial, trial.seconds_left())


@scenario(
    "outbox-cut",
    "connections to Redis and Postgres cut at random",
    traffic=SAME,
    stack=StackPlan(postgres_proxy=True, redis_proxy=True),
)
def _cut(trial: Trial) -> None:
    trial.repeat(
        lambda trial: trial.chance.choice((redis_faults.cut, postgres_faults.cut))(trial), 0.2, 1.5
    )


@scenario(
    "outbox-fallback",
    "Redis away and back, calls falling back to the outbox meanwhile",
    traffic=TrafficPlan(outbox="other", fallback=True),
    seconds=25.0,
    bound_s=90.0,
)
def _fallback(trial: Trial) -> None:
    def away(trial: Trial) -> None:
        trial.stack.valkey.stop()
        trial.pause(2.0, 5.0)
        trial.stack.valkey.start()

    with ThreadPoolExecutor() as pool:
        sharing = pool.submit(_share_people, trial)
        trial.repeat(away, 1.0, 4.0)
        sharing.result()


def _share_people(trial: Trial) -> None:
    """Let two producers that know nothing of each other call in turn for the same people."""
    journal = Journal(trial.stack.journal("shared"))
    producers = [_with_fallback(trial) for _ in range(2)]
    callers = itertools.cycle(
        [Caller(IntoQueue(each), journal, random.Random(0)) for each in producers]
    )
    for turn in itertools.count():
        if not trial.goes_on():
            break
        caller = next(callers)
        for person in range(SHARED_PEOPLE):
            mark = f"between-{person}-{turn}"
            caller.make(
                Planned(
                    make.track(f"between-{person}", "looked", {"n": mark}), marks.numbered(mark)
                )
            )
        time.sleep(IDLE_POLL_S + 0.1)
    for each in producers:
        each.close()
    journal.close()


def _with_fallback(trial: Trial) -> Producer:
    return Producer(
        redis_url=trial.stack.redis_url,
        on_unavailable="outbox",
        outbox_url=trial.stack.outbox_url,
        source="chaos-shared",
        enqueue_timeout=2.0,
    )


def _doomed(action: str) -> tuple[WorkerPlan, ...]:
    # Rows were appended to the stream, and nothing in the outbox says so yet.
    return tuple(
        dataclasses.replace(plan, failpoint=f"after_relay_append={action}@{nth}")
        for plan, nth in zip(BOTH_POOLS, (2, 3), strict=True)
    )


@scenario(
    "outbox-relay-kill",
    "kill -9 of relays between appending and marking, again and again",
    traffic=OTHER,
    stack=StackPlan(workers=_doomed("kill")),
)
def _relay_kill(trial: Trial) -> None:
    worker_faults.watch_deaths(trial)


def kill_a_relay(trial: Trial) -> None:
    """kill -9 of one `trackrelay relay`, at work or standing by."""
    trial.chance.choice(trial.stack.fleet.relays).kill()


def freeze_a_relay(trial: Trial) -> None:
    """SIGSTOP of one beyond its lease, then SIGCONT: another one relays by then."""
    relay = trial.chance.choice(trial.stack.fleet.relays)
    relay.pause()
    time.sleep(LEASE_MS / 1000 + 2.0)
    relay.resume()


@scenario(
    "outbox-relay-processes",
    "two `trackrelay relay` and workers that do not relay: killed, stopped beyond the lease, "
    "FLUSHALL",
    traffic=OTHER,
    stack=StackPlan(relays=2),
    seconds=25.0,
    bound_s=90.0,
)
def _relay_processes(trial: Trial) -> None:
    acts = itertools.cycle((kill_a_relay, freeze_a_relay, wipe))
    while trial.goes_on():
        next(acts)(trial)
        trial.injected += 1
        trial.pause(1.0, 3.0)


@scenario(
    "outbox-relay-stop",
    "SIGSTOP of relays between appending and marking, SIGCONT when others relay",
    traffic=SAME,
    stack=StackPlan(workers=(*_doomed("stop"), WorkerPlan("threads", 4))),
    seconds=16.0,
)
def _relay_stop(trial: Trial) -> None:
    worker_faults.wake_the_stopped(trial)
