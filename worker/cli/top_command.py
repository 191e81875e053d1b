"""Look: watch delivery on a screen that renews itself."""

from __future__ import annotations

import signal
import sys
from functools import partial
from types import FrameType

import click
from rich.console import Console
from rich.live import Live

from .common.command_errors import CommandError
from .common.command_stores import open_stores
from .common.output import show, stdout
from .top.keyboard import Keyboard
from .top.top_facts import Reader, read_top
from .top.top_screen import TopScreen, View

#: Seconds that a key is waited for: the size of the window may have changed meanwhile.
_TICK_S = 0.25


@click.command()
@click.option("--once", is_flag=True, help="Print one frame on stdout, and end.")
@click.option(
    "--interval",
    default=2.0,
    type=click.FloatRange(0.2),
    show_default=True,
    help="Seconds between two readings. A slow store is asked less often.",
)
def top(once: bool, interval: float) -> None:
    """Watch delivery: how fast, what waits, which breakers are open, which workers run.

    The screen has the facts of `trackrelay status` and how they change. Keys: q quits, p pauses
    the screen, s sorts, ? explains. NO_COLOR is respected.
    """
    console = stdout()
    if not once:
        _check_terminal(console)
    with open_stores() as stores:
        if once:
            show(TopScreen((read_top(stores), None)))
            return
        with Reader(partial(read_top, stores), interval) as reader:
            _run(console, reader)


def _check_terminal(console: Console) -> None:
    if not (console.is_terminal and sys.stdin.isatty()):
        raise CommandError("top needs a terminal: `trackrelay top --once` prints one frame")
    if console.is_dumb_terminal:
        raise CommandError(
            "top cannot draw on this terminal (TERM): `trackrelay top --once` prints one frame"
        )


def _run(console: Console, reader: Reader) -> None:
    def end(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # Whoever ends the command finds the terminal as it was.
    signal.signal(signal.SIGTERM, end)
    try:
        with (
            Keyboard(sys.stdin.fileno()) as keyboard,
            Live(console=console, auto_refresh=False, screen=True) as live,
        ):
            view, drawn = View(), None
            while True:
                latest = view.held or reader.latest
                late_s = reader.late_s
                # Seconds that nobody sees need no new frame.
                frame = (latest, view, console.size, int(late_s))
                if frame != drawn:
                    screen = TopScreen(latest, view, console.height, reader.interval_s, late_s)
                    live.update(screen, refresh=True)
                    drawn = frame
                key = keyboard.key(_TICK_S)
                if key == "q":
                    return
                view = view.after(key, latest)
    except (KeyboardInterrupt, EOFError):
        return
