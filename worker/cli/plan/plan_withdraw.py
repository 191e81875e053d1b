"""End every version of the plan: workers compare jobs with nothing."""

from __future__ import annotations

import click

from trackrelay.worker.cli.common.command_options import confirm, yes_option
from trackrelay.worker.cli.common.command_stores import open_stores
from trackrelay.worker.cli.common.humanize import listed
from trackrelay.worker.cli.common.output import say
from trackrelay.worker.storage import plans


@click.command()
@yes_option
def withdraw(yes: bool) -> None:
    """End every version of the tracking plan that is in force.

    Workers then deliver jobs unchanged. `trackrelay plan apply` puts a plan into force
    again.
    """
    with open_stores() as stores:
        with stores.engine.connect() as connection:
            in_force = plans.in_force(connection)
        if not in_force:
            say("No plan is in force.")
            return
        if not yes:
            names = listed([f"{each.name}, version {each.version}" for each in in_force])
            confirm(f"End {names}?")
        with stores.engine.begin() as connection:
            ended = plans.withdraw(connection)
    say(f"Ended: version {listed([str(each) for each in ended])}.")
