"""Keys of a terminal, and the terminal afterwards."""

from __future__ import annotations

import os
import pty
import termios
from collections.abc import Iterator

import pytest

from trackrelay.worker.cli.top.keyboard import Keyboard


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Return both ends: the person's, and the command's."""
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(theirs)
    os.close(ours)


def test_a_key_needs_no_enter_and_has_no_echo(terminal: tuple[int, int]) -> None:
    ours, theirs = terminal
    with Keyboard(theirs) as keyboard:
        assert keyboard.key(0.0) == ""
        os.write(ours, b"s")
        assert keyboard.key(10.0) == "s"
        # An arrow is one key, and none of ours.
        os.write(ours, b"\x1b[A")
        assert keyboard.key(10.0) == "\x1b[A"
        # Somebody types faster than the screen is drawn.
        os.write(ours, b"?\x1bOAsq")
        assert [keyboard.key(10.0) for _ in range(4)] == ["?", "\x1bOA", "s", "q"]
        os.write(ours, "ß".encode()[:1])
        assert keyboard.key(10.0) == "\N{REPLACEMENT CHARACTER}"
        os.set_blocking(ours, False)
        with pytest.raises(BlockingIOError):
            os.read(ours, 10)


def test_the_terminal_is_restored_after_an_error_too(terminal: tuple[int, int]) -> None:
    _, theirs = terminal
    before = termios.tcgetattr(theirs)

    def fail() -> None:
        with Keyboard(theirs):
            assert termios.tcgetattr(theirs) != before
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert termios.tcgetattr(theirs) == before


def test_a_terminal_that_is_gone_ends_the_command() -> None:
    ours, theirs = os.pipe()
    os.close(theirs)
    keyboard = Keyboard(ours)
    with pytest.raises(EOFError):
        keyboard.key(10.0)
    os.close(ours)
