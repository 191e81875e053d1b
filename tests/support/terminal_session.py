"""A command that somebody sits in front of: a terminal, keys, and what is on the screen."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from .waiting import patient, wait_until
from .worker_process import ROOT, clean_environment

_HOME = "\x1b[H"
# Otherwise Ctrl-C would be for nobody.
_TAKE_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
#: What a terminal shows before and after a screen of its own.
ENTER, LEAVE, SHOW_CURSOR = "\x1b[?1049h", "\x1b[?1049l", "\x1b[?25h"


class TerminalSession:
    """A ``trackrelay`` command in a terminal, started as a context manager.

    Args:
        arguments: of the command.
        environment: settings and other variables.
        size: lines and columns.
    """

    def __init__(
        self,
        arguments: list[str],
        environment: Mapping[str, str],
        size: tuple[int, int] = (40, 120),
    ) -> None:
        self._arguments = arguments
        self._environment = {"TERM": "xterm-256color", **environment}
        self._size = size
        self._written = bytearray()

    def __enter__(self) -> Self:
        self._ours, self._theirs = pty.openpty()
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *self._size, 0, 0))
        self._before = termios.tcgetattr(self._theirs)
        program = Path(sys.executable).with_name("trackrelay")
        self._child = subprocess.Popen(
            [sys.executable, "-c", _TAKE_TERMINAL, str(program), *self._arguments],
            env=clean_environment() | self._environment,
            cwd=ROOT,
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
        )
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._child.kill()
        self._child.wait(patient(20))
        os.close(self._theirs)

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while chunk := os.read(self._ours, 65_536):
                self._written += chunk
        os.close(self._ours)

    @property
    def written(self) -> str:
        """Everything that the terminal got."""
        return self._written.decode(errors="replace")

    @property
    def screen(self) -> str:
        """The words of the latest frame, in single blanks."""
        return " ".join(_CODES.sub("", self.written.rpartition(_HOME)[2]).split())

    def wait_for(self, text: str) -> None:
        """Wait until the screen has a text."""
        wait_until(
            lambda: text in self.screen,
            15,
            lambda: f"{text!r} on the screen, which reads:\n{self.screen}",
        )

    def press(self, keys: str) -> None:
        """Press keys."""
        os.write(self._ours, keys.encode())

    def terminate(self) -> None:
        """Ask the command to end, as a supervisor does."""
        self._child.send_signal(signal.SIGTERM)

    def wait_end(self) -> int:
        """Wait until the command has ended; return its exit status."""
        return self._child.wait(patient(20))

    @property
    def is_as_before(self) -> bool:
        """Whether the command left the terminal as it found it."""
        screen = self.written.rpartition(ENTER)[2]
        return (
            termios.tcgetattr(self._theirs) == self._before
            and LEAVE in screen
            and SHOW_CURSOR in screen
        )
