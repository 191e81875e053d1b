"""Write a typed Python module of the plan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import islice
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

#: Lines of a difference that are shown.
MAX_LINES = 40


@click.command()
@plan_file_argument
@output_option
@click.option("--async", "is_async", is_flag=True, help="Write coroutines, for trackrelay.aio.")
@click.option("--check", is_flag=True, help="Fail if --output is not what would be written.")
def python(file: str, output: str, is_async: bool, check: bool) -> None:
    """Write a Python module with a function for each event.

    The data of an event is a typed dictionary: mypy and pyright report a wrong type and a missing
    property. `trackrelay plan python -o shop/plan_events.py` writes it, and the same with --check
    belongs in CI.
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
        for line in islice(_differences(found.splitlines(), source.splitlines()), MAX_LINES):
            click.echo(line)
        raise CommandError(f"{output} is not what the plan says: run trackrelay plan python again")
    click.echo(f"{output} is what the plan says.")


def _differences(found: Sequence[str], expected: Sequence[str]) -> Iterator[str]:
    """Yield what differs, below the class or function that has it: ``-`` as found, ``+`` as due."""
    shown = ""
    for tag, start, end, start_due, end_due in SequenceMatcher(
        None, found, expected, autojunk=False
    ).get_opcodes():
        if tag == "equal":
            continue
        before = reversed(expected[: start_due + 1])
        scope = next((each for each in before if each.startswith(_SCOPES)), "")
        if scope and scope != shown:
            yield scope
        shown = scope
        yield from (f"-{each}" for each in found[start:end])
        yield from (f"+{each}" for each in expected[start_due:end_due])


_SCOPES = ("class ", "def ", "async def ")
