"""What an import reports: the rejects file, the survey of a file, the progress bar."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from errno import EACCES, ENOENT
from itertools import count as numbers
from pathlib import Path
from typing import IO, Any

import msgspec
from rich.console import Console
from rich.text import Text

from trackrelay.operations.registry import BY_NAME
from trackrelay.worker.cli.common.command_errors import CommandError
from trackrelay.worker.cli.common.humanize import count
from trackrelay.worker.dead_letters.replay_batches import CAMPAIGN_WINDOW_S

from .import_source import Line

#: Rejected lines that the terminal shows.
MAX_SHOWN = 5
_encode = msgspec.json.Encoder().encode


class Rejects:
    """Counts rejected lines, and writes them to a file from which they can be imported again.

    The file is created for the first rejected line. Only its owner can read it: it holds personal
    data.

    Args:
        path: the file; None: only count.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.count = 0
        #: The first few, for the terminal.
        self.first: list[str] = []
        self._file: IO[bytes] | None = None

    def add(self, line: Line, reason: str, field: str | None = None) -> None:
        """Keep a rejected line."""
        self.count += 1
        if len(self.first) < MAX_SHOWN:
            self.first.append(f"line {line.number}: {reason}")
        if self.path is not None:
            rejected: dict[str, Any] = {"line": line.number, "reason": reason}
            rejected |= {"field": field} if field else {}
            rejected |= (
                {"text": line.text} if line.document is None else {"operation": line.document}
            )
            with self._writing():
                self._opened(self.path).write(_encode(rejected) + b"\n")

    def check(self) -> None:
        """Fail now if the file cannot be written, and not in the middle of the import."""
        if self.path is not None:
            place = self.path if self.path.exists() else self.path.parent
            with self._writing():
                if not place.exists():
                    raise FileNotFoundError(ENOENT, os.strerror(ENOENT))
                if not os.access(place, os.W_OK):
                    raise PermissionError(EACCES, os.strerror(EACCES))

    def flush(self) -> None:
        """Write what is still in memory."""
        if self._file is not None:
            with self._writing():
                self._file.flush()

    def close(self) -> None:
        """Write what is still in memory, and close the file. Can be called again."""
        file, self._file = self._file, None
        if file is not None:
            with self._writing():
                file.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CommandError(
                f"the rejects file {self.path} cannot be written: {error.strerror or error}"
            ) from None

    def _opened(self, path: Path) -> IO[bytes]:
        if self._file is None:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            self._file = os.fdopen(descriptor, "wb")
        return self._file


def default_rejects_path(source: str) -> Path:
    """Return ``FILE.rejects.jsonl``, with a number if that exists: somebody may be repairing it."""
    base = Path("import" if source == "stdin" else source)
    for number in numbers(1):
        suffix = f".rejects-{number}.jsonl" if number > 1 else ".rejects.jsonl"
        path = base.with_name(base.name + suffix)
        if not path.exists():
            return path
    raise AssertionError("count() does not end")


@dataclass(slots=True)
class Survey:
    """Which operations a file holds, and whether its events may trigger campaigns."""

    #: Unix seconds from which ages are counted.
    now: float
    lines: int = 0
    #: Lines without an operation that Customer.io would accept.
    refused: int = 0
    #: How many valid operations there are, by name.
    operations: Counter[str] = field(default_factory=Counter)
    #: Events that may trigger campaigns: younger than 72 hours, or without a timestamp.
    young: int = 0
    #: Events that will not trigger campaigns.
    old: int = 0

    def refuse(self) -> None:
        """Count a refused line."""
        self.lines += 1
        self.refused += 1

    def add(self, document: dict[str, Any]) -> None:
        """Count a valid line."""
        self.lines += 1
        name = f"{document.get('type')}.{document.get('action')}"
        self.operations[name] += 1
        action = BY_NAME.get(name)
        if action and action.is_event:
            age = self.now - _seconds(document.get("timestamp"), self.now)
            self.old += age > CAMPAIGN_WINDOW_S
            self.young += age <= CAMPAIGN_WINDOW_S


def _seconds(timestamp: Any, now: float) -> float:
    if isinstance(timestamp, datetime):
        return timestamp.timestamp()
    return float(timestamp) if isinstance(timestamp, int | float) else now


def print_survey(console: Console, name: str, survey: Survey, refused: Sequence[str]) -> None:
    """Print what will be enqueued and refused, and whether events may trigger campaigns.

    Args:
        console: where to print.
        name: the file.
        survey: of the file.
        refused: why the first lines are refused.
    """
    parts = [f"{number:,} {operation}" for operation, number in survey.operations.most_common()]
    if survey.refused:
        parts.append(f"{survey.refused:,} refused")
    operations = f": {', '.join(parts)}" if parts else ""
    console.print(Text(f"{name}: {count(survey.lines, 'line')}{operations}"))
    for reason in refused:
        console.print(Text(f"  {reason}"))
    print_campaigns(console, survey)


def print_campaigns(console: Console, survey: Survey) -> None:
    """Print how many events may trigger campaigns."""
    if survey.young:
        text = (
            f"  {count(survey.young, 'event')} younger than 72 hours (or without a timestamp) "
            "may trigger campaigns"
        )
        console.print(Text(text, style="yellow"))
    if survey.old:
        text = f"  {count(survey.old, 'event')} older than 72 hours will not trigger campaigns"
        console.print(Text(text))
