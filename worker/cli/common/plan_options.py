"""Arguments of the commands about tracking plans."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from trackrelay.configuration.settings_loader import environment, find
from trackrelay.configuration.settings_table import BY_NAME
from trackrelay.plan.plan_loader import load_plan, parse_plan
from trackrelay.plan.plan_model import Plan

from .command_errors import CommandError

F = TypeVar("F", bound=Callable[..., Any])

#: The file that the commands read, unless the argument or TRACKRELAY_PLAN names another one.
DEFAULT_FILE = "trackrelay-plan.yaml"
#: Stands for stdin, or stdout.
STANDARD = "-"


def plan_file_argument(command: F) -> F:
    """Add the argument FILE as the parameter ``file``."""
    return click.argument("file", required=False, default=_default, metavar="[FILE]")(command)


def _default() -> str:
    given = find(BY_NAME["TRACKRELAY_PLAN"], environment())
    return given.text if given else DEFAULT_FILE


def opened(file: str) -> Plan:
    """Return the plan in a file, or on stdin.

    Raises:
        PlanError: with one line for each problem.
    """
    if file == STANDARD:
        return parse_plan(sys.stdin.read(), "stdin")
    return load_plan(file)


def output_option(command: F) -> F:
    """Add ``--output`` as the parameter ``output``; stdout if it is left out."""
    return click.option(
        "--output", "-o", default=STANDARD, metavar="PATH", help="Write this file, not to stdout."
    )(command)


def write_output(output: str, text: str) -> None:
    """Write a whole file, or to stdout. A crash leaves the old file.

    Raises:
        CommandError: the file cannot be written.
    """
    if output == STANDARD:
        click.echo(text, nl=False)
        return
    target = Path(output)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(target)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise CommandError(f"{output} cannot be written: {error.strerror}") from None
    click.echo(f"Wrote {output}.", err=True)
