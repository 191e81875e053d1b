"""``manage.py trackrelay …``: the whole command line, with the settings of this project."""

from __future__ import annotations

import os
from argparse import REMAINDER
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from trackrelay.configuration.environment import environment
from trackrelay.worker.cli.main import trackrelay


class Command(BaseCommand):
    help = (
        "The command line of trackrelay, with this project's settings: manage.py trackrelay --help"
    )
    # It says itself what is wrong with what it needs; `trackrelay check` says all of it.
    requires_system_checks = ()

    def run_from_argv(self, argv: list[str]) -> None:
        """Everything after ``trackrelay`` is for trackrelay, ``--help`` and ``--version`` too."""
        _run(argv[2:], f"{Path(argv[0]).name} {argv[1]}")

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("arguments", nargs=REMAINDER)

    def handle(self, *_: Any, arguments: Sequence[str], **__: Any) -> None:
        """For ``call_command("trackrelay", "status", "--json")``."""
        try:
            _run(arguments, "trackrelay")
        except SystemExit as end:
            if end.code:
                raise CommandError(
                    f"trackrelay {' '.join(arguments[:1])} failed", returncode=end.code
                ) from None


def _run(arguments: Sequence[str], name: str) -> None:
    # What it starts (a worker, a beat) is to have the same settings.
    told = environment()
    for forgotten in os.environ.keys() - told.keys():
        del os.environ[forgotten]
    os.environ.update(told)
    trackrelay.main(list(arguments), prog_name=name)
