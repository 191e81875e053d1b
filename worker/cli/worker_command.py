"""Run: run a worker.

``trackrelay worker`` and ``trackrelay beat`` do what ``celery -A trackrelay …`` does, without
putting the current folder first on the import path: an application may have a ``worker.py`` there.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from trackrelay.worker.celery_app.celery_class import OwnCelery

#: For a command that hands every argument, `--help` too, to Celery.
PASS_ARGUMENTS_ON = {
    "ignore_unknown_options": True,
    "allow_interspersed_args": False,
    "help_option_names": [],
}


@click.command(context_settings=PASS_ARGUMENTS_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def worker(arguments: tuple[str, ...]) -> None:
    """Run a worker. Takes the arguments of `celery worker`, such as --concurrency 4 -l info."""
    run_celery("worker", arguments)


def run_celery(command: str, arguments: tuple[str, ...]) -> None:
    """Run a command of Celery with trackrelay's app, and exit with its status."""
    # Celery would run the app that APP names: the application's, in a container that both share.
    os.environ.pop("APP", None)
    app = _app_without_settings() if "--help" in arguments else _app()
    sys.exit(app.start(argv=[command, *arguments]) or 0)


def _app() -> OwnCelery:
    from trackrelay.worker.settings import settings

    settings()  # reports a wrong setting before Celery starts
    from trackrelay.worker.celery import app

    return app


def _app_without_settings() -> OwnCelery:
    from trackrelay.worker.celery_app.celery_class import OwnCelery

    return OwnCelery("trackrelay", set_as_current=False)
