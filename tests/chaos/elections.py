"""Machines are lost: Sentinels promote a replica of Redis, a standby of Postgres takes over."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence

import psycopg

from tests.support.replicas import StandbyProcess
from tests.support.waiting import wait_until
from trackrelay.worker.devstack.servers import PostgresProcess, ValkeyProcess

from . import stores
from .calls import Call
from .operation_faults import COMMAND_TIMEOUT_S, begin
from .plans import StackPlan, TrafficPlan
from .scenario import Trial, scenario
from .stores import Stores

SENTINELS = StackPlan(sentinels=True)
#: A primary that is cut off from its replica accepts nothing, two seconds later.
GUARDED = StackPlan(
    sentinels=True, redis={"min-replicas-to-write": "1", "min-replicas-max-lag": "2"}
)
#: An election takes seconds: calls wait for it.
PATIENT = TrafficPlan(enqueue_timeout=5.0)
CONFIRMED = TrafficPlan(enqueue_timeout=5.0, wait_replicas=1)
#: How long the replica was cut off, or the standby stopped, when the other server died.
BEHIND_S = 3.0


def kill_primary(trial: Trial) -> None:
    """Kill the primary. Sentinels promote the replica, and the old one comes back as a replica."""
    group = trial.stack.group
    assert group
    group.wait_for_replicas()
    dead = group.kill_primary()
    time.sleep(trial.chance.uniform(0.5, 2.0))
    dead.start()
    group.wait_for_replicas()


@scenario(
    "sentinel-planned",
    "three Sentinels are told to promote the replica, while everything runs; and back",
    stack=SENTINELS,
    traffic=CONFIRMED,
    seconds=40.0,
    bound_s=90.0,
)
def _planned(trial: Trial) -> None:
    group = trial.stack.group
    assert group

    def fail_over(trial: Trial) -> None:
        group.wait_for_replicas()
        group.fail_over()

    trial.repeat(fail_over, 4.0, 8.0)


@scenario(
    "sentinel-kill",
    "kill -9 of the primary, again and again: Sentinels elect the replica; calls wait for one",
    stack=SENTINELS,
    traffic=CONFIRMED,
    seconds=60.0,
    bound_s=90.0,
)
def _kill(trial: Trial) -> None:
    trial.repeat(kill_primary, 1.0, 3.0)


@scenario(
    "sentinel-kill-unconfirmed",
    "kill -9 of the primary while its replica is seconds behind, and no call waits for it: "
    "the loss is reported",
    stack=SENTINELS,
    traffic=TrafficPlan(mix="one key", enqueue_timeout=5.0),
    seconds=30.0,
    bound_s=90.0,
    note="what the replica had not received is lost, and counts as reported here; with "
    "TRACKRELAY_REDIS_WAIT_REPLICAS=1, or the outbox, nothing is.",
)
def _kill_unconfirmed(trial: Trial) -> None:
    group = trial.stack.group
    assert group
    trial.pause(4.0)
    for worker in trial.stack.fleet.workers:
        worker.pause()
    primary = group.primary()
    cut_replica_off(trial)
    time.sleep(BEHIND_S)
    trial.wiped_at = time.time()
    primary.kill()
    trial.injected += 1
    for worker in trial.stack.fleet.workers:
        worker.resume()
    group.wait_for_another(primary)
    trial.pause(1e9)
    trial.checks.append(lambda found, calls: losses_are_told(trial, found, calls, "rolled_back"))


@scenario(
    "outbox-sentinel-kill",
    "kill -9 of the primary while its replica is seconds behind, jobs through the outbox: "
    "rows are sent again",
    stack=SENTINELS,
    traffic=TrafficPlan(outbox="same"),
    seconds=30.0,
    bound_s=90.0,
)
def _outbox_kill(trial: Trial) -> None:
    group = trial.stack.group
    assert group

    def kill_behind(trial: Trial) -> None:
        group.wait_for_replicas()
        cut_replica_off(trial)
        time.sleep(BEHIND_S)
        dead = group.kill_primary()
        dead.start()
        group.wait_for_replicas()

    trial.repeat(kill_behind, 1.0, 3.0)


@scenario(
    "sentinel-frozen",
    "SIGSTOP of the primary until its replica is elected, then SIGCONT: it accepts no more",
    stack=GUARDED,
    traffic=PATIENT,
    seconds=30.0,
    bound_s=90.0,
)
def _frozen(trial: Trial) -> None:
    group = trial.stack.group
    assert group

    def freeze(trial: Trial) -> None:
        group.wait_for_replicas()
        primary = group.primary()
        primary.pause()
        group.wait_for_another(primary)
        primary.resume()
        group.wait_for_replicas()

    trial.repeat(freeze, 2.0, 4.0)


@scenario(
    "sentinel-partition",
    "primary and replica do not reach each other: the primary refuses what it cannot replicate",
    stack=GUARDED,
    traffic=PATIENT,
    seconds=30.0,
    bound_s=90.0,
)
def _partition(trial: Trial) -> None:
    group = trial.stack.group
    assert group

    def part(trial: Trial) -> None:
        group.wait_for_replicas()
        primary = group.primary()
        replica = cut_replica_off(trial)
        time.sleep(trial.chance.uniform(3.0, 6.0))
        with group.client(replica) as client:
            client.replicaof("127.0.0.1", str(primary.port))
        group.wait_for_replicas()

    trial.repeat(part, 2.0, 4.0)


def cut_replica_off(trial: Trial) -> ValkeyProcess:
    """Let the replica follow nobody: it gets nothing more, and Sentinels see it alive."""
    group = trial.stack.group
    assert group
    primary = group.primary()
    replica = next(server for server in group.servers if server is not primary)
    with group.client(replica) as client:
        client.replicaof("127.0.0.1", "1")
    return replica


def promote(trial: Trial, *, behind_s: float = 0.0) -> None:
    """Kill Postgres, promote its standby, and start a new standby where the dead server was.

    Args:
        behind_s: for how long the standby has received nothing.
    """
    stack = trial.stack
    dead, standby = stack.postgres, stack.standby
    assert standby
    if behind_s:
        _set(standby, "primary_conninfo", "")
        time.sleep(behind_s)
        trial.wiped_at = time.time()
    dead.kill()
    standby.promote()
    stack.others.append(dead)
    stack.postgres = standby
    stack.standby = StandbyProcess(standby, port=dead.port).start()
    stack.standby.wait_in_step()


def _set(server: PostgresProcess, name: str, value: str) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        connection.execute("SELECT pg_reload_conf()")


@scenario(
    "postgres-standby",
    "kill -9 of Postgres, its synchronous standby takes over, and gets a new standby; repeated",
    stack=StackPlan(standby="synchronous"),
    seconds=40.0,
    bound_s=90.0,
)
def _standby(trial: Trial) -> None:
    assert trial.stack.standby
    trial.stack.standby.wait_in_step()

    def fail_over(trial: Trial) -> None:
        # A setting of each server: the new primary begins without it.
        _set(trial.stack.postgres, "synchronous_standby_names", "*")
        trial.pause(2.0, 4.0)
        promote(trial)

    trial.repeat(fail_over, 1.0, 2.0)


@scenario(
    "postgres-standby-behind",
    "kill -9 of Postgres in an outage of the API, its asynchronous standby is seconds behind: "
    "the loss is reported",
    stack=StackPlan(standby="asynchronous"),
    traffic=TrafficPlan(mix="one key"),
    seconds=30.0,
    bound_s=120.0,
    note="commits that the standby had not received are lost, and count as reported; a synchronous "
    "standby loses none.",
)
def _standby_behind(trial: Trial) -> None:
    assert trial.stack.standby
    trial.stack.standby.wait_in_step()
    trial.pause(4.0)
    with trial.stack.sandbox.client.outage(503):
        time.sleep(1.0)
        promote(trial, behind_s=BEHIND_S)
    trial.injected += 1
    trial.pause(1e9)
    trial.checks.append(lambda found, calls: losses_are_told(trial, found, calls, "commits_lost"))


def losses_are_told(trial: Trial, found: Stores, calls: Sequence[Call], kind: str) -> list[str]:
    """Problems, if jobs are lost and the incidents do not count them."""
    arrived = {effect["id"] for effect in stores.arrivals(trial.stack.sandbox.client)}
    known = arrived | found.ledger.keys() | found.dead.keys() | found.backlog.keys() | found.stream
    gone = {call.id for call in calls if call.told == "accepted" and call.id not in known}
    if not gone:
        return ["nothing was lost, so nothing could be told"]
    try:
        incidents = wait_until(lambda: _incidents(trial, kind), 20, "the incident")
    except AssertionError as error:
        return [f"{len(gone):,} jobs are lost: {error}"]
    least, most = (sum(each[bound] or 0 for each in incidents) for bound in ("at_least", "at_most"))
    if least <= len(gone) <= most:
        return []
    return [f"{len(gone):,} jobs are lost, and the incidents say {least:,} to {most:,}"]


def _incidents(trial: Trial, kind: str) -> list[dict[str, int]]:
    command = begin(trial, "incidents", "--json")
    try:
        out, _ = command.communicate(timeout=COMMAND_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        command.kill()
        return []
    return [each for each in json.loads(out) if each["kind"] == kind]
