"""Workers: killed, stopped and restarted, at random moments and at every step of the loop."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import psutil

from tests.support.worker_process import WorkerProcess

from .plans import BOTH_POOLS, StackPlan, WorkerPlan
from .scenario import Trial, scenario

#: The steps of the loop, in order, with the names that the worker gives them
#: (`worker/failpoints.py`).
STEPS = (
    "after_read",
    "before_send",
    "after_send",
    "before_settle",
    "before_commit",
    "after_settle",
    "after_acknowledge",
)
#: Longer than any lease: six seconds, or a request's timeout (three here) and two more.
BEYOND_LEASE_S = 8.0


# -- single faults


def kill_a_child(trial: Trial) -> None:
    """kill -9 of one pool process."""
    children = [
        child
        for worker in trial.stack.fleet.workers
        for child in trial.stack.fleet.children(worker)
    ]
    if children:
        _signal(trial.chance.choice(children), signal.SIGKILL)


def kill_a_parent(trial: Trial) -> None:
    """kill -9 of one worker's main process; its pool processes are left alone with what they do."""
    trial.stack.fleet.kill_parent(_any_worker(trial))


def kill_all(trial: Trial) -> None:
    """Kill everything with SIGKILL, as when a machine is lost, once all are up again."""
    trial.stack.fleet.wait_ready()
    for worker in trial.stack.fleet.workers:
        worker.kill()


def terminate_a_worker(trial: Trial) -> None:
    """SIGTERM: a warm shutdown, as in every deployment."""
    worker = _any_worker(trial)
    if worker.running:
        worker.term()


def freeze_a_worker(trial: Trial) -> None:
    """SIGSTOP beyond the lease, then SIGCONT: another worker holds its shards by then."""
    worker = _any_worker(trial)
    if not worker.running:
        return
    worker.pause()
    time.sleep(BEYOND_LEASE_S)
    worker.resume()


def _any_worker(trial: Trial) -> WorkerProcess:
    return trial.chance.choice(trial.stack.fleet.workers)


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


# -- at random moments


@scenario("worker-kill-child", "kill -9 of a pool process, again and again")
def _kill_children(trial: Trial) -> None:
    trial.repeat(kill_a_child, 0.5, 2.5)


@scenario("worker-kill-parent", "kill -9 of a worker's main process, its pool left behind")
def _kill_parents(trial: Trial) -> None:
    trial.repeat(kill_a_parent, 2.0, 5.0)


@scenario("worker-kill-all", "kill -9 of all workers at once, pools and all")
def _kill_everybody(trial: Trial) -> None:
    trial.repeat(kill_all, 0.5, 3.0)


@scenario("worker-terminate", "SIGTERM to one worker after the other under load")
def _terminate(trial: Trial) -> None:
    trial.repeat(terminate_a_worker, 2.0, 4.0)


@scenario(
    "worker-freeze", "SIGSTOP of a whole worker beyond its leases, then SIGCONT", seconds=20.0
)
def _freeze(trial: Trial) -> None:
    trial.repeat(freeze_a_worker, 0.5, 2.0)


# -- at every step of the loop


def _doomed(step: str, action: str) -> tuple[WorkerPlan, ...]:
    # Each worker gets a little further than its first read, of what the one before left pending.
    return (
        WorkerPlan("prefork", 2, failpoint=f"{step}={action}@3"),
        WorkerPlan("threads", 4, failpoint=f"{step}={action}@5"),
    )


def watch_deaths(trial: Trial) -> None:
    """Count the processes that die at failpoints, then replace them by workers without any."""
    alive: set[int] = set()
    while trial.goes_on():
        now = {process.pid for process in trial.stack.fleet.processes()}
        trial.injected += len(alive - now)
        alive = now
        trial.pause(0.1)
    trial.fault_is_over()
    trial.stack.fleet.replace_all(BOTH_POOLS, kill=True)


def wake_the_stopped(trial: Trial) -> None:
    """Continue the worker that stopped at a failpoint, once another one holds its shards."""
    stopped: dict[int, float] = {}
    while trial.goes_on() or stopped:
        for process in trial.stack.fleet.processes():
            if _is_stopped(process):
                stopped.setdefault(process.pid, time.monotonic())
        for pid, since in list(stopped.items()):
            if time.monotonic() - since > BEYOND_LEASE_S:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
                trial.injected += 1
                del stopped[pid]
        time.sleep(0.1)


def _is_stopped(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_STOPPED
    except psutil.NoSuchProcess:
        return False


def _add_steps() -> None:
    for step in STEPS:
        words = step.replace("_", " ")
        name = step.replace("_", "-")
        scenario(
            f"worker-kill-{name}",
            f"kill -9 {words}, in every worker and in those that replace it",
            stack=StackPlan(workers=_doomed(step, "kill")),
            seconds=15.0,
        )(watch_deaths)
        scenario(
            f"worker-stop-{name}",
            f"SIGSTOP {words} beyond the lease, then SIGCONT: two holders at once",
            stack=StackPlan(workers=(*_doomed(step, "stop"), WorkerPlan("threads", 4))),
            seconds=15.0,
        )(wake_the_stopped)


_add_steps()
