"""How commands print: results on stdout, remarks on stderr, JSON as one document."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import click
import structlog
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from trackrelay.worker.telemetry.log_setup import terminal_renderers
from trackrelay.worker.telemetry.visible_text import visible_lines

#: Columns of what goes into a file or a pipe, which no window limits.
PIPE_WIDTH = 140


class SafeConsole(Console):
    """A console that escapes what would steer the terminal, except Rich's own styles."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render as Rich does, and escape what is unsafe in the text."""
        for segment in super().render(renderable, options):
            yield (
                segment if segment.control else Segment(visible_lines(segment.text), segment.style)
            )


def say(text: str, *, err: bool = False) -> None:
    """Print ``text``, which may quote foreign text, on stdout or stderr."""
    click.echo(visible_lines(text), err=err)


def stdout() -> Console:
    """Return the console for results."""
    return _console(sys.stdout)


def stderr() -> Console:
    """Return the console for everything else: progress, remarks, questions."""
    return _console(sys.stderr)


def show(renderable: RenderableType) -> None:
    """Print ``renderable`` on stdout, without blanks at the ends of lines."""
    console = stdout()
    with console.capture() as captured:
        console.print(renderable)
    for line in captured.get().splitlines():
        click.echo(line.rstrip(), color=console.is_terminal)


def _console(stream: IO[str]) -> Console:
    width = None if stream.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
    return SafeConsole(file=stream, width=width, highlight=False, emoji=False, markup=False)


def list_table(*columns: str, left: Iterable[str] = ()) -> Table:
    """Return a table with a header and without lines.

    Args:
        columns: the headings; numbers below them are aligned to the right.
        left: the headings of columns of text.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(column, justify="left" if column in left else "right", overflow="fold")
    return table


def fact_table(rows: Iterable[tuple[str, RenderableType]] = ()) -> Table:
    """Return a table of names and values."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def marked_table(*columns: int) -> Table:
    """Return a table whose rows begin with a mark such as ✓; ``columns`` follow it."""
    table = Table.grid(padding=(0, 1), pad_edge=True)
    table.add_column(width=2, justify="right")
    for width in columns:
        table.add_column(min_width=width)
    return table


def runnable(command: str) -> str:
    """Return a ``trackrelay …`` command as it can be typed here.

    Within ``manage.py trackrelay`` only that has the project's settings; and a virtual environment
    that is not activated is not on the PATH.
    """
    name, _, arguments = command.partition(" ")
    if name != "trackrelay":
        return command
    context = click.get_current_context(silent=True)
    program = (context.find_root().info_name if context else None) or name
    if program == name and shutil.which(name) is None:
        script = Path(sys.executable).with_name(name)
        if script.exists():
            inside = script.is_relative_to(Path.cwd())
            program = str(script.relative_to(Path.cwd()) if inside else script)
    return f"{program} {arguments}"


def heading(title: str, remark: str = "") -> Text:
    """Return the heading of a section."""
    # Remarks below each other are aligned.
    title = f"{title:<12}  " if remark else title
    return Text.assemble((title, "bold cyan"), (remark, "dim"))


def print_json(document: Any) -> None:
    """Print ``document`` as one JSON document on stdout."""
    say(json.dumps(document, indent=2, ensure_ascii=False, default=str))


def moment(unix_s: float | None) -> str | None:
    """Return a time as JSON documents have it: ISO 8601, UTC, to the second."""
    if unix_s is None:
        return None
    # A hostile entry may name a year that Python does not know.
    known = min(max(unix_s, -62_135_596_800.0), 253_402_300_799.0)
    return datetime.fromtimestamp(known, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def log_to_stderr() -> None:
    """Send log lines to stderr, unless the application has set up logging already."""
    # Alembic logs each look at the revision at INFO, which an application may let through.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if not structlog.is_configured():
        structlog.configure(
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.processors.add_log_level,
                structlog.dev.set_exc_info,
                structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
                *terminal_renderers(colors=sys.stderr.isatty()),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(30),
            logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
            cache_logger_on_first_use=False,
        )
