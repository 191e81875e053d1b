"""``trackrelay``: one click group; each command is loaded when it is used."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

try:
    import click
except ModuleNotFoundError:
    sys.exit(
        "trackrelay: the command line needs the package click: pip install 'trackrelay[ops]', or 'trackrelay[worker]' to run "
        "workers too"
    )

from trackrelay.configuration.settings_table import unknown_setting_lines
from trackrelay.suggestion import closest_name
from trackrelay.version import __version__

#: Where each command is, and what it does, in the order in which help lists them.
SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Set up": {
        "migrate": (
            "trackrelay.worker.cli.migrate_command:migrate",
            "Make or update the tables in Postgres and the queue in Redis.",
        ),
        "check": (
            "trackrelay.worker.cli.check_command:check",
            "Say what is configured, reached and migrated, and what is wrong.",
        ),
        "relay": (
            "trackrelay.worker.cli.relay_command:relay",
            "Take an application's outbox on into the queue.",
        ),
        "worker": (
            "trackrelay.worker.cli.celery_commands:worker",
            "Run a worker; takes what `celery worker` takes.",
        ),
        "beat": (
            "trackrelay.worker.cli.celery_commands:beat",
            "Run the scheduler; takes what `celery beat` takes.",
        ),
    },
    "Look": {
        "status": (
            "trackrelay.worker.cli.status_command:status",
            "Say what is going on, and what to do about it.",
        ),
        "find": (
            "trackrelay.worker.cli.find_command:find",
            "Say where a job or a person's jobs are, and what became of them.",
        ),
        "dead-letters": (
            "trackrelay.worker.cli.dead_letters_command:dead_letters",
            "List, show, repair, replay, discard, export.",
        ),
    },
    "Send": {
        "enqueue": ("trackrelay.worker.cli.enqueue_command:enqueue", "Enqueue one operation."),
        "import": (
            "trackrelay.worker.cli.import_command:import_",
            "Enqueue the lines of a file, JSON or CSV.",
        ),
        "replay": ("trackrelay.worker.cli.dead_letters_command:replay", "Send dead letters again."),
    },
    "Operate": {
        "pause": (
            "trackrelay.worker.cli.pause_command:pause",
            "Stop delivery; callers go on enqueueing.",
        ),
        "resume": ("trackrelay.worker.cli.pause_command:resume", "Let delivery go on."),
        "probe": (
            "trackrelay.worker.cli.probe_command:probe",
            "Try at once whether delivery is possible again.",
        ),
        "drain": (
            "trackrelay.worker.cli.drain_command:drain",
            "Wait until everything enqueued is delivered.",
        ),
        "reshard": (
            "trackrelay.worker.cli.reshard_command:reshard",
            "Change the queue's number of shards.",
        ),
        "incidents": (
            "trackrelay.worker.cli.incidents_command:incidents",
            "List and acknowledge losses of jobs.",
        ),
        "ledger": (
            "trackrelay.worker.cli.ledger_command:ledger",
            "Look after the idempotency ledger.",
        ),
    },
    "Try out": {
        "demo": (
            "trackrelay.worker.cli.demo_command:demo",
            "Watch a small shop's traffic survive an outage, on embedded servers.",
        ),
        "dev": (
            "trackrelay.worker.cli.dev_command:dev",
            "Run the whole stack in this terminal, on embedded servers.",
        ),
        "sandbox": ("trackrelay.sandbox.cli:sandbox", "Run a Track API and App API in memory."),
    },
}
#: What points out misspelt settings itself: as findings, or in its log.
_SAY_THEMSELVES = ("check", "worker", "beat")
COMMANDS = {name: place for section in SECTIONS.values() for name, (place, _) in section.items()}


class LazyGroup(click.Group):
    """A group that imports a command only when it is asked for, and says in one line what a command failed at."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        for number, argument in enumerate(args, 1):
            # What the shell handed over as bytes that are no text; neither Postgres nor Redis could be asked for it.
            try:
                argument.encode()
            except UnicodeEncodeError:
                ctx.fail(f"argument {number} is not UTF-8: {os.fsencode(argument)[:100]!r}")
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and (meant := closest_name(args[0], COMMANDS)):
            ctx.fail(f"No such command {args[0]!r}. Did you mean {meant!r}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(
                    [(name, summary) for name, (_, summary) in commands.items()], col_max=14
                )

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            from trackrelay.worker.telemetry.visible_text import visible_lines

            from .common.command_errors import failure_of

            if isinstance(error, click.UsageError):
                raise click.UsageError(visible_lines(error.format_message()), error.ctx) from None
            failure = failure_of(error)
            if failure is None:
                raise
            raise failure from None


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="trackrelay")
@click.pass_context
def trackrelay(ctx: click.Context) -> None:
    """Gets people and events to Customer.io: none lost, none twice, in order for each person.

    Settings come from the environment: `trackrelay check` says what is missing or wrong. Exit status: 0 done, 1 something
    is wrong and stderr says what, 2 the command was used wrongly.
    """
    from .common.output import log_to_stderr

    log_to_stderr()
    if ctx.invoked_subcommand not in _SAY_THEMSELVES:
        for line in unknown_setting_lines(os.environ):
            click.echo(f"trackrelay: {line}", err=True)


def main(arguments: list[str] | None = None) -> Any:
    """The console script."""
    return trackrelay.main(arguments, prog_name="trackrelay")


if __name__ == "__main__":
    main()
