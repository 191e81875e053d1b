"""The command line, as a user has it."""

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from tests.support.waiting import patient
from tests.support.worker_process import ROOT, clean_environment
from trackrelay.worker.cli.main import trackrelay


@dataclass(frozen=True)
class Answer:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """What is wrong, a line each."""
        return [
            line.removeprefix("trackrelay: ")
            for line in self.err.splitlines()
            if line.startswith("trackrelay: ")
        ]

    @property
    def json(self) -> Any:
        """The only document on stdout."""
        return json.loads(self.out)

    def only_line(self) -> str:
        """The only line on stderr of a command that failed."""
        assert self.code == 1, self
        assert "Traceback" not in self.err
        assert len(self.lines) == 1, self.err
        return self.lines[0]


class CommandLine:
    """Runs `trackrelay` with given settings and without this process's.

    Arguments:
        settings: environment variables by name.
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        self.settings = dict(settings)

    def __call__(
        self, *arguments: str, input: str | bytes | None = None, **changes: str | None
    ) -> Answer:
        """Run in this process; `changes` are settings, None removes one."""
        result = CliRunner(env={**self.settings, **changes}).invoke(
            trackrelay, arguments, input=input
        )
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception  # what a user would see as a traceback
        return Answer(result.exit_code, result.stdout, result.stderr)

    def process(
        self, *arguments: str, input: str | None = None, cwd: Path = ROOT, **changes: str
    ) -> Answer:
        """Run in a separate process, with the console script."""
        done = subprocess.run(
            [str(Path(sys.executable).with_name("trackrelay")), *arguments],
            env=clean_environment() | self.settings | changes,
            cwd=cwd,
            input=input,
            capture_output=True,
            text=True,
            timeout=patient(60),
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def terminal(self, *arguments: str, size: tuple[int, int] = (40, 120), **changes: str) -> str:
        """What a terminal gets from the console script: everything, as it was written."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        child = subprocess.Popen(
            [str(Path(sys.executable).with_name("trackrelay")), *arguments],
            env=clean_environment() | {"TERM": "xterm-256color"} | self.settings | changes,
            cwd=ROOT,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        written = bytearray()
        try:
            while chunk := os.read(ours, 65_536):
                written += chunk
        except OSError:
            pass  # how a terminal says that nobody has it open any more
        finally:
            os.close(ours)
            child.wait(60)
        return written.decode(errors="surrogateescape")
