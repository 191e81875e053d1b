"""A progress bar for what takes more than a moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from trackrelay.worker.cli.common.output import stderr
from trackrelay.worker.dead_letters.replay_batches import CHUNK


@contextmanager
def progress(total: int, what: str) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr, if there is more than one chunk of work."""
    columns = (TextColumn(f"{what:<10}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr(), transient=True, disable=total <= CHUNK) as bar:
        task = bar.add_task(what, total=total)
        yield lambda size: bar.advance(task, size)
