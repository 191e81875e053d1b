"""The table in the docs, which the run writes between two markers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from .running import Result
from .table import COLUMNS, REPEATS, cells

BEGIN = "<!-- made by `make chaos`: begin -->"
END = "<!-- made by `make chaos`: end -->"


class NoMarkersError(Exception):
    """The page has no markers for the table."""


def check(page: Path) -> None:
    """Raise `NoMarkersError` unless ``page`` has both markers, in order. Checked before the run."""
    text = page.read_text()
    if not 0 <= text.find(BEGIN) < text.find(END):
        raise NoMarkersError(f"{page} must have the lines {BEGIN!r} and {END!r}, in this order")


def publish(results: Sequence[Result], page: Path, ran: str) -> None:
    """Replace what is between the markers of ``page``.

    Args:
        ran: when, where and by what command, as Markdown.
    """
    check(page)
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{ran}\n\n{table(results)}\n\n{END}{after}")


def table(results: Sequence[Result]) -> str:
    """The table as Markdown, with what each fault is, and what went wrong if anything did."""
    whats = [*(result.scenario.what for result in results), ""]
    lines = [
        _line(("fault", "what is done", *COLUMNS[1:])),
        _line(("---", "---", *["---:"] * (len(COLUMNS) - 1))),
    ]
    lines += [
        _line((row[0], what, *row[1:])) for row, what in zip(cells(results), whats, strict=True)
    ]
    return "\n".join([*lines, "", REPEATS[0].upper() + REPEATS[1:], *_remarks(results)])


def _remarks(results: Sequence[Result]) -> Iterator[str]:
    remarks = [
        f"- **{each.scenario.name} BROKEN**: {problem}"
        for each in results
        for problem in each.problems
    ]
    remarks += [
        f"- {result.scenario.name}: {result.scenario.note}"
        for result in results
        if result.scenario.note
    ]
    if remarks:
        yield ""
        yield from remarks


def _line(texts: Sequence[str]) -> str:
    return f"| {' | '.join(text.replace('|', '/') for text in texts)} |"
