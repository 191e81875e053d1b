"""Single keys of a terminal, read without Enter and without an echo."""

from __future__ import annotations

import os
import re
import select
import termios
from collections import deque
from types import TracebackType
from typing import Any, Self

_LOCAL_FLAGS, _CONTROL_CHARACTERS = 3, 6
# Arrows and the like are several characters that begin with Escape.
_KEY = re.compile(r"\x1b[\[O][0-9;]*[A-Za-z~]|.", re.DOTALL)


class Keyboard:
    """The keys that somebody presses. A context manager, which restores the terminal.

    Ctrl-C stays what it is. Ctrl-Z does nothing: the screen would stay behind.

    Args:
        descriptor: of the terminal.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._before: list[Any] = []
        self._pressed: deque[str] = deque()

    def __enter__(self) -> Self:
        self._before = termios.tcgetattr(self._descriptor)
        changed = termios.tcgetattr(self._descriptor)
        changed[_LOCAL_FLAGS] &= ~(termios.ECHO | termios.ICANON)
        changed[_CONTROL_CHARACTERS][termios.VSUSP] = b"\0"
        termios.tcsetattr(self._descriptor, termios.TCSADRAIN, changed)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Keys that nobody has read are not for the shell.
        termios.tcsetattr(self._descriptor, termios.TCSAFLUSH, self._before)

    def key(self, timeout_s: float) -> str:
        """Return the next key that is pressed within a time, or "".

        Raises:
            EOFError: the terminal is gone.
        """
        if not self._pressed:
            ready, _, _ = select.select([self._descriptor], [], [], timeout_s)
            if not ready:
                return ""
            pressed = os.read(self._descriptor, 256)
            if not pressed:
                raise EOFError
            self._pressed.extend(_KEY.findall(pressed.decode(errors="replace")))
        return self._pressed.popleft()
