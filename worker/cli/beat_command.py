"""Run: run the scheduler of periodic tasks."""

from __future__ import annotations

import click

from .worker_command import PASS_ARGUMENTS_ON, run_celery


@click.command(context_settings=PASS_ARGUMENTS_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def beat(arguments: tuple[str, ...]) -> None:
    """Run the scheduler. Takes the arguments of `celery beat`. Several can run at the same time."""
    run_celery("beat", arguments)
