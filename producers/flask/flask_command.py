"""``flask trackrelay``: the command line, with the application's settings."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from typing import Any

import click


def command(settings: Callable[[], Mapping[str, str]]) -> click.Command:
    """Return the command for ``app.cli``. It imports the command line only when it runs.

    Args:
        settings: returns the application's settings as environment variables.
    """

    def run(arguments: tuple[str, ...]) -> Any:
        cli = _command_line()
        environment = settings()
        # Workers are other processes, which do not load the application.
        for name in environment:
            os.environ.pop(f"{name}_FILE", None)
        os.environ.update(environment)
        return cli.main(list(arguments), prog_name="flask trackrelay")

    return click.Command(
        "trackrelay",
        callback=run,
        params=[click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
        short_help="Set up, operate and deliver what goes to Customer.io.",
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    )


def _command_line() -> Any:
    # Imported late: an application does not need the packages of the worker.
    try:
        return importlib.import_module("trackrelay.worker.cli.main").trackrelay
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"the command line needs {error.name}: pip install 'trackrelay[ops]', or "
            "'trackrelay[worker]' to run workers too"
        ) from None
