"""Write a typed Python module of the plan."""

from __future__ import annotations

from pathlib import Path

import click

from trackrelay.plan.typed_module import typed_module
from trackrelay.worker.cli.common.command_errors import CommandError
from trackrelay.worker.cli.common.plan_options import (
    STANDARD,
    opened,
    output_option,
    plan_file_argument,
    write_output,
)


@click.command()
@plan_file_argument
@output_option
@click.option("--async", "is_async", is_flag=True, help="Write coroutines, for trackrelay.aio.")
@click.option("--check", is_flag=True, help="Fail if --output is not what would be written.")
def python(file: str, output: str, is_async: bool, check: bool) -> None:
    """Write a Python module with a function for each event.

    The data of an event is a typed dictionary: mypy and pyright report a wrong type and a missing
    property. `trackrelay plan python -o shop/plan_events.py` writes it, and the same with --check
    belongs into CI.
    """
    if check and output == STANDARD:
        raise click.UsageError("--check needs --output")
    source = typed_module(opened(file), is_async=is_async)
    if not check:
        write_output(output, source)
        return
    try:
        found = Path(output).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        found = ""
    if found != source:
        raise CommandError(f"{output} is not what the plan says: run trackrelay plan python again")
    click.echo(f"{output} is what the plan says.")
