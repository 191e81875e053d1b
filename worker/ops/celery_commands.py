"""``trackrelay worker`` and ``trackrelay beat``: what ``celery -A worker …`` does, but without putting the current folder first.

An application may have a ``worker.py`` of its own beside its ``manage.py``; here it does not hide ours.
"""

from __future__ import annotations

import os
import sys

import click

#: What Celery takes from the environment: an application's own Celery may be configured there, and is not ours.
FOREIGN = (
    "APP",
    "BROKER_URL",
    "RESULT_BACKEND",
    "LOADER",
    "CONFIG_MODULE",
    "CELERY_BROKER_URL",
    "CELERY_BROKER_READ_URL",
    "CELERY_BROKER_WRITE_URL",
    "CELERY_RESULT_BACKEND",
    "CELERY_CONFIG_MODULE",
    "CELERY_LOADER",
)

_PASSED_ON = {"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": []}


@click.command(context_settings=_PASSED_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def worker(arguments: tuple[str, ...]) -> None:
    """Run a worker; every argument goes to `celery worker`, e.g. --concurrency 4 -l info."""
    _run("worker", arguments)


@click.command(context_settings=_PASSED_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def beat(arguments: tuple[str, ...]) -> None:
    """Run the scheduler; every argument goes to `celery beat`. Any number of them may run."""
    _run("beat", arguments)


def _run(command: str, arguments: tuple[str, ...]) -> None:
    for name in FOREIGN:
        os.environ.pop(name, None)
    from ..settings import settings

    settings()  # a wrong one is said in our words, before Celery says anything
    from ..celery import app

    sys.exit(app.start(argv=[command, *arguments]) or 0)
