"""Redis: restarted, killed, away, cut off, slow, full. `outbox_faults.py` has `FLUSHALL`."""

from __future__ import annotations

import time
from collections.abc import Sequence

import redis

from .calls import Call
from .plans import StackPlan, TrafficPlan
from .scenario import Trial, scenario
from .stores import Stores

PROXIED = StackPlan(redis_proxy=True)
#: Memory for Valkey where it is to run out: for itself, its clients, and a few thousand jobs.
SMALL = "16mb"


# -- single faults


def restart(trial: Trial) -> None:
    """An orderly restart on the same append-only file."""
    trial.stack.valkey.restart()


def kill(trial: Trial) -> None:
    """kill -9, and back on the same append-only file."""
    trial.stack.valkey.kill()
    trial.stack.valkey.start()


def freeze(trial: Trial) -> None:
    """Stop Redis with SIGSTOP for longer than a lease: connections stay open, without answers."""
    trial.stack.valkey.pause()
    time.sleep(8.0)
    trial.stack.valkey.resume()


def cut(trial: Trial) -> None:
    """Cut some of the connections, in the middle of whatever they carry."""
    assert trial.stack.redis_proxy
    trial.stack.redis_proxy.cut(trial.chance.uniform(0.2, 1.0), trial.chance)


def stall(trial: Trial) -> None:
    """Let nothing through for a while, then everything at once."""
    assert trial.stack.redis_proxy
    trial.stack.redis_proxy.stall()
    time.sleep(trial.chance.choice((0.3, 1.5, 3.0, 12.0)))
    if trial.chance.random() < 0.5:
        trial.stack.redis_proxy.cut()
    trial.stack.redis_proxy.go_on()


# -- scenarios


@scenario("redis-restart", "restart on an append-only file")
def _restart(trial: Trial) -> None:
    trial.repeat(restart, 2.0, 5.0)


@scenario(
    "redis-kill",
    "kill -9, and back on its append-only file",
    stack=StackPlan(redis={"appendfsync": "always"}),
    note="with appendfsync always. With everysec, Redis may forget up to two seconds of what it "
    "acknowledged when the "
    "machine is lost, or when it is killed while its disk lags behind; the outbox closes that gap.",
)
def _kill(trial: Trial) -> None:
    trial.repeat(kill, 2.0, 5.0)


@scenario("redis-ten-restarts", "ten restarts in a row")
def _ten_restarts(trial: Trial) -> None:
    for _ in range(10):
        restart(trial)
        trial.injected += 1
        time.sleep(trial.chance.uniform(0.2, 1.5))


@scenario("redis-away", "thirty seconds away", seconds=30.0)
def _away(trial: Trial) -> None:
    trial.stack.valkey.stop()
    trial.injected += 1
    trial.pause(1e9)
    trial.stack.valkey.start()


@scenario("redis-freeze", "SIGSTOP for longer than a lease, then SIGCONT", seconds=20.0)
def _freeze(trial: Trial) -> None:
    trial.repeat(freeze, 2.0, 4.0)


@scenario("redis-cut", "connections cut at random", stack=PROXIED)
def _cut(trial: Trial) -> None:
    trial.repeat(cut, 0.1, 1.0)


@scenario("redis-stall", "connections that stall, some cut afterwards", stack=PROXIED, seconds=25.0)
def _stall(trial: Trial) -> None:
    trial.repeat(stall, 0.5, 3.0)


@scenario("redis-slow", "every packet late by up to 0.3 s", stack=PROXIED, ambiguous=False)
def _slow(trial: Trial) -> None:
    assert trial.stack.redis_proxy

    def late(trial: Trial) -> None:
        assert trial.stack.redis_proxy
        trial.stack.redis_proxy.delay_s = trial.chance.choice((0.02, 0.1, 0.3))

    trial.repeat(late, 1.0, 3.0)


@scenario(
    "redis-full-of-jobs",
    "Postgres away until callers get QueueFullError, then drained",
    stack=StackPlan(redis={"maxmemory": SMALL}),
    traffic=TrafficPlan(mix="sizable", rate=500.0),
    jobs=12_000,
    seconds=20.0,
)
def _full_of_jobs(trial: Trial) -> None:
    trial.stack.postgres.stop()
    trial.injected += 1
    trial.pause(1e9)
    trial.stack.postgres.start()
    trial.checks.append(_somebody_was_told)


@scenario(
    "redis-full-of-others",
    "a neighbour fills Redis up to maxmemory, and leaves again",
    stack=StackPlan(redis={"maxmemory": SMALL}),
    seconds=20.0,
)
def _full_of_others(trial: Trial) -> None:
    while trial.goes_on():
        _fill(trial.stack.redis)
        trial.injected += 1
        trial.pause(4.0, 8.0)
        trial.stack.redis.delete("neighbour")
        trial.pause(1.0, 3.0)


def _somebody_was_told(_: Stores, calls: Sequence[Call]) -> list[str]:
    told = any(call.error and call.error.startswith("QueueFullError") for call in calls)
    return [] if told else ["no caller was told that the queue is full"]


def _fill(client: redis.Redis) -> None:
    size = 1_000_000
    while size > 100:
        try:
            client.rpush("neighbour", b"x" * size)
        except redis.ResponseError:
            size //= 2
