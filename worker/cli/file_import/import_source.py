"""The file, or stdin, that is imported; and JSON Lines, in which a line is an operation."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from trackrelay.worker.cli.common.command_errors import CommandError
from trackrelay.worker.cli.common.operation_document import DocumentError, parse_document

#: No operation is longer; a longer line is refused without holding it in memory.
MAX_LINE_BYTES = 1_000_000
#: Bytes of a line without an operation that go into the rejects file.
_MAX_QUOTED = 2_000
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a file, or one row of CSV, before its operation is checked."""

    #: From 1, as in editors.
    number: int
    #: The operation that the line describes; None if it describes none.
    document: dict[str, Any] | None = None
    #: The line itself, if it describes no operation.
    text: str = ""
    #: Why it describes no operation, or "".
    problem: str = ""


class Source:
    """Where lines come from. Never held in memory as a whole.

    Args:
        name: a path, or ``-`` for stdin.
    """

    def __init__(self, name: str) -> None:
        self.name = "stdin" if name == "-" else name
        self._path = None if name == "-" else Path(name)
        self._file: BinaryIO | None = None

    @property
    def is_repeatable(self) -> bool:
        """Whether it can be read a second time: it is neither stdin nor a pipe."""
        return self._path is not None and self._path.is_file()

    @property
    def size(self) -> int | None:
        """Bytes, if they are known."""
        return self._path.stat().st_size if self._path is not None and self.is_repeatable else None

    @property
    def position(self) -> int:
        """How many bytes have been read."""
        try:
            return self._file.tell() if self._file is not None else 0
        except (OSError, ValueError):
            return 0

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """Yield the file, at its beginning.

        Raises:
            CommandError: it cannot be read; the message says why.
        """
        if self._path is None:
            self._file = sys.stdin.buffer
            yield self._file
            return
        try:
            with open(self._path, "rb", buffering=1 << 20) as file:
                self._file = file
                yield file
        except OSError as error:
            raise CommandError(f"{self._path} cannot be read: {error.strerror or error}") from None

    def check(self) -> None:
        """Fail now if it cannot be read, and not in the middle of the import."""
        if self._path is not None and (self._path.is_dir() or not os.access(self._path, os.R_OK)):
            with self.opened():
                pass


def as_text(file: BinaryIO) -> io.TextIOWrapper:
    """Return ``file`` as text; bytes that are not UTF-8 become surrogates, to be refused later."""
    return io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")


def read_json_lines(file: BinaryIO, name: str) -> Iterator[Line]:
    """Yield the lines of ``file`` that are not empty.

    Raises:
        CommandError: the file is one JSON document instead of one document a line.
    """
    for number, raw in enumerate(_lines(file), 1):
        text = (raw.removeprefix(_BOM) if number == 1 else raw).strip()
        if number == 1 and text in (b"[", b"{"):
            raise CommandError(
                f"{name} is one JSON document, not JSON Lines: "
                "jq -c '.[]' makes a line of each element"
            )
        if text:
            yield _line(number, text)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(MAX_LINE_BYTES + 1):
        yield line
        while len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            line = file.readline(MAX_LINE_BYTES + 1)


def _line(number: int, text: bytes) -> Line:
    if len(text) > MAX_LINE_BYTES:
        problem = f"longer than {MAX_LINE_BYTES:,} bytes"
    else:
        try:
            return Line(number, _unwrapped(parse_document(text)))
        except DocumentError as error:
            problem = str(error)
    return Line(number, text=text[:_MAX_QUOTED].decode(errors="replace"), problem=problem)


def _unwrapped(document: dict[str, Any]) -> dict[str, Any]:
    # A line of a rejects file can be imported as it is once its operation is repaired.
    if "reason" not in document or "line" not in document or "type" in document:
        return document
    inner = document.get("operation")
    if not isinstance(inner, dict):
        raise DocumentError(f"rejected before, and still not repaired: {document['reason']}")
    return inner
