"""Make a plan of a tracking plan of Segment or RudderStack."""

from __future__ import annotations

from typing import TextIO

import click

from trackrelay.plan.foreign_plans import foreign_plan
from trackrelay.plan.plan_errors import PlanError
from trackrelay.plan.plan_loader import parse_plan
from trackrelay.plan.plan_text import plan_text
from trackrelay.worker.cli.common.command_errors import CommandError
from trackrelay.worker.cli.common.humanize import count
from trackrelay.worker.cli.common.output import say
from trackrelay.worker.cli.common.plan_options import STANDARD, output_option, write_output


@click.command("import")
@click.argument("export", type=click.File("r", encoding="utf-8"), metavar="EXPORT")
@click.option("--name", help="The name of the plan.  [default: that of the export]")
@output_option
def import_(export: TextIO, name: str | None, output: str) -> None:
    """Make a plan from an export of Segment or RudderStack.

    EXPORT is JSON: an answer of their API, or a downloaded tracking plan; - is stdin. Track rules
    become events, identify rules become attributes. Stderr names what has no equivalent here.
    """
    try:
        given = foreign_plan(export.read())
    except UnicodeDecodeError:
        raise CommandError(f"{export.name} is not UTF-8") from None
    if name:
        given.document["name"] = name
    text = plan_text(given.document)
    for note in given.notes:
        say(note, err=True)
    write_output(output, text)
    place = "the output" if output == STANDARD else output
    try:
        plan = parse_plan(text, place)
    except PlanError as error:
        raise CommandError(f"mend by hand what has no equal here:\n{error}") from None
    events, attributes = count(len(plan.events), "event"), count(len(plan.attributes), "attribute")
    say(f"{plan.name}: {events}, {attributes}.", err=True)
