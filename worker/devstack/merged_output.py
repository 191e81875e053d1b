"""The words of several children in one terminal: each line with the name of who said it."""

from __future__ import annotations

import os
import re
import threading
from typing import IO

from trackrelay.worker.telemetry.visible_text import visible_lines

_COLOURS = ("36", "35", "33", "32", "34")
#: The time is enough: whoever reads this sits in front of it.
_MOMENT = re.compile(r"(?<!\d)\d{4}-\d\d-\d\dT(\d\d:\d\d:\d\d)\.\d+Z")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


class Merged:
    """Passes on lines as they come, whole, and from any number of children.

    Args:
        to: where; colours are left out if it is no terminal.
        width: of the longest name.
    """

    def __init__(self, to: IO[str], width: int = 6) -> None:
        self._to = to
        self._width = width
        self._in_colour = to.isatty()
        self._writing = threading.Lock()
        self._readers: list[threading.Thread] = []

    def of(self, name: str) -> int:
        """A file descriptor for the child called ``name``; closed by the caller."""
        reading, writing = os.pipe()
        reader = threading.Thread(
            target=self._read, args=(name, reading), name=f"lines-of-{name}", daemon=True
        )
        self._readers.append(reader)
        reader.start()
        return writing

    def finish(self, timeout_s: float = 2.0) -> None:
        """Wait for the last words of children that have ended."""
        for reader in self._readers:
            reader.join(timeout_s)

    def _read(self, name: str, reading: int) -> None:
        prefix = self._prefix(name, len(self._readers))
        with open(reading, "rb") as lines:
            for line in lines:
                self._write(prefix + self._clean(line.decode(errors="replace").rstrip()))

    def _prefix(self, name: str, number: int) -> str:
        text = f"{name:<{self._width}} │ "
        return f"\x1b[{_COLOURS[number % len(_COLOURS)]}m{text}\x1b[0m" if self._in_colour else text

    def _clean(self, line: str) -> str:
        # A child's colours pass; what else steers a terminal was in somebody's data.
        parts = _ANSI.split(line)
        colours = [*_ANSI.findall(line), ""] if self._in_colour else [""] * len(parts)
        safe = "".join(
            visible_lines(part) + colour for part, colour in zip(parts, colours, strict=True)
        )
        return _MOMENT.sub(r"\1", safe, count=1)

    def _write(self, line: str) -> None:
        with self._writing:
            try:
                self._to.write(line + "\n")
                self._to.flush()
            except (OSError, ValueError):
                return  # the terminal is gone; the children go on being read, or they would stand still
