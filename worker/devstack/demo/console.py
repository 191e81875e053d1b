"""What the audience sees: what is happening, in words, and on a terminal the numbers below it, live."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from trackrelay.worker.cli.common.humanize import count

from .job_counts import Gauge, Numbers

#: Bars are so wide.
BAR = 40


class Stage(Protocol):
    """Where the story is told."""

    def say(self, text: str, style: str = "") -> None:
        """Tell what happens."""

    def aside(self, text: str) -> None:
        """Tell a detail of it."""


class Terminal:
    """Tells the story line by line; on a terminal, the numbers stay below the last line.

    Args:
        console: where.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()

    def say(self, text: str, style: str = "") -> None:
        """Tell what happens."""
        elapsed = time.monotonic() - self._started
        self._line(Text(f"{elapsed:5.1f} s", "dim"), Text(text, style))

    def aside(self, text: str) -> None:
        """Tell a detail of it."""
        self._line(Text(), Text(text, "dim"))

    def _line(self, margin: Text, text: Text) -> None:
        line = Table.grid(padding=(0, 2, 0, 0))
        line.add_column(min_width=7, no_wrap=True)
        line.add_column(overflow="fold")
        line.add_row(margin, text)
        self._console.print(line)

    @contextmanager
    def showing(self, gauge: Gauge) -> Iterator[None]:
        """Show the numbers for as long as this lasts, if the console is a terminal."""
        if not self._console.is_terminal:
            yield
            return
        with Live(_Board(gauge), console=self._console, refresh_per_second=8, transient=True):
            yield


class _Board:
    """Draws the numbers anew whenever it is asked."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge

    def __rich__(self) -> RenderableType:
        return board(self._gauge.numbers)


def board(numbers: Numbers) -> RenderableType:
    """The numbers as a picture."""
    most = max(1, numbers.enqueued)
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", min_width=22)
    table.add_column(justify="right", min_width=7)
    table.add_column(no_wrap=True)
    for name, value, style in (
        ("accepted", numbers.enqueued, "blue"),
        ("in the queue (Redis)", numbers.in_streams, "cyan"),
        ("waiting (Postgres)", numbers.in_backlog, "yellow"),
        ("delivered", numbers.delivered, "green"),
        ("dead letters", numbers.dead, "red"),
    ):
        table.add_row(name, f"{value:,}", Text("█" * _length(value, most), style))
    return Group(Text(), table, _breaker(numbers))


def _length(value: int, most: int) -> int:
    return 0 if value == 0 else max(1, round(BAR * min(1.0, value / most)))


def _breaker(numbers: Numbers) -> Text:
    if numbers.breaker == "closed":
        return Text.assemble(
            ("breaker                ", "bold"), ("closed: Customer.io answers", "green")
        )
    soon = f", next try in {numbers.probe_in_s:.1f} s" if numbers.probe_in_s > 0 else ", trying"
    waits = f"; {count(numbers.in_backlog, 'job')} wait" if numbers.in_backlog else ""
    return Text.assemble(
        ("breaker                ", "bold"),
        (f"{numbers.breaker}: nothing is sent{soon}{waits}", "bold red"),
    )
