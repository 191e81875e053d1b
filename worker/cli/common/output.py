"""How commands print: results on stdout, everything about them on stderr, JSON as one document."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import IO, Any

import click
import structlog
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from trackrelay.worker.telemetry.log_setup import terminal_renderers
from trackrelay.worker.telemetry.visible_text import visible_lines

#: Width of what goes into a file or a pipe, where nobody's window is a limit.
PIPE_WIDTH = 140


class SafeConsole(Console):
    """A console on which text from elsewhere cannot steer the terminal. Styles and cursor movements of our own pass."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render as Rich does, and escape what is unsafe in the text."""
        for segment in super().render(renderable, options):
            yield (
                segment if segment.control else Segment(visible_lines(segment.text), segment.style)
            )


def say(text: str, *, err: bool = False) -> None:
    """Print ``text``, which may quote text from elsewhere, on stdout or stderr."""
    click.echo(visible_lines(text), err=err)


def stdout() -> Console:
    """Where results go."""
    return _console(sys.stdout)


def stderr() -> Console:
    """Where everything else goes: progress, remarks, questions."""
    return _console(sys.stderr)


def show(renderable: RenderableType) -> None:
    """Print ``renderable`` on stdout, without the blanks that pad its lines."""
    console = stdout()
    with console.capture() as captured:
        console.print(renderable)
    for line in captured.get().splitlines():
        click.echo(line.rstrip(), color=console.is_terminal)


def _console(stream: IO[str]) -> Console:
    width = None if stream.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
    return SafeConsole(file=stream, width=width, highlight=False, emoji=False, markup=False)


def print_json(document: Any) -> None:
    """Print ``document`` as one JSON document on stdout."""
    say(json.dumps(document, indent=2, ensure_ascii=False, default=str))


def moment(unix_s: float | None) -> str | None:
    """A time as JSON documents have it: ISO 8601, UTC, to the second."""
    if unix_s is None:
        return None
    # A hostile entry may name a year that Python does not know.
    known = min(max(unix_s, -62_135_596_800.0), 253_402_300_799.0)
    return datetime.fromtimestamp(known, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def log_to_stderr() -> None:
    """Log lines of commands go to stderr, unless the surrounding application has settled that already."""
    # Alembic logs at INFO each time somebody asks for the revision; an application's logging may pass that on.
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
