"""``trackrelay``: one click group that loads a command when it is used.

A command is a file ``NAME_command.py`` beside this one. Its docstring begins with the section of
the help that lists the command, and what the command does: ``Look: show what is going on.``
Its function is called like the command.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import keyword
import os
import pkgutil
import sys
from pathlib import Path
from typing import Any

try:
    import click
except ModuleNotFoundError:
    sys.exit(
        "trackrelay: the command line needs the package click: pip install 'trackrelay[ops]', "
        "or 'trackrelay[worker]' to run workers too"
    )

from trackrelay.configuration.unknown_settings import unknown_setting_lines
from trackrelay.suggestion import closest_name
from trackrelay.version import __version__

#: Sections of the help, in the order in which they are listed.
SECTIONS = ("Set up", "Run", "Look", "Send", "Operate", "Try out")
#: Commands that report misspelt settings themselves: as findings, or in their log.
_REPORT_SETTINGS = ("check", "worker", "beat")

_SUFFIX = "_command"
#: The module of each command, by the command's name.
COMMANDS = {
    each.name.removesuffix(_SUFFIX).replace("_", "-"): f"trackrelay.worker.cli.{each.name}"
    for each in pkgutil.iter_modules([str(Path(__file__).parent)])
    if each.name.endswith(_SUFFIX)
}


def summary_of(name: str) -> tuple[str, str]:
    """Return the section of a command and what it does, without importing the command."""
    spec = importlib.util.find_spec(COMMANDS[name])
    source = getattr(spec and spec.loader, "get_source", lambda _: "")(COMMANDS[name])
    first_line = (ast.get_docstring(ast.parse(source or "")) or "").partition("\n")[0]
    section, _, summary = first_line.partition(": ")
    return section, summary[:1].upper() + summary[1:]


class LazyGroup(click.Group):
    """A group that imports a command when it is used, and reports a failure in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        function = cmd_name.replace("-", "_") + ("_" if keyword.iskeyword(cmd_name) else "")
        command = getattr(importlib.import_module(COMMANDS[cmd_name]), function)
        assert isinstance(command, click.Command)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        for number, argument in enumerate(args, 1):
            # Neither Postgres nor Redis can be asked for bytes that are not text.
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
        summaries = {name: summary_of(name) for name in COMMANDS}
        for title in SECTIONS:
            with formatter.section(title):
                rows = [
                    (name, text) for name, (section, text) in summaries.items() if section == title
                ]
                formatter.write_dl(rows, col_max=14)

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
    """Deliver people and events to Customer.io: none lost, none twice, in order for each person.

    Settings come from environment variables. `trackrelay check` reports which are missing or wrong.

    Exit status: 0 for success, 1 for a failure that stderr explains, 2 for wrong usage.
    """
    from .common.output import log_to_stderr

    log_to_stderr()
    if ctx.invoked_subcommand not in _REPORT_SETTINGS:
        for line in unknown_setting_lines(os.environ):
            click.echo(f"trackrelay: {line}", err=True)


def main(arguments: list[str] | None = None) -> Any:
    """Run the console script."""
    return trackrelay.main(arguments, prog_name="trackrelay")


if __name__ == "__main__":
    main()
