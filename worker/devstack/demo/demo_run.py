"""The demo as a whole: the stack around the play, and the summary after it."""

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
from trackrelay.worker.devstack.stack import Stack
from trackrelay.worker.devstack.stop_signals import like_ctrl_c
from trackrelay.worker.settings import load

from .console import Terminal
from .demo_verdict import Verdict
from .scenario import Play

#: A demo has no time for the real ones.
SETTINGS = {"TRACKRELAY_MERGE_DELAY": "1s", "TRACKRELAY_REQUESTS_PER_SECOND": "300"}


class LogFiles:
    """A log file for each child."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def of(self, name: str) -> int:
        """Open the log of ``name``."""
        return os.open(self.folder / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def perform(*, jobs: int, seconds: float, as_document: bool) -> None:
    """Run the demo; ends the command with exit status 1 if something was lost, sent twice or out of order."""
    began = time.monotonic()
    console = stderr() if as_document else stdout()
    terminal = Terminal(console)
    with _logs() as folder, like_ctrl_c():
        try:
            terminal.say(
                "a small shop, a stand-in for Customer.io, and an outage; all of it on this machine, in temporary folders"
            )
            play, verdict = _play(terminal, folder, jobs, seconds)
        except ServerError as error:
            raise CommandError(str(error)) from None
        found = summary(play, verdict, time.monotonic() - began)
        if as_document:
            print_json(found)
        else:
            _print(console, found, verdict)
        if not verdict.is_good:
            raise click.exceptions.Exit(1)


@contextmanager
def _logs() -> Iterator[Path]:
    """A folder for the logs of worker and beat, kept only if something went wrong."""
    folder = Path(tempfile.mkdtemp(prefix="trackrelay-demo-"))
    try:
        yield folder
    except BaseException as error:
        if not isinstance(error, KeyboardInterrupt):
            stderr().print(f"The logs of worker and beat are in {folder}")
            raise
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


def _play(terminal: Terminal, folder: Path, jobs: int, seconds: float) -> tuple[Play, Verdict]:
    with Stack(None, LogFiles(folder), settings=SETTINGS, said=terminal.say) as stack:
        with open_stores(load(stack.settings)) as stores:
            play = Play(stores, stack.sandbox.client, terminal, jobs=jobs, seconds=seconds)
            with play.gauge, terminal.showing(play.gauge):
                verdict = play.perform()
        terminal.say("checked against what the stand-in has; stopping the servers")
    return play, verdict


def summary(play: Play, verdict: Verdict, seconds: float) -> dict[str, Any]:
    """What ``--json`` prints."""
    return {
        "enqueued": play.enqueued,
        "delivered": verdict.delivered,
        "dead_lettered": play.counted.dead_lettered,
        "replayed": play.counted.replayed,
        "lost": len(verdict.lost),
        "duplicates": len(verdict.duplicates),
        "out_of_order": len(verdict.out_of_order),
        "unexpected": len(verdict.strangers),
        "refused_at_the_call": play.counted.refused_at_the_call,
        "outage_seconds": round(play.counted.outage_s, 1),
        "seconds": round(seconds, 1),
    }


def _print(console: Console, found: dict[str, Any], verdict: Verdict) -> None:
    for name, wrong in (
        ("lost", verdict.lost),
        ("out of order", verdict.out_of_order),
        ("twice", verdict.duplicates),
        ("unexpected", verdict.strangers),
    ):
        for each in wrong[:5]:
            console.print(f"{name}: {each}", style="red")
    shown = (
        "enqueued",
        "delivered",
        "dead_lettered",
        "replayed",
        "lost",
        "duplicates",
        "out_of_order",
    )
    console.print()
    if verdict.is_good:
        console.print(
            "Every accepted job arrived exactly once, and in order for each key.",
            style="bold green",
        )
    else:
        console.print("Not every accepted job arrived exactly once and in order.", style="bold red")
    console.print(
        " ".join(f"{name}={found[name]}" for name in shown) + f" in {found['seconds']} s",
        soft_wrap=True,
    )
