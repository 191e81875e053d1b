"""The table in the docs, which the run writes between two markers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from .running import Result
from .scenario import SCENARIOS
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


@dataclass(slots=True)
class Earlier:
    """What earlier runs wrote: their commands, and rows and remarks by scenario."""

    runs: list[str] = field(default_factory=list)
    rows: dict[str, str] = field(default_factory=dict)
    remarks: dict[str, list[str]] = field(default_factory=dict)

    def without(self, names: Collection[str]) -> Earlier:
        """Return what was written of other scenarios that there still are."""
        kept = [name for name in SCENARIOS if name not in names]
        return Earlier(
            self.runs,
            {name: self.rows[name] for name in kept if name in self.rows},
            {name: self.remarks[name] for name in kept if name in self.remarks},
        )


def read(page: Path) -> Earlier:
    """Return what stands between the markers of ``page``."""
    earlier = Earlier()
    for line in page.read_text().partition(BEGIN)[2].partition(END)[0].splitlines():
        name = line.strip("|-* ").split(" ")[0].rstrip(":*")
        if line.startswith("`make chaos"):
            earlier.runs.append(line)
        elif line.startswith("|"):
            earlier.rows[name] = line
        elif line.startswith("- "):
            earlier.remarks.setdefault(name, []).append(line)
    return earlier


def publish(
    results: Sequence[Result], page: Path, ran: str, earlier: Earlier | None = None
) -> None:
    """Write the table between the markers of ``page``.

    Args:
        results: the rows.
        page: a Markdown page.
        ran: when, where and by what command, as Markdown.
        earlier: what stays of earlier runs, as far as these results do not replace it.
    """
    check(page)
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    kept = (earlier or Earlier()).without({each.scenario.name for each in results})
    parts = [*kept.runs, ran, _table(results, kept)]
    page.write_text("\n\n".join([f"{before}{BEGIN}", *parts, f"{END}{after}"]))


def _table(results: Sequence[Result], earlier: Earlier) -> str:
    found = earlier.rows | {
        row[0]: _line((row[0], result.scenario.what, *row[1:]))
        for result, row in zip(results, cells(results), strict=False)
    }
    order = list(SCENARIOS)
    names = sorted(found, key=lambda name: order.index(name) if name in order else -1)
    sums = [sum(column) for column in zip(*(_numbers(found[name]) for name in names), strict=True)]
    lines = [
        _line(("fault", "what is done", *COLUMNS[1:])),
        _line(("---", "---", *["---:"] * (len(COLUMNS) - 1))),
        *(found[name] for name in names),
        _line(("all", "", *(f"{number:,}" for number in sums), "", "")),
    ]
    remarks = [*chain.from_iterable(earlier.remarks.values()), *_remarks(results)]
    note = REPEATS[0].upper() + REPEATS[1:]
    return "\n".join([*lines, "", note, *(["", *remarks] if remarks else [])])


def _numbers(line: str) -> list[int]:
    """Return the counts of a row: jobs, injected, lost, duplicated, out of order."""
    return [int(text.replace(",", "")) for text in line.split("|")[3:8]]


def _remarks(results: Sequence[Result]) -> Iterator[str]:
    for each in results:
        yield from (f"- **{each.scenario.name} BROKEN**: {problem}" for problem in each.problems)
    for each in results:
        if each.scenario.note:
            yield f"- {each.scenario.name}: {each.scenario.note}"


def _line(texts: Sequence[str]) -> str:
    return f"| {' | '.join(text.replace('|', '/') for text in texts)} |"
