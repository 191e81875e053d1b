"""Changes the number of shards under load, and kills or stops the command at every step."""

from __future__ import annotations

import signal
import subprocess
import time

import psutil

from trackrelay.queue.redis_keys import MOVING

from .operation_faults import COMMAND_TIMEOUT_S, begin, trackrelay
from .scenario import Trial, scenario

#: The steps of the command, in order (see `worker/queue/shard_migration.py`).
STEPS = (
    "reshard_begun",
    "reshard_emptied",
    "reshard_closed",
    "reshard_switched",
    "reshard_laid_out",
)
SIZES = (1, 3, 6, 8)


@scenario(
    "operation-reshard",
    "the number of shards changed under load",
    ambiguous=False,
    seconds=25.0,
    bound_s=90.0,
)
def _reshard(trial: Trial) -> None:
    while trial.goes_on():
        reshard(trial, trial.chance.choice(SIZES))
        trial.injected += 1
        trial.pause(2.0, 5.0)


@scenario(
    "operation-reshard-killed",
    "kill -9 of `reshard` at every step, completed by running it again",
    ambiguous=False,
    seconds=25.0,
    bound_s=90.0,
)
def _killed(trial: Trial) -> None:
    for target, step in enumerate(STEPS, 5):
        command = begin(trial, "reshard", str(target), "--yes", failpoint=f"{step}=kill")
        trial.injected += command.wait(COMMAND_TIMEOUT_S) == -signal.SIGKILL
        trial.fault_is_over()
        trial.pause(1.0, 2.0)
        reshard(trial, target)
    _every_step_was_met(trial)


@scenario(
    "operation-reshard-stopped",
    "`reshard` stopped at every step for longer than it may be, then SIGCONT",
    ambiguous=False,
    seconds=25.0,
    bound_s=90.0,
)
def _stopped(trial: Trial) -> None:
    for target, step in enumerate(STEPS, 5):
        command = begin(trial, "reshard", str(target), "--yes", failpoint=f"{step}=stop")
        trial.injected += _stops(command)
        _expire(trial)
        # Workers claim the shards again, if they may; then the stopped command continues.
        time.sleep(2.0)
        command.send_signal(signal.SIGCONT)
        trial.fault_is_over()
        command.wait(COMMAND_TIMEOUT_S)
        reshard(trial, target)
    _every_step_was_met(trial)


def reshard(trial: Trial, target: int) -> None:
    """Change the number of shards; returns when that is done."""
    trackrelay(trial, "reshard", str(target), "--yes")


def _stops(command: subprocess.Popen[str]) -> bool:
    process = psutil.Process(command.pid)
    until = time.monotonic() + COMMAND_TIMEOUT_S
    while command.poll() is None and time.monotonic() < until:
        if process.status() == psutil.STATUS_STOPPED:
            return True
        time.sleep(0.05)
    return False


def _expire(trial: Trial) -> None:
    # Let the marks of a change expire, in half a minute or a whole one. After the switch they do
    # not expire.
    if trial.stack.redis.get(MOVING) != b"layout":
        trial.stack.redis.delete(MOVING)


def _every_step_was_met(trial: Trial) -> None:
    met = trial.injected
    trial.checks.append(
        lambda *_: [] if met == len(STEPS) else [f"{met} of {len(STEPS)} steps were met"]
    )
