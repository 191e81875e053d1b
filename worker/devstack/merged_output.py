"""The output of several children in one terminal: each line begins with the name of its child.

honcho's printer is not used: it escapes no control characters, and fails when the terminal closes.
"""

from __future__ import annotations

import os
import re
import threading
from typing import IO

from trackrelay.worker.telemetry.visible_text import visible_lines

_COLOURS = ("36", "35", "33", "32", "34")
#: Only the time of a timestamp is shown: the reader knows the date.
_TIMESTAMP = re.compile(r"(?<!\d)\d{4}-\d\d-\d\dT(\d\d:\d\d:\d\d)\.\d+Z")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


class MergedOutput:
    """Writes the lines of any number of children as they arrive.

    Args:
        to: The destination; a terminal gets colours.
        width: The length of the longest name.
    """

    def __init__(self, to: IO[str], width: int = 6) -> None:
        self._to = to
        self._width = width
        self._in_colour = to.isatty()
        self._lock = threading.Lock()
        self._readers: list[threading.Thread] = []

    def of(self, name: str) -> int:
        """Return a file descriptor for the output of a child; the caller closes it."""
        reading, writing = os.pipe()
        reader = threading.Thread(
            target=self._read, args=(name, reading), name=f"output-of-{name}", daemon=True
        )
        self._readers.append(reader)
        reader.start()
        return writing

    def finish(self, timeout_s: float = 2.0) -> None:
        """Wait for the last lines of children that have ended."""
        for reader in self._readers:
            reader.join(timeout_s)

    def _read(self, name: str, reading: int) -> None:
        prefix = f"{name:<{self._width}} │ "
        if self._in_colour:
            prefix = f"\x1b[{_COLOURS[len(self._readers) % len(_COLOURS)]}m{prefix}\x1b[0m"
        with open(reading, "rb") as lines:
            for line in lines:
                self._write(prefix + self._sanitize(line.decode(errors="replace").rstrip()))

    def _sanitize(self, line: str) -> str:
        """Keep the colours of a child; escape all other control characters, which can be data."""
        parts = _ANSI.split(line)
        colours = [*_ANSI.findall(line), ""] if self._in_colour else [""] * len(parts)
        safe = "".join(
            visible_lines(part) + colour for part, colour in zip(parts, colours, strict=True)
        )
        return _TIMESTAMP.sub(r"\1", safe, count=1)

    def _write(self, line: str) -> None:
        with self._lock:
            try:
                self._to.write(line + "\n")
                self._to.flush()
            except (OSError, ValueError):
                # The terminal is closed. Keep reading, or the children would block on their pipes.
                return
