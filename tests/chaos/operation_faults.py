"""What people do to a running fleet."""

from __future__ import annotations

import subprocess
import sys
import time

from tests.support.worker_process import ROOT, clean_environment

from . import api_faults
from .plans import StackPlan
from .scenario import Trial, scenario

COMMAND_TIMEOUT_S = 120.0


class CommandFailed(Exception):
    """The command line said no."""


def trackrelay(trial: Trial, *arguments: str) -> str:
    """Run the command line as an operator would; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "worker.ops.cli", *arguments],
        env=clean_environment() | trial.stack.settings,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise CommandFailed(f"trackrelay {' '.join(arguments)}: exit {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stdout


@scenario("operation-pause", "pause and resume", ambiguous=False, seconds=20.0)
def _pause(trial: Trial) -> None:
    while trial.goes_on():
        trackrelay(trial, "pause")
        trial.injected += 1
        trial.pause(1.0, 4.0)
        trackrelay(trial, "resume")
        trial.pause(1.0, 3.0)


@scenario("operation-reshard", "the number of shards changed under load", ambiguous=False, seconds=30.0, bound_s=90.0)
def _reshard(trial: Trial) -> None:
    while trial.goes_on():
        trackrelay(trial, "reshard", str(trial.chance.choice((1, 3, 6, 8))), "--yes")
        trial.injected += 1
        trial.pause(2.0, 5.0)


@scenario("operation-two-beats", "two beats", stack=StackPlan(beats=2), ambiguous=False)
def _two_beats(trial: Trial) -> None:
    trial.injected += 1
    trial.repeat(api_faults.short_outage, 1.0, 2.0)


@scenario("operation-no-beat", "no beat, with retries due", stack=StackPlan(beats=0), ambiguous=False)
def _no_beat(trial: Trial) -> None:
    trial.injected += 1
    trial.repeat(api_faults.short_outage, 1.0, 2.0)


@scenario("operation-rolling-restart", "every worker restarted in turn, warmly", ambiguous=False, seconds=25.0)
def _rolling_restart(trial: Trial) -> None:
    fleet = trial.stack.fleet
    while trial.goes_on():
        for worker in list(fleet.workers):
            worker.term()
            trial.injected += 1
            while worker.running:
                time.sleep(0.1)
            time.sleep(1.0)
            fleet.wait_ready()
