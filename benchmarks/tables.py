"""Text tables for a terminal of eighty columns, and for pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Row = Sequence[str]
NAME = 35


@dataclass(frozen=True)
class Column:
    """A heading in two lines, and the width of its column in a terminal."""

    first: str
    second: str
    width: int

    @property
    def heading(self) -> str:
        """The heading in one line."""
        return f"{self.first} {self.second}".strip()


COLUMNS = (
    Column("delivered", "a second", 9),
    Column("× bare", "batch()", 7),
    Column("CPU s", "/10k", 6),
    Column("peak", "MB", 5),
    Column("requests", "/10k", 8),
    Column("", "±", 4),
)


def throughput_rows(runs: Sequence[dict[str, Any]]) -> dict[str, list[Row]]:
    """Return the rows of each mix; the ``batch()`` loop on one connection counts as 1."""
    by_mix: dict[str, list[Row]] = {}
    for run in runs:
        bare = _bare(runs, run["mix"])
        by_mix.setdefault(run["mix"], []).append((
            run["name"],
            f"{run['delivered_per_s']:,.0f}",
            f"{run['delivered_per_s'] / bare:.2f}" if bare else "–",
            f"{run['cpu_s_per_10k']:.2f}",
            f"{run['peak_mb']:,.0f}",
            f"{run['requests_per_10k']:,.0f}",
            f"{run['spread'] / 2:.0%}" if run["runs"] > 1 else "–",
        ))  # fmt: skip
    return by_mix


def _bare(runs: Sequence[dict[str, Any]], mix: str) -> float | None:
    return next(
        (
            run["delivered_per_s"]
            for run in runs
            if run["mix"] == mix and " 1 connection" in run["name"]
        ),
        None,
    )


def for_terminal(rows: dict[str, list[Row]]) -> str:
    """Return a table of at most eighty columns."""
    lines = [
        " " * NAME + "".join(f" {column.first:>{column.width}}" for column in COLUMNS),
        " " * NAME + "".join(f" {column.second:>{column.width}}" for column in COLUMNS),
    ]
    for mix, of_mix in rows.items():
        lines.append(f"-- {mix} ".ljust(NAME + sum(column.width + 1 for column in COLUMNS), "-"))
        for name, *values in of_mix:
            cells = "".join(
                f" {value:>{column.width}}" for value, column in zip(values, COLUMNS, strict=True)
            )
            lines.append(f"{name:{NAME}}{cells}")
    return "\n".join(lines)


def markdown(headings: Row, rows: Sequence[Row]) -> str:
    """Return a table for a page: the first column is text, the others are numbers."""
    rule = "|---|" + "---:|" * (len(headings) - 1)
    return "\n".join(
        ["| " + " | ".join(headings) + " |", rule, *("| " + " | ".join(row) + " |" for row in rows)]
    )
