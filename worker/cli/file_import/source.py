"""The file, or stdin: opened as often as it can be, read once at a time, never held in memory."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from trackrelay.worker.cli.common.command_errors import CommandFailed


class Source:
    """Where lines come from.

    Args:
        name: a path, or ``-`` for stdin.
    """

    def __init__(self, name: str) -> None:
        self.name = "stdin" if name == "-" else name
        self._path = None if name == "-" else Path(name)
        self._reading: BinaryIO | None = None

    @property
    def is_repeatable(self) -> bool:
        """Whether it can be read a second time: not stdin, not a pipe."""
        return self._path is not None and self._path.is_file()

    @property
    def size(self) -> int | None:
        """Bytes, if that is known."""
        return self._path.stat().st_size if self._path is not None and self.is_repeatable else None

    @property
    def position(self) -> int:
        """How many bytes have been read."""
        try:
            return self._reading.tell() if self._reading is not None else 0
        except (OSError, ValueError):
            return 0

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """The bytes, from the beginning.

        Raises:
            CommandFailed: it cannot be read; the message says why.
        """
        if self._path is None:
            self._reading = sys.stdin.buffer
            yield self._reading
            return
        try:
            with open(self._path, "rb", buffering=1 << 20) as file:
                self._reading = file
                yield file
        except OSError as error:
            raise CommandFailed(f"{self._path} cannot be read: {error.strerror or error}") from None

    def check(self) -> None:
        """Fail now if it cannot be read, rather than half-way."""
        if self._path is not None and (self._path.is_dir() or not os.access(self._path, os.R_OK)):
            with self.opened():
                pass


def as_text(file: BinaryIO) -> io.TextIOWrapper:
    """``file`` as text; what is not UTF-8 becomes surrogates, to be refused line by line."""
    return io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
