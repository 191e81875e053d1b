"""``manage.py trackrelay …``: the command line with the settings of this project."""

from __future__ import annotations

import os
from argparse import REMAINDER
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from trackrelay.configuration.settings_loader import environment
from trackrelay.worker.cli.main import trackrelay


class Command(BaseCommand):
    """Runs the command line of trackrelay with the settings of the project."""

    help = (
        "The command line of trackrelay, with this project's settings: manage.py trackrelay --help"
    )
    # The commands report what is wrong themselves.
    requires_system_checks = ()

    def run_from_argv(self, argv: list[str]) -> None:
        """Pass every argument on to trackrelay, also ``--help`` and ``--version``."""
        _run(argv[2:], f"{Path(argv[0]).name} {argv[1]}")

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("arguments", nargs=REMAINDER)

    def handle(self, *_: Any, arguments: Sequence[str], **__: Any) -> None:
        """Run a command for ``call_command("trackrelay", "status", "--json")``."""
        try:
            _run(arguments, "trackrelay")
        except SystemExit as end:
            if end.code:
                raise CommandError(
                    f"trackrelay {' '.join(arguments[:1])} failed", returncode=end.code
                ) from None


def _run(arguments: Sequence[str], name: str) -> None:
    # Processes that it starts (a worker, a beat) need the same settings.
    settings = environment()
    for unset in os.environ.keys() - settings.keys():
        del os.environ[unset]
    os.environ.update(settings)
    trackrelay.main(list(arguments), prog_name=name)
