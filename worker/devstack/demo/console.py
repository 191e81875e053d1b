"""The output of the demo: a line for each step and, on a terminal, the live counts below."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from trackrelay.worker.cli.common.humanize import count

from .job_counts import JobCounts, JobMonitor

BAR_WIDTH = 40


class DemoConsole:
    """Prints the steps of the demo; on a terminal, the counts stay below the last line.

    Args:
        console: The destination.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()

    def step(self, text: str, style: str = "") -> None:
        """Print a step, with the time since the start."""
        elapsed = time.monotonic() - self._started
        self._line(Text(f"{elapsed:5.1f} s", "dim"), Text(text, style))

    def detail(self, text: str) -> None:
        """Print a detail of the last step."""
        self._line(Text(), Text(text, "dim"))

    def _line(self, margin: Text, text: Text) -> None:
        line = Table.grid(padding=(0, 2, 0, 0))
        line.add_column(min_width=7, no_wrap=True)
        line.add_column(overflow="fold")
        line.add_row(margin, text)
        self._console.print(line)

    @contextmanager
    def live_counts(self, monitor: JobMonitor) -> Iterator[None]:
        """Show the counts during a ``with``, if the console is a terminal."""
        if not self._console.is_terminal:
            yield
            return
        with Live(
            get_renderable=lambda: render(monitor.counts),
            console=self._console,
            refresh_per_second=8,
            transient=True,
        ):
            yield


def render(counts: JobCounts) -> RenderableType:
    """Return the counts as a bar chart."""
    total = max(1, counts.enqueued)
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", min_width=22)
    table.add_column(justify="right", min_width=7)
    table.add_column(no_wrap=True)
    for name, value, style in (
        ("accepted", counts.enqueued, "blue"),
        ("queue (Redis)", counts.in_streams, "cyan"),
        ("backlog (Postgres)", counts.in_backlog, "yellow"),
        ("delivered", counts.delivered, "green"),
        ("dead letters", counts.dead, "red"),
    ):
        length = max(1, round(BAR_WIDTH * min(1.0, value / total))) if value else 0
        table.add_row(name, f"{value:,}", Text("█" * length, style))
    return Group(Text(), table, _breaker(counts))


def _breaker(counts: JobCounts) -> Text:
    name = ("breaker                ", "bold")
    if counts.breaker == "closed":
        return Text.assemble(name, ("closed: Customer.io answers", "green"))
    probe = f"next attempt in {counts.probe_in_s:.1f} s" if counts.probe_in_s > 0 else "trying now"
    backlog = f"; {count(counts.in_backlog, 'job')} in the backlog" if counts.in_backlog else ""
    return Text.assemble(name, (f"{counts.breaker}: nothing is sent, {probe}{backlog}", "bold red"))
