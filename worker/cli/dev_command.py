"""``trackrelay dev``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option(
    "--data",
    default=".trackrelay",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keeps data and ports from one start to the next.",
)
def dev(data: Path) -> None:
    """Run everything in this terminal: Valkey, PostgreSQL, a sandbox that plays Customer.io, a worker and a beat.

    Nothing has to be installed or running. The settings that another terminal needs are printed; what the environment says
    is not used here, so nothing reaches a real workspace. Ctrl-C stops everything, and nothing outlives this command.
    """
    from trackrelay.worker.devstack.dev_session import run

    run(data)
