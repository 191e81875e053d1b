"""Progress bars on stderr; only a terminal shows them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from .output import stderr


class ProgressBar:
    """A bar with a note beside it, or the note alone where the total is not known."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def update(self, completed: float, note: str, total: float | None = None) -> None:
        """Show how much is done."""
        self._progress.update(self._task, completed=completed, total=total, note=note)

    def warn(self, reason: str) -> None:
        """Show why nothing moves; an empty reason: it moves again."""
        self._progress.update(self._task, warning=reason)


@contextmanager
def progress_bar(title: str, total: float | None, *, shown: bool = True) -> Iterator[ProgressBar]:
    """Show a bar while the body runs.

    Args:
        title: what is being done.
        total: how much there is to do; None: not known.
        shown: whether the work is long enough for a bar.
    """
    known = total is not None
    columns = [
        TextColumn("{task.description}"),
        *([BarColumn()] if known else []),
        TextColumn("{task.fields[note]}"),
        *([TimeRemainingColumn()] if known else []),
        TextColumn("[yellow]{task.fields[warning]}"),
    ]
    console = stderr()
    with Progress(
        *columns, console=console, transient=True, disable=not (shown and console.is_terminal)
    ) as progress:
        yield ProgressBar(progress, progress.add_task(title, total=total, note="", warning=""))
