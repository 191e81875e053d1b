"""What people do to a running fleet."""

from __future__ import annotations

import subprocess
import sys

from tests.support.worker_process import ROOT, clean_environment

from . import api_faults
from .plans import StackPlan
from .scenario import Trial, scenario

COMMAND_TIMEOUT_S = 120.0
ATTEMPT_TIMEOUT_S = 20.0
ATTEMPTS = 10


class CommandFailedError(Exception):
    """The command line refused."""


def begin(trial: Trial, *arguments: str, failpoint: str = "") -> subprocess.Popen[str]:
    """Start the command line as an operator would.

    Args:
        failpoint: what its failpoints do (see `worker/failpoints.py`).
    """
    failing = {"TRACKRELAY_FAILPOINT": failpoint} if failpoint else {}
    return subprocess.Popen(
        [sys.executable, "-m", "trackrelay.worker.cli.main", *arguments],
        env=clean_environment() | trial.stack.settings | failing,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def trackrelay(trial: Trial, *arguments: str) -> str:
    """Run the command line as an operator would; returns what it printed."""
    command = begin(trial, *arguments)
    try:
        out, err = command.communicate(timeout=COMMAND_TIMEOUT_S)
    finally:
        command.kill()
    if command.returncode != 0:
        raise CommandFailedError(
            f"trackrelay {' '.join(arguments)}: exit {command.returncode}: {err.strip()[-500:]}"
        )
    return out


def pause_and_resume(trial: Trial) -> None:
    """Run commands as an operator does during an incident, and repeat those that fail."""
    attempt(trial, "pause")
    trial.pause(1.0, 4.0)
    insist(trial, "resume")


def attempt(trial: Trial, *arguments: str) -> bool:
    """Return whether the command succeeds while servers come and go. Kill it if it hangs."""
    command = begin(trial, *arguments)
    try:
        command.communicate(timeout=ATTEMPT_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        command.kill()
        command.communicate()
    return command.returncode == 0


def insist(trial: Trial, *arguments: str) -> None:
    """Run the command line until it succeeds, which it must once the servers are there."""
    for _ in range(ATTEMPTS):
        if attempt(trial, *arguments):
            return
    trackrelay(trial, *arguments)


@scenario("operation-pause", "pause and resume", ambiguous=False, seconds=20.0)
def _pause(trial: Trial) -> None:
    while trial.goes_on():
        trackrelay(trial, "pause")
        trial.injected += 1
        trial.pause(1.0, 4.0)
        trackrelay(trial, "resume")
        trial.pause(1.0, 3.0)


@scenario("operation-two-beats", "two beats", stack=StackPlan(beats=2), ambiguous=False)
def _two_beats(trial: Trial) -> None:
    trial.injected += 1
    trial.repeat(api_faults.short_outage, 1.0, 2.0)


@scenario(
    "operation-no-beat", "no beat, with retries due", stack=StackPlan(beats=0), ambiguous=False
)
def _no_beat(trial: Trial) -> None:
    trial.injected += 1
    trial.repeat(api_faults.short_outage, 1.0, 2.0)
