"""Set up: check, apply and document the tracking plan.

A subcommand is a file ``plan/plan_NAME.py``. Its docstring says in one line what it does, and its
function has its name.
"""

from __future__ import annotations

import importlib
import keyword
import pkgutil
from pathlib import Path

import click

from trackrelay.suggestion import closest_name

_PREFIX = "plan_"
#: The module of each subcommand, by the subcommand's name.
SUBCOMMANDS = {
    each.name.removeprefix(_PREFIX).replace("_", "-"): f"trackrelay.worker.cli.plan.{each.name}"
    for each in pkgutil.iter_modules([str(Path(__file__).parent / "plan")])
    if each.name.startswith(_PREFIX)
}


class PlanGroup(click.Group):
    """The group of the subcommands, which imports one when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in SUBCOMMANDS:
            return None
        function = cmd_name.replace("-", "_") + ("_" if keyword.iskeyword(cmd_name) else "")
        command = getattr(importlib.import_module(SUBCOMMANDS[cmd_name]), function)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in SUBCOMMANDS and (meant := closest_name(args[0], SUBCOMMANDS)):
            ctx.fail(f"No such command {args[0]!r}. Did you mean {meant!r}?")
        return super().resolve_command(ctx, args)


@click.group(cls=PlanGroup)
def plan() -> None:
    """Check, apply and document the tracking plan.

    The plan is a file in your repository: which events and attributes applications send, with their
    types, owners and meaning.
    """
