"""``trackrelay``: one click group; each command is loaded when it is used."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from producers.errors import TrackRelayError
from producers.version import __version__

#: Where each command is.
COMMANDS = {
    "beat": "worker.ops.celery_commands:beat",
    "check": "worker.ops.check.command:check",
    "dead-letters": "worker.ops.dead_letters.command:dead_letters",
    "demo": "worker.ops.demo.command:demo",
    "dev": "worker.ops.dev.command:dev",
    "drain": "worker.ops.operating:drain",
    "enqueue": "worker.ops.enqueueing.command:enqueue",
    "find": "worker.ops.find.command:find",
    "import": "worker.ops.importing.command:import_",
    "ledger": "worker.ops.ledger:ledger",
    "migrate": "worker.ops.migrating:migrate",
    "pause": "worker.ops.operating:pause",
    "replay": "worker.ops.dead_letters.command:replay",
    "reshard": "worker.ops.resharding:reshard",
    "resume": "worker.ops.operating:resume",
    "sandbox": "sandbox.cli:sandbox",
    "status": "worker.ops.status.command:status",
    "worker": "worker.ops.celery_commands:worker",
}


class LazyGroup(click.Group):
    """A group that imports a command only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="trackrelay")
def trackrelay() -> None:
    """Gets people and events to Customer.io: none lost, none twice, in order for each person."""


def main(arguments: list[str] | None = None) -> Any:
    """The console script. Exit 0: done; 1: something is wrong and stderr says what; 2: usage."""
    try:
        return trackrelay.main(arguments, prog_name="trackrelay")
    except TrackRelayError as error:
        click.echo(f"trackrelay: {error}", err=True)
        sys.exit(1)
