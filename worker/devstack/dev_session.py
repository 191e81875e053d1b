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

from .merged_output import MergedOutput
from .servers import ServerError
from .stack import Stack, like_ctrl_c, shell_command

#: How often the children are checked.
POLL_S = 0.5


def run(folder: Path, *, with_console: bool = True) -> None:
    """Run the stack with its data in ``folder`` until Ctrl-C.

    Raises:
        CommandError: A part did not start, or ended unexpectedly; the others are stopped.
    """
    console = stdout()
    _prepare(folder)
    output = MergedOutput(sys.stdout)
    stack = Stack(
        folder, output, settings={"TRACKRELAY_LOG_FORMAT": "console"}, report=console.print
    )
    with like_ctrl_c():
        try:
            stack.start()
            if with_console:
                stack.start_console()
            _introduce(console, stack, folder)
            _watch(stack)
        except ServerError as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            console.print("\nStopping. The worker finishes its current requests.")
        finally:
            stack.stop()
            output.finish()
            console.print(f"Everything is stopped. {_data_folders(stack, folder)}", soft_wrap=True)


def _prepare(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The data belongs in no repository.
        (folder / ".gitignore").write_text("*\n")
    except OSError as error:
        raise CommandError(
            f"{folder} cannot be used: {error.strerror}; choose another folder with --data"
        ) from None


def _data_folders(stack: Stack, folder: Path) -> str:
    place = folder.absolute()
    if elsewhere := stack.kept_elsewhere:
        return (
            f"The queue stays in {place}. Ledger and dead letters stay in {elsewhere}, "
            f"because PostgreSQL does not run as root, and its user cannot enter {place}."
        )
    return f"Queue, ledger and dead letters stay in {place}."


def _watch(stack: Stack) -> NoReturn:
    while (dead := stack.dead()) is None:
        time.sleep(POLL_S)
    raise CommandError(f"{dead} ended unexpectedly")


def _introduce(console: Console, stack: Stack, folder: Path) -> None:
    lines = [
        f"export {name}={shlex.quote(value)}"
        for name, value in stack.settings.items()
        if "LOG" not in name
    ]
    file = folder / "env"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as written:
        written.write("\n".join(lines) + "\n")
    trackrelay, python = shell_command("trackrelay"), shell_command(Path(sys.executable).name)
    example = """'from trackrelay import identify; print(identify("42", {"plan": "pro"}))'"""
    console.print("\nEverything runs. The sandbox plays Customer.io; see what arrives at")
    console.print(f"{stack.sandbox.url}/_sandbox/", style="bold", soft_wrap=True)
    if stack.console_url:
        console.print("The console shows what is delivered, what waits and what failed:")
        console.print(f"{stack.console_url}", style="bold", soft_wrap=True, highlight=False)
    console.print(f"\nIn another terminal, type (or run `. {shlex.quote(str(file))}`):\n")
    for line in lines:
        console.print(f"  {line}", soft_wrap=True, style="cyan")
    console.print("\nThen try:\n")
    for command in (f"{python} -c {example}", f"{trackrelay} status", f"{trackrelay} check"):
        console.print(f"  {command}", soft_wrap=True, style="cyan", highlight=False)
    console.print(
        "\nCtrl-C stops everything. The sandbox then forgets what arrived. "
        f"{_data_folders(stack, folder)}\n",
        soft_wrap=True,
    )
