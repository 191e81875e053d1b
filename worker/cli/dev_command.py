"""Try out: run the whole stack in this terminal, on embedded servers."""

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
    help="Folder that keeps the data and the ports for the next start.",
)
@click.option("--console/--no-console", default=True, help="Whether to run the web console too.")
def dev(data: Path, console: bool) -> None:
    """Run Valkey, PostgreSQL, a sandbox that imitates Customer.io, a worker, a beat and a console.

    Nothing has to be installed, and nothing is sent to Customer.io: settings in the environment
    are ignored. Prints the settings that another terminal needs. Ctrl-C stops every process.
    """
    from trackrelay.worker.devstack.dev_session import run

    run(data, with_console=console)
