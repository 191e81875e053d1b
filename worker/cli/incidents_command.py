"""Operate: list and acknowledge losses of jobs."""

from __future__ import annotations

import click

from trackrelay.worker.reasons import Act
from trackrelay.worker.storage import acts, incident_log

from .common.command_errors import CommandError
from .common.command_options import json_option
from .common.command_stores import command_author, open_stores, operator_name
from .common.humanize import count, listed
from .common.incident_report import as_json as incident_as_json
from .common.incident_report import describe
from .common.output import print_json


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def incidents(ctx: click.Context, as_json: bool) -> None:
    """List the incidents (losses of jobs) that are not acknowledged."""
    if ctx.invoked_subcommand is not None:
        return
    with open_stores() as stores, stores.engine.connect() as connection:
        found = incident_log.unacknowledged(connection)
    if as_json:
        print_json([incident_as_json(each) for each in found])
    elif not found:
        click.echo("There is no unacknowledged incident.")
    else:
        for each in found:
            click.echo(f"{each.id}  {describe(each)}.")


@incidents.command()
@click.argument("numbers", metavar="[NUMBER]…", nargs=-1, type=click.IntRange(1))
def acknowledge(numbers: tuple[int, ...]) -> None:
    """Acknowledge the incidents with these NUMBERs, or all of them.

    `trackrelay status` and `trackrelay check` do not report them any more.
    """
    with open_stores() as stores, stores.engine.begin() as connection:
        done = incident_log.acknowledge(connection, list(numbers) or None, operator_name())
        for number in done:
            acts.record(connection, command_author(), Act.INCIDENT_ACKNOWLEDGED, str(number))
    if missing := [str(number) for number in numbers if number not in done]:
        raise CommandError(f"there is no unacknowledged incident {listed(missing, 'or')}")
    click.echo(f"{count(len(done), 'incident')} acknowledged.")
