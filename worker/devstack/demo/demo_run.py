"""``trackrelay demo``: the scenario on a temporary stack, and its summary."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from trackrelay.worker.cli.common.command_errors import CommandError
from trackrelay.worker.cli.common.command_stores import open_stores
from trackrelay.worker.cli.common.output import print_json, stderr, stdout
from trackrelay.worker.devstack.servers import ServerError
from trackrelay.worker.devstack.stack import Stack, like_ctrl_c, shell_command
from trackrelay.worker.settings import load

from .console import DemoConsole
from .demo_verdict import Verdict
from .scenario import Scenario

#: Faster than the defaults, so that the demo takes seconds.
SETTINGS = {"TRACKRELAY_MERGE_DELAY": "1s", "TRACKRELAY_REQUESTS_PER_SECOND": "300"}
#: How often the children are checked while everything is kept.
POLL_S = 0.5
#: The fields of the summary that are printed in its last line.
SHOWN = (
    "enqueued",
    "delivered",
    "dead_lettered",
    "replayed",
    "lost",
    "duplicates",
    "out_of_order",
)


class LogFiles:
    """A log file for each child."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def of(self, name: str) -> int:
        """Return a file descriptor for the log of a child; the caller closes it."""
        return os.open(self.folder / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def run_demo(*, jobs: int, seconds: float, as_document: bool, keep: bool = False) -> None:
    """Run the demo; exit with status 1 if a job was lost, sent twice or out of order.

    Args:
        jobs: about how many jobs to send.
        seconds: how long to send them.
        as_document: whether to print a JSON document.
        keep: whether to leave everything running, with a console, until Ctrl-C.
    """
    began = time.monotonic()
    console = stderr() if as_document else stdout()
    demo_console = DemoConsole(console)
    with _logs() as folder, like_ctrl_c():
        try:
            demo_console.step(
                "a small shop, a stand-in for Customer.io, and an outage; everything runs on this "
                "machine, in temporary folders"
            )
            with Stack(
                None, LogFiles(folder), settings=SETTINGS, report=demo_console.step
            ) as stack:
                scenario, verdict = _run(demo_console, stack, jobs, seconds)
                found = summary(scenario, verdict, time.monotonic() - began)
                if keep:
                    _print(console, found, verdict)
                    _keep(console, stack)
                else:
                    demo_console.step(
                        "compared with what arrived at the stand-in; stopping the servers"
                    )
        except ServerError as error:
            raise CommandError(str(error)) from None
        if as_document:
            print_json(found)
        elif not keep:
            _print(console, found, verdict)
            _next(console, verdict)
        if not verdict.is_good:
            raise click.exceptions.Exit(1)


@contextmanager
def _logs() -> Iterator[Path]:
    """Yield a folder for the logs of worker and beat, which stays if the demo fails."""
    folder = Path(tempfile.mkdtemp(prefix="trackrelay-demo-"))
    try:
        yield folder
    except Exception:
        stderr().print(f"The logs of worker and beat are in {folder}")
        raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


def _run(console: DemoConsole, stack: Stack, jobs: int, seconds: float) -> tuple[Scenario, Verdict]:
    with open_stores(load(stack.settings)) as stores:
        scenario = Scenario(stores, stack.sandbox.client, console, jobs=jobs, seconds=seconds)
        with scenario.monitor, console.live_counts(scenario.monitor):
            verdict = scenario.run()
    return scenario, verdict


def _keep(console: Console, stack: Stack) -> None:
    """Leave everything running until Ctrl-C."""
    link = stack.start_console()
    console.print("\nEverything keeps running. What arrived at the stand-in:")
    console.print(f"{stack.sandbox.url}/_sandbox/", style="bold", soft_wrap=True)
    console.print("What is delivered, what waits and what failed:")
    console.print(link, style="bold", soft_wrap=True, highlight=False)
    console.print("\nCtrl-C stops and deletes everything.")
    try:
        while (dead := stack.dead()) is None:
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        console.print("\nStopping.")
        return
    raise ServerError(f"{dead} ended unexpectedly")


def summary(scenario: Scenario, verdict: Verdict, seconds: float) -> dict[str, Any]:
    """Return the document that ``--json`` prints."""
    return {
        "enqueued": scenario.enqueued,
        "delivered": verdict.delivered,
        "dead_lettered": scenario.tallies.dead_lettered,
        "replayed": scenario.tallies.replayed,
        "lost": len(verdict.lost),
        "duplicates": len(verdict.duplicates),
        "out_of_order": len(verdict.out_of_order),
        "unexpected": len(verdict.unexpected),
        "refused_at_the_call": scenario.tallies.refused_at_the_call,
        "outage_seconds": round(scenario.tallies.outage_s, 1),
        "seconds": round(seconds, 1),
    }


def _print(console: Console, found: dict[str, Any], verdict: Verdict) -> None:
    for name, wrong in (
        ("lost", verdict.lost),
        ("out of order", verdict.out_of_order),
        ("twice", verdict.duplicates),
        ("unexpected", verdict.unexpected),
    ):
        for each in wrong[:5]:
            console.print(f"{name}: {each}", style="red")
    console.print()
    if verdict.is_good:
        console.print(
            "Every accepted job arrived exactly once, and in order for each key.",
            style="bold green",
        )
    else:
        console.print("Not every accepted job arrived exactly once and in order.", style="bold red")
    console.print(
        " ".join(f"{name}={found[name]}" for name in SHOWN) + f" in {found['seconds']} s",
        soft_wrap=True,
    )


def _next(console: Console, verdict: Verdict) -> None:
    if verdict.is_good:
        command = shell_command("trackrelay")
        console.print("\nNext, run these servers for your own application, until Ctrl-C:\n")
        console.print(f"  {command} dev", style="cyan", highlight=False, soft_wrap=True)
