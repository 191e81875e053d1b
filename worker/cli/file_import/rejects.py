"""The rejects file: every line that was not sent, with its number and the reason, ready to be repaired and imported."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EACCES, ENOENT
from itertools import count
from pathlib import Path
from typing import IO, Any

import msgspec

from trackrelay.worker.cli.common.command_errors import CommandFailed

from .line import Line

_encode = msgspec.json.Encoder().encode


class Rejects:
    """Made when the first line is rejected, readable by its owner only: it holds people's data.

    Args:
        path: where; None keeps nothing but the count.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.count = 0
        #: The first few, for the terminal.
        self.first: list[str] = []
        self._file: IO[bytes] | None = None

    def add(self, line: Line, reason: str, field: str | None = None) -> None:
        """Keep ``line``."""
        self.count += 1
        if len(self.first) < 5:
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
        """Fail now if it could not be written, rather than half-way."""
        if self.path is not None:
            place = self.path if self.path.exists() else self.path.parent
            with self._writing():
                if not place.exists():
                    raise FileNotFoundError(ENOENT, os.strerror(ENOENT))
                if not os.access(place, os.W_OK):
                    raise PermissionError(EACCES, os.strerror(EACCES))

    def close(self) -> None:
        """Write what is not written yet. Once is enough."""
        file, self._file = self._file, None
        if file is not None:
            with self._writing():
                file.close()

    def flush(self) -> None:
        """Write what is not written yet, and go on."""
        if self._file is not None:
            with self._writing():
                self._file.flush()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CommandFailed(
                f"the rejects file {self.path} cannot be written: {error.strerror or error}"
            ) from None

    def _opened(self, path: Path) -> IO[bytes]:
        if self._file is None:
            self._file = os.fdopen(
                os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb"
            )
        return self._file


def default_path(source: str) -> Path:
    """``FILE.rejects.jsonl``, numbered if there is one already: it may hold lines that are just being repaired."""
    base = Path("import" if source == "stdin" else source)
    for number in count(1):
        suffix = f".rejects-{number}.jsonl" if number > 1 else ".rejects.jsonl"
        path = base.with_name(base.name + suffix)
        if not path.exists():
            return path
    raise AssertionError("count() does not end")
