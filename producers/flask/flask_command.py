"""``flask trackrelay``: the whole command line, with the application's settings."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from typing import Any

import click


def command(settings: Callable[[], Mapping[str, str]]) -> click.Command:
    """The command for ``app.cli``; what it needs is loaded when it is used.

    Args:
        settings: asked then for the application's settings, under their names in the environment.
    """

    def run(arguments: tuple[str, ...]) -> Any:
        cli = _command_line()
        told = settings()
        # Workers are processes of their own, and know no application.
        for name in told:
            os.environ.pop(f"{name}_FILE", None)
        os.environ.update(told)
        return cli.main(list(arguments), prog_name="flask trackrelay")

    return click.Command(
        "trackrelay",
        callback=run,
        params=[click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
        short_help="Set up, look after and deliver what goes to Customer.io.",
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    )


def _command_line() -> Any:
    # At the call: an application is installed without the worker.
    try:
        return importlib.import_module("trackrelay.worker.cli.main").trackrelay
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"the command line needs {error.name}: pip install 'trackrelay[ops]', or 'trackrelay[worker]' to run workers too"
        ) from None
