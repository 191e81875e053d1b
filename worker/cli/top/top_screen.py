"""The screen of ``trackrelay top``: the verdict, what to do, and as many details as fit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from trackrelay.worker.cli.common.humanize import clock, count, duration, short
from trackrelay.worker.cli.common.output import heading, runnable
from trackrelay.worker.cli.status.status_hints import Hint, hints
from trackrelay.worker.cli.status.status_render import hint_table, render_verdict
from trackrelay.worker.telemetry.visible_text import visible_values

from .top_facts import Reading, flows
from .top_sections import ORDERS, Order, Section, Sections, flow_table, sections

#: Readings that take longer are told: a store does not answer.
LATE_S = 3.0
#: Lines of the screen up to which only the worst problems are shown.
SMALL = 30
#: Columns of the screen from which on lists stand side by side.
WIDE = 120
_BETWEEN, _INDENT = "  ", "  "

_KEYS = (
    ("q", "quit"),
    ("p", "pause the screen; delivery is not paused. Again: continue"),
    ("s", "sort the lists by name, by jobs, or by age"),
    ("?", "show and hide this help"),
)
_WORDS = (
    ("a second", "measured over the last ten seconds"),
    ("retried", "jobs put back because their request failed, or was limited"),
    ("dead letters", "jobs that will not succeed as they are"),
    ("requests", "to Customer.io, whatever the answer; a batch has up to 1,000 jobs"),
    ("waiting", "jobs in the outbox, the queue and the backlog"),
    ("the oldest", "how long the oldest of them has waited"),
    ("arrival", "from the call to Customer.io's answer"),
    ("in hand", "a worker has read it, and it is not settled yet"),
)
Lines = list[list[Segment]]


@dataclass(frozen=True, slots=True)
class View:
    """What the person at the screen chose."""

    order: Order = "name"
    #: What is shown while the screen is paused, and what came before it.
    held: tuple[Reading, Reading | None] | None = None
    shows_help: bool = False

    def after(self, key: str, shown: tuple[Reading, Reading | None] | None) -> View:
        """Return the view after a key was pressed."""
        if key == "s":
            return replace(self, order=ORDERS[(ORDERS.index(self.order) + 1) % len(ORDERS)])
        if key in ("p", " "):
            return replace(self, held=None if self.held else shown)
        if key in ("?", "h"):
            return replace(self, shows_help=not self.shows_help)
        if key == "\x1b":
            return replace(self, shows_help=False)
        return self


@dataclass(frozen=True, slots=True)
class TopScreen:
    """One frame.

    Args:
        shown: the reading, and an earlier one for the rates. None: none was read yet.
        view: what the person chose.
        height: lines of the window, because Rich tells a live screen none. None: as many lines as
            there are.
        interval_s: seconds between two readings; None: there is only one.
        late_s: for how long the next reading has taken.
    """

    shown: tuple[Reading, Reading | None] | None
    view: View = View()
    height: int | None = None
    interval_s: float | None = None
    late_s: float = 0.0

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterable[RenderableType | Segment]:
        """Render as many lines as there is room for."""
        canvas = _Canvas(console, options.update(height=None), self.height)
        for number, line in enumerate(self._lines(canvas)[: self.height]):
            if number:
                yield Segment.line()
            yield from line

    def _lines(self, canvas: _Canvas) -> Lines:
        if self.shown is None:
            waits = f" for {duration(self.late_s)}" if self.late_s >= LATE_S else ""
            return canvas.lines(Text(f"Reading{waits} … (q: quit)", "dim"))
        # What other people wrote is escaped before it is measured.
        snapshot = visible_values(self.shown[0].snapshot)
        verdict, status = render_verdict(snapshot), self._status_line(canvas.width)
        top = [*canvas.lines(verdict), *canvas.lines(status)]
        if self.view.shows_help:
            return [*top, [], *canvas.lines(_help())]
        what_to_do = hints(snapshot)
        if what_to_do:
            top += [] if canvas.is_small else [[]]
            top += canvas.lines(_what_to_do(what_to_do, canvas))
        flow = flows(self.shown[0], self.shown[1])
        top += [] if canvas.is_small and what_to_do else [[]]
        top += canvas.lines(flow_table(snapshot, flow, canvas.width, short=canvas.is_small))
        left = None if canvas.height is None else canvas.height - len(top)
        return [*top, *_below(sections(snapshot, self.view.order), canvas, left)]

    def _status_line(self, width: int) -> Table:
        assert self.shown is not None
        snapshot = self.shown[0].snapshot
        state = Text(clock(snapshot.now), "dim")
        if self.view.held:
            state.append("  screen paused, delivery is not: p continues", "bold yellow")
        elif self.late_s >= LATE_S:
            state.append(f"  no newer facts for {duration(self.late_s)}", "bold yellow")
        elif self.interval_s is not None:
            state.append(f", every {self.interval_s:g} s")
        table = Table.grid(expand=True)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        if self.interval_s is None:
            table.add_row(state)
        else:
            table.add_column(no_wrap=True, justify="right")
            table.add_row(state, Text(f"s by {self.view.order}  p pause  ? help  q quit", "dim"))
        return table


@dataclass(frozen=True, slots=True)
class _Canvas:
    """Where a frame is drawn."""

    console: Console
    options: ConsoleOptions
    #: None: as high as it must be.
    height: int | None

    @property
    def width(self) -> int:
        return self.options.max_width

    @property
    def is_small(self) -> bool:
        return self.height is not None and self.height <= SMALL

    def lines(self, rendered: RenderableType, width: int | None = None) -> Lines:
        """Return something as lines that are at most so wide."""
        options = self.options.update(width=max(1, width or self.width))
        return self.console.render_lines(rendered, options, pad=False)

    def blocks(self, parts: Iterable[Section], width: int) -> list[_Block]:
        """Return sections as lines that are at most so wide."""
        return [
            _Block(
                self.lines(each.heading, width),
                # Details are indented.
                [] if each.details is None else self.lines(each.details, width - len(_INDENT)),
                each.is_dispensable,
            )
            for each in parts
        ]


def _below(parts: Sections, canvas: _Canvas, height: int | None) -> Lines:
    """Return the sections in a height, the lists side by side if there is room."""
    if canvas.width < WIDE:
        blocks = canvas.blocks([*parts.above, *parts.work, *parts.rest], canvas.width)
        return fit(blocks, height)
    half = (canvas.width - len(_BETWEEN)) // 2
    columns = [canvas.blocks(each, half) for each in (parts.work, parts.rest)]
    above, height_above = canvas.blocks(parts.above, canvas.width), None
    if height is not None:
        # Most of the room is for the columns.
        longest = max(sum(map(len, blocks)) for blocks in columns)
        height_above = max(len(above), height - min(longest + 1, height // 2))
    found = fit(above, height_above)
    left, right = (
        fit(blocks, None if height is None else height - len(found)) for blocks in columns
    )
    return found + [
        [*Segment.adjust_line_length(one, half), Segment(_BETWEEN), *other]
        for one, other in zip_longest(left, right, fillvalue=list[Segment]())
    ]


def _what_to_do(found: Sequence[Hint], canvas: _Canvas) -> Group:
    """Return the worst problems, of each what fits into two lines; the others are counted."""
    if canvas.height is None:
        return Group(heading("What to do"), hint_table(found))
    limit = 2 if canvas.is_small else 3
    more = f"the worst {limit} of {count(len(found), 'thing')}; `status` has all"
    room = 2 * max(20, canvas.width - 8)
    return Group(
        heading("What to do", more if len(found) > limit else ""),
        hint_table([replace(each, text=short(each.text, room)) for each in found[:limit]]),
    )


def _help() -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, text in _KEYS:
        table.add_row(name, text)
    table.add_row()
    for name, text in _WORDS:
        table.add_row(name, text)
    table.add_row()
    table.add_row(
        "", Text(f"The same without a screen of its own: {runnable('trackrelay status')}")
    )
    return table


@dataclass(slots=True)
class _Block:
    """A section as lines, of which the details can be shortened."""

    heading: Lines
    #: A header and its rows, or nothing.
    details: Lines
    is_dispensable: bool
    shown: int = field(init=False)

    def __post_init__(self) -> None:
        self.shown = len(self.details)

    def __len__(self) -> int:
        return len(self.heading) + self.shown

    def shorten(self) -> None:
        """Take a line away. The last line that is left says how many are missing."""
        self.shown -= 1
        # The header, one row and the number of those missing, or nothing at all.
        if self.shown < 3 or self.is_dispensable:
            self.shown = 0

    def lines(self) -> Lines:
        """Return what is shown."""
        if self.shown == len(self.details):
            return [*self.heading, *map(_indented, self.details)]
        if not self.shown:
            return list(self.heading)
        missing = len(self.details) - self.shown + 1
        more = [Segment(f"… {missing:,} more")]
        return [*self.heading, *map(_indented, [*self.details[: self.shown - 1], more])]


def _indented(line: list[Segment]) -> list[Segment]:
    return [Segment(_INDENT), *line]


def fit(blocks: Sequence[_Block], height: int | None) -> Lines:
    """Return the lines of the blocks, in at most ``height`` lines; None: in any number.

    Details that can be dispensed with go first; then the longest become shorter. Headings at the
    end go last of all. Blank lines between sections are there if there is room.
    """
    blocks = list(blocks)
    while height is not None and blocks and sum(map(len, blocks)) > height:
        longest = max(
            reversed(blocks), key=lambda block: (block.is_dispensable and block.shown, block.shown)
        )
        if longest.shown:
            longest.shorten()
        else:
            blocks.pop()
    spaced = height is None or sum(map(len, blocks)) + len(blocks) <= height
    found: Lines = []
    for block in blocks:
        found += [[]] if spaced else []
        found += block.lines()
    return found
