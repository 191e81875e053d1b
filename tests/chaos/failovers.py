"""Failovers after which the old server lives on, and back.

A Redis primary becomes a replica; a Postgres becomes read-only.
"""

from __future__ import annotations

import time

import psycopg
import redis

from trackrelay.worker.devstack.servers import ValkeyProcess

from .plans import StackPlan
from .scenario import Trial, scenario

SYNC_S = 60.0
#: What the proxy was sending when it was stopped has arrived by then, also on a busy machine.
SETTLE_S = 1.0


@scenario(
    "redis-demoted",
    "the Redis primary becomes a replica that lives on and answers READONLY, "
    "its name leads to the other; and back",
    stack=StackPlan(redis_proxy=True),
    seconds=30.0,
    bound_s=90.0,
)
def _demoted(trial: Trial) -> None:
    stack, proxy = trial.stack, trial.stack.redis_proxy
    assert proxy
    other = ValkeyProcess(config=dict(stack.plan.redis)).start()
    stack.others.append(other)
    primary, replica = stack.valkey, other
    clients = {
        server.port: redis.Redis.from_url(server.url, socket_timeout=30)
        for server in (primary, replica)
    }
    _follow(clients, replica, primary)
    while trial.goes_on():
        _wait_in_step(clients, primary, replica)
        # Nobody writes while the replica catches up: what a failover itself loses is not tested
        # here.
        proxy.stall()
        time.sleep(SETTLE_S)
        _catch_up(clients[primary.port])
        clients[replica.port].replicaof("NO", "ONE")
        proxy._target = replica.port
        _follow(clients, primary, replica)
        stack.redis = clients[replica.port]
        proxy.go_on()
        primary, replica = replica, primary
        trial.injected += 1
        trial.pause(6.0, 10.0)


def _catch_up(primary: redis.Redis) -> None:
    # WAIT is for what its own connection wrote, and so for everything before it.
    with primary.pipeline(transaction=False) as pipeline:
        pipeline.set("somebody-elses", time.time()).wait(1, int(SYNC_S * 1000))
        if pipeline.execute()[1] != 1:
            raise TimeoutError(f"the replica was not in step after {SYNC_S:g} s")


def _follow(clients: dict[int, redis.Redis], server: ValkeyProcess, primary: ValkeyProcess) -> None:
    clients[server.port].replicaof("127.0.0.1", str(primary.port))


def _wait_in_step(
    clients: dict[int, redis.Redis], primary: ValkeyProcess, replica: ValkeyProcess
) -> None:
    deadline = time.monotonic() + SYNC_S
    while clients[replica.port].info("replication").get("master_link_status") != "up":
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"the replica was not in step with {primary.port} after {SYNC_S:g} s"
            )
        time.sleep(0.05)


@scenario(
    "postgres-read-only",
    "new sessions of Postgres are read-only for seconds, as on a node that was demoted, "
    "and live on afterwards",
    seconds=30.0,
    bound_s=90.0,
)
def _read_only(trial: Trial) -> None:
    # This session was there before, and stays one that may write.
    with psycopg.connect(trial.stack.postgres.url, autocommit=True) as admin:
        while trial.goes_on():
            admin.execute("ALTER DATABASE postgres SET default_transaction_read_only = on")
            _end_sessions(admin)
            trial.injected += 1
            time.sleep(trial.chance.uniform(3.0, 6.0))
            admin.execute("ALTER DATABASE postgres RESET default_transaction_read_only")
            trial.pause(4.0, 8.0)


def _end_sessions(admin: psycopg.Connection[tuple[object, ...]]) -> None:
    admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND backend_type = 'client backend'"
    )
