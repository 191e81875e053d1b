"""What an import shows: what it is about to do, how far it has come, what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from trackrelay.worker.cli.common.humanize import count

from .source import Source
from .survey import Survey


class Bar:
    """A progress bar over a file's bytes, or a count of lines where its length is not known. Shows only on a terminal."""

    def __init__(self, progress: Progress, task: TaskID, source: Source) -> None:
        self._progress = progress
        self._task = task
        self._source = source

    def moved(self, lines: int) -> None:
        """Show how far reading has come."""
        self._progress.update(self._task, completed=self._source.position, lines=f"{lines:,} lines")

    def waiting(self, why: str) -> None:
        """Show why nothing moves, or that it does again."""
        self._progress.update(self._task, why=why)


@contextmanager
def bar(console: Console, what: str, source: Source) -> Iterator[Bar]:
    """A bar while something goes over ``source``."""
    known = source.size is not None
    columns = [
        TextColumn("{task.description}"),
        *([BarColumn()] if known else []),
        TextColumn("{task.fields[lines]}"),
    ]
    columns += [TimeRemainingColumn()] if known else []
    columns += [TextColumn("[yellow]{task.fields[why]}")]
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task(what, total=source.size, lines="", why="")
        yield Bar(progress, task, source)


def show_survey(console: Console, source: Source, survey: Survey, refused: Sequence[str]) -> None:
    """Say what will be enqueued, what will be refused, and what the events may do.

    Args:
        refused: why the first lines are.
    """
    parts = [f"{number:,} {name}" for name, number in survey.operations.most_common()]
    if survey.refused:
        parts.append(f"{survey.refused:,} refused")
    operations = ", ".join(parts)
    console.print(
        Text(
            f"{source.name}: {count(survey.lines, 'line')}{': ' if operations else ''}{operations}"
        )
    )
    for reason in refused:
        console.print(Text(f"  {reason}"))
    show_ages(console, survey)


def show_ages(console: Console, survey: Survey) -> None:
    """Say how many events may trigger campaigns."""
    if survey.young:
        events = count(survey.young, "event")
        text = f"  {events} younger than 72 hours (or without a timestamp): may trigger campaigns"
        console.print(Text(text, style="yellow"))
    if survey.old:
        console.print(Text(f"  {count(survey.old, 'event')} older than 72 hours: will not"))
