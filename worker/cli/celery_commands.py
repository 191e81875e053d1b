"""``trackrelay worker`` and ``trackrelay beat``: what ``celery -A trackrelay …`` does, but without putting the current folder first.

An application may have a ``worker.py`` of its own beside its ``manage.py``; here it does not hide ours.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from trackrelay.worker.celery_app.celery_class import OwnCelery

_PASSED_ON = {
    "ignore_unknown_options": True,
    "allow_interspersed_args": False,
    "help_option_names": [],
}


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
    # Celery would run the app that it names: an application's, in a container shared with it.
    os.environ.pop("APP", None)
    app = _app_without_settings() if "--help" in arguments else _app()
    sys.exit(app.start(argv=[command, *arguments]) or 0)


def _app() -> OwnCelery:
    from trackrelay.worker.settings import settings

    settings()  # a wrong one is said in our words, before Celery says anything
    from trackrelay.worker.celery import app

    return app


def _app_without_settings() -> OwnCelery:
    from trackrelay.worker.celery_app.celery_class import OwnCelery

    return OwnCelery("trackrelay", set_as_current=False)
