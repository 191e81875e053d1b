"""Print a version of the plan as it was applied."""

from __future__ import annotations

import click

from trackrelay.worker.cli.common.command_errors import CommandError
from trackrelay.worker.cli.common.command_options import MAX_NUMBER
from trackrelay.worker.cli.common.command_stores import open_stores
from trackrelay.worker.cli.common.output import say
from trackrelay.worker.storage import plans


@click.command()
@click.argument("version", required=False, type=click.IntRange(1, MAX_NUMBER))
def show(version: int | None) -> None:
    """Print the tracking plan that is in force, or another VERSION of it.

    To go back: `trackrelay plan show 3 > trackrelay-plan.yaml`, then `trackrelay plan apply`.
    """
    with open_stores() as stores, stores.engine.connect() as connection:
        if version is None:
            found = next(iter(plans.in_force(connection)), None)
        else:
            found = plans.get(connection, version)
    if found is None:
        raise CommandError(
            "no plan is in force" if version is None else f"there is no version {version}"
        )
    say(found.text.removesuffix("\n"))
