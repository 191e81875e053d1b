"""The table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from .running import Result

#: Where there is no terminal: as wide as the table needs.
WIDTH = 140
#: Problems shown of each scenario.
SHOWN = 12
COLUMNS = (
    "fault",
    "jobs",
    "injected",
    "lost",
    "duplicated",
    "out of order",
    "recovery s",
    "repeats",
)
REPEATS = (
    "repeats: events that came again and were ignored by their id / identifies and the like that "
    "came again with the time they "
    "had the first time / forms, metrics and segments, which Customer.io knows by no id."
)


def rows(results: Sequence[Result]) -> list[dict[str, Any]]:
    """The table as a list of objects."""
    return [
        {
            "fault": result.scenario.name,
            "jobs": result.accounts.jobs,
            "injected": result.injected,
            "lost": result.accounts.lost,
            "duplicated": result.accounts.duplicated,
            "out_of_order": result.accounts.out_of_order,
            "recovery_s": None if result.recovery_s is None else round(result.recovery_s, 1),
            "repeats_ignored": result.accounts.repeats_ignored,
            "repeats_harmless": result.accounts.repeats_harmless,
            "repeats_without_id": result.accounts.repeats_without_id,
            "seconds": round(result.seconds, 1),
            "kept": result.good,
            "metrics": [
                {
                    "metric": line.metric,
                    "prometheus": line.value,
                    "accounts": line.expected,
                    "from": line.account,
                    "agrees": line.agrees,
                }
                for line in result.metrics
            ],
            "problems": result.problems,
        }
        for result in results
    ]


def cells(results: Sequence[Result]) -> list[list[str]]:
    """The table's rows as text, the sums last."""
    sums = (sum(numbers) for numbers in zip(*(_counts(result) for result in results), strict=True))
    return [
        *(_cells(result) for result in results),
        ["all", *(f"{number:,}" for number in sums), "", ""],
    ]


def show(results: Sequence[Result], console: Console) -> None:
    """Print the table and its notes."""
    table = Table(box=box.MARKDOWN)
    for name in COLUMNS:
        table.add_column(name, justify="left" if name == "fault" else "right", no_wrap=True)
    styles = [*(None if result.good else "bold red" for result in results), None]
    for row, style in zip(cells(results), styles, strict=True):
        table.add_row(*row, style=style)
    console.print(table)
    console.print(REPEATS, soft_wrap=True)
    for result in results:
        if result.scenario.note:
            console.print(f"{result.scenario.name}: {result.scenario.note}", soft_wrap=True)


def show_problems(result: Result, console: Console) -> None:
    """Print what went wrong in one scenario."""
    for problem in result.problems[:SHOWN]:
        console.print(f"  {problem}", style="red", markup=False, soft_wrap=True)
    if (more := len(result.problems) - SHOWN) > 0:
        console.print(f"  … and {more} more", style="red")


def show_metrics(result: Result, console: Console) -> None:
    """Print what Prometheus scraped in one scenario beside the accounts."""
    lines = [line for line in result.metrics if not line.is_empty]
    if not lines:
        return
    table = Table(box=box.MARKDOWN)
    for name in ("metric", "Prometheus", "accounts", "from"):
        justify = "right" if name in ("Prometheus", "accounts") else "left"
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for line in lines:
        table.add_row(
            line.metric,
            line.found,
            line.expected,
            line.account,
            style=None if line.agrees else "bold red",
        )
    console.print(table)
    others = len(result.metrics) - len(lines)
    console.print(f"{others} other comparisons: nothing on both sides", soft_wrap=True)


def _counts(result: Result) -> tuple[int, int, int, int, int]:
    accounts = result.accounts
    return accounts.jobs, result.injected, accounts.lost, accounts.duplicated, accounts.out_of_order


def _cells(result: Result) -> list[str]:
    accounts = result.accounts
    recovery = "–" if result.recovery_s is None else f"{result.recovery_s:.1f}"
    repeats = (
        f"{accounts.repeats_ignored} / {accounts.repeats_harmless} / {accounts.repeats_without_id}"
    )
    return [result.scenario.name, *(f"{number:,}" for number in _counts(result)), recovery, repeats]
