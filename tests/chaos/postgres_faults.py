"""Postgres: restarted, killed, away, cut off during a commit, locked, out of connections."""

from __future__ import annotations

import time
from typing import Literal

import psycopg

from . import api_faults
from .plans import StackPlan, WorkerPlan
from .scenario import Trial, scenario

PROXIED = StackPlan(postgres_proxy=True)


# -- single faults


def restart(trial: Trial) -> None:
    """An orderly restart."""
    trial.stack.postgres.restart()


def kill(trial: Trial) -> None:
    """kill -9, recovery from the log, back."""
    trial.stack.postgres.kill()
    trial.stack.postgres.start()


def freeze(trial: Trial) -> None:
    """Stop Postgres with SIGSTOP, perhaps for longer than a lease: connections stay open."""
    trial.stack.postgres.pause()
    time.sleep(trial.chance.choice((3.0, 9.0)))
    trial.stack.postgres.resume()


def cut(trial: Trial) -> None:
    """Cut some of the connections."""
    assert trial.stack.postgres_proxy
    trial.stack.postgres_proxy.cut(trial.chance.uniform(0.2, 1.0), trial.chance)


def lose_commits(trial: Trial, seconds: float) -> int:
    """Break connections at COMMIT for some seconds; returns how many."""
    proxy, broken = trial.stack.postgres_proxy, 0
    assert proxy

    def listen(data: bytes) -> Literal["pass", "cut before", "cut after"]:
        nonlocal broken
        if b"COMMIT" not in data or trial.chance.random() > 0.4:
            return "pass"
        broken += 1
        return trial.chance.choice(("cut before", "cut after"))

    proxy.listener = listen
    time.sleep(seconds)
    proxy.listener = None
    return broken


def lock(trial: Trial) -> None:
    """Hold a lock that delivery needs, as a manual migration or a forgotten session does."""
    statement = trial.chance.choice(
        (
            "LOCK TABLE trackrelay_ledger IN ACCESS EXCLUSIVE MODE",
            "LOCK TABLE trackrelay_backlog IN ACCESS EXCLUSIVE MODE",
            "LOCK TABLE trackrelay_dead_letters IN SHARE MODE",
            "SELECT 1 FROM trackrelay_shards FOR UPDATE",
        )
    )
    with trial.stack.connect() as connection:
        connection.execute(statement)
        time.sleep(trial.chance.choice((1.0, 4.0, 12.0)))


# -- scenarios


@scenario("postgres-restart", "restart")
def _restart(trial: Trial) -> None:
    trial.repeat(restart, 2.0, 5.0)


@scenario("postgres-kill", "kill -9 of the server and all its processes")
def _kill(trial: Trial) -> None:
    trial.repeat(kill, 2.0, 5.0)


@scenario("postgres-away", "thirty seconds away", seconds=30.0)
def _away(trial: Trial) -> None:
    trial.stack.postgres.stop()
    trial.injected += 1
    trial.pause(1e9)
    trial.stack.postgres.start()


@scenario("postgres-freeze", "SIGSTOP for seconds, then SIGCONT", seconds=24.0)
def _freeze(trial: Trial) -> None:
    trial.repeat(freeze, 2.0, 4.0)


@scenario("postgres-cut", "connections cut at random", stack=PROXIED)
def _cut(trial: Trial) -> None:
    trial.repeat(cut, 0.1, 1.5)


@scenario(
    "postgres-commit-lost",
    "the connection breaks at COMMIT, before or after it happened",
    stack=PROXIED,
)
def _commit_lost(trial: Trial) -> None:
    trial.injected += lose_commits(trial, trial.seconds_left())


@scenario(
    "postgres-locks",
    "tables and rows locked by somebody else, for up to twelve seconds",
    seconds=24.0,
)
def _locks(trial: Trial) -> None:
    trial.repeat(lock, 0.5, 2.0)


@scenario("postgres-long-lock", "the ledger locked for a minute", seconds=60.0, bound_s=90.0)
def _long_lock(trial: Trial) -> None:
    with trial.stack.connect() as connection:
        connection.execute("LOCK TABLE trackrelay_ledger IN ACCESS EXCLUSIVE MODE")
        trial.injected += 1
        trial.pause(1e9)


@scenario(
    "postgres-old-snapshot",
    "an old snapshot held open while the backlog fills and empties",
    seconds=20.0,
    ambiguous=False,
)
def _old_snapshot(trial: Trial) -> None:
    with trial.stack.connect() as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT count(*) FROM trackrelay_backlog")
        trial.injected += 1
        while trial.goes_on():
            api_faults.short_outage(trial)
            trial.pause(2.0, 4.0)


@scenario(
    "postgres-connections-spent",
    "somebody else takes every connection Postgres has",
    stack=StackPlan(postgres={"max_connections": "40", "superuser_reserved_connections": "0"}),
    seconds=20.0,
)
def _connections_spent(trial: Trial) -> None:
    while trial.goes_on():
        taken = []
        until = time.monotonic() + trial.chance.uniform(3.0, 8.0)
        trial.injected += 1
        while time.monotonic() < until:
            try:
                taken.append(trial.stack.connect())
            except psycopg.OperationalError:
                time.sleep(0.05)
        for connection in taken:
            connection.close()
        trial.pause(1.0, 3.0)


@scenario(
    "postgres-pool-spent",
    "a locked table while more shards than a worker has connections want to be delivered",
    stack=StackPlan(workers=(WorkerPlan("prefork", 2), WorkerPlan("threads", 48)), shards=48),
    seconds=24.0,
)
def _pool_spent(trial: Trial) -> None:
    def lock_ledger(trial: Trial) -> None:
        with trial.stack.connect() as connection:
            connection.execute("LOCK TABLE trackrelay_ledger IN ACCESS EXCLUSIVE MODE")
            time.sleep(trial.chance.uniform(5.0, 12.0))

    trial.repeat(lock_ledger, 1.0, 3.0)
