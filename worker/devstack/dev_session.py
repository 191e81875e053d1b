"""``trackrelay dev``: the stack in this terminal, until Ctrl-C."""

from __future__ import annotations

import os
import shlex
import sys
import time
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from trackrelay.worker.cli.common.command_errors import CommandError
from trackrelay.worker.cli.common.output import stdout

from .merged_output import Merged
from .servers import ServerError
from .stack import Stack
from .stop_signals import like_ctrl_c

#: How often the children are looked at.
LOOK_S = 0.5


def run(folder: Path) -> None:
    """Run the stack with its data in ``folder`` until somebody stops it.

    Raises:
        CommandError: a part of it did not start, or ended by itself; whatever ran is stopped.
    """
    console = stdout()
    _prepare(folder)
    output = Merged(sys.stdout)
    stack = Stack(folder, output, settings={"TRACKRELAY_LOG_FORMAT": "console"}, said=console.print)
    with like_ctrl_c():
        try:
            stack.start()
            _introduce(console, stack, folder)
            _watch(stack)
        except ServerError as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            console.print("\nStopping. The worker finishes what it has under way.")
        finally:
            stack.stop()
            output.finish()
            console.print(f"Everything is stopped. {_whereabouts(stack, folder)}", soft_wrap=True)


def _prepare(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Nobody's repository wants this.
        (folder / ".gitignore").write_text("*\n")
    except OSError as error:
        raise CommandError(
            f"{folder} cannot be used: {error.strerror}; choose another with --data"
        ) from None


def _whereabouts(stack: Stack, folder: Path) -> str:
    place = folder.absolute()
    if elsewhere := stack.kept_elsewhere:
        return (
            f"The queue stays in {place}; ledger and dead letters stay in {elsewhere}, as PostgreSQL does not run as root and "
            f"its user may not enter {place}."
        )
    return f"Queue, ledger and dead letters stay in {place}."


def _watch(stack: Stack) -> NoReturn:
    while (dead := stack.dead()) is None:
        time.sleep(LOOK_S)
    raise CommandError(f"{dead} ended by itself")


def _introduce(console: Console, stack: Stack, folder: Path) -> None:
    file = folder / "env"
    lines = [
        f"export {name}={shlex.quote(value)}"
        for name, value in stack.settings.items()
        if "LOG" not in name
    ]
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as written:
        written.write("\n".join(lines) + "\n")
    console.print("\nEverything runs. What arrives at Customer.io's stand-in is shown at", end=" ")
    console.print(f"{stack.sandbox.url}/_sandbox/", style="bold")
    console.print(f"\nIn another terminal (or `. {shlex.quote(str(file))}`):\n")
    for line in lines:
        console.print(f"  {line}", soft_wrap=True, style="cyan")
    console.print(
        "\nTry there: trackrelay check, trackrelay status, or\n"
        """  python -c 'from trackrelay import identify; print(identify("42", {"plan": "pro"}))'\n\n"""
        f"Ctrl-C stops everything; the sandbox begins anew each time. {_whereabouts(stack, folder)}\n",
        soft_wrap=True,
    )
