"""``trackrelay incidents``: jobs that were lost, until somebody acknowledges that."""

from __future__ import annotations

import getpass
import os
import socket

import click

from trackrelay.worker.storage import incident_log as store

from .common.command_errors import CommandFailed
from .common.command_stores import open_stores
from .common.humanize import count, listed
from .common.loss_report import describe
from .common.output import moment, print_json


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def incidents(ctx: click.Context, as_json: bool) -> None:
    """List the losses of jobs that nobody has acknowledged."""
    if ctx.invoked_subcommand is not None:
        return
    with open_stores() as stores, stores.engine.connect() as connection:
        found = store.unacknowledged(connection)
    if as_json:
        print_json([document(each) for each in found])
    elif not found:
        click.echo("No loss of jobs is unacknowledged.")
    for each in [] if as_json else found:
        click.echo(f"{each.id}  {describe(each)}.")


@incidents.command()
@click.argument("numbers", metavar="[NUMBER]…", nargs=-1, type=click.IntRange(1))
def acknowledge(numbers: tuple[int, ...]) -> None:
    """Acknowledge the incidents with these NUMBERs, or all of them: `status` and `check` are silent about them from then on."""
    with open_stores() as stores, stores.engine.begin() as connection:
        done = store.acknowledge(connection, list(numbers) or None, _who())
    if missing := [str(number) for number in numbers if number not in done]:
        raise CommandFailed(f"there is no unacknowledged incident {listed(missing, 'or')}")
    click.echo(f"{count(len(done), 'incident')} acknowledged.")


def document(incident: store.Incident) -> dict[str, object]:
    """What a program may want to know of an incident."""
    return {
        "number": incident.id,
        "kind": str(incident.kind),
        "since": moment(incident.since),
        "until": moment(incident.until),
        "at_least": incident.at_least,
        "at_most": incident.at_most,
    }


def _who() -> str:
    try:
        user = os.environ.get("SUDO_USER") or getpass.getuser()
    except (OSError, KeyError):
        user = f"uid {os.getuid()}"  # containers run as users that have no name
    return f"{user}@{socket.gethostname()}"
