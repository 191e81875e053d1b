"""Lists of what Customer.io knows: as a table, as CSV, as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

import click
from rich.text import Text

from trackrelay.worker.cli.common.humanize import count, short
from trackrelay.worker.cli.common.output import list_table, print_json, say, show
from trackrelay.worker.telemetry.visible_text import visible, visible_lines

T = TypeVar("T")

#: Characters of a cell in a table.
MAX_CELL = 60
#: A spreadsheet takes a cell that begins with one of these for a formula.
_FORMULA = ("=", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """How a list is shown.

    Attributes:
        noun: one of its entries: ``person``.
        plural: ``people``.
        columns: the headings, which are the names in CSV as well.
        row: makes the cells of an entry.
        as_json: makes the JSON of an entry.
    """

    noun: str
    plural: str
    columns: Sequence[str]
    row: Callable[[T], Sequence[Any]]
    as_json: Callable[[T], Any]


@dataclass(frozen=True, slots=True)
class ListFormat:
    """What ``--limit``, ``--json`` and ``--csv`` were given."""

    limit: int
    as_json: bool
    as_csv: bool

    def __post_init__(self) -> None:
        if self.as_json and self.as_csv:
            raise click.UsageError("--json and --csv exclude each other")

    @property
    def fetched(self) -> int | None:
        """How many results to ask for: one more than is shown, to know whether there are more."""
        return self.limit + 1 if self.limit else None


def print_list(listing: Listing[T], results: Iterator[T], form: ListFormat) -> None:
    """Print a list, and say on stderr if there are more entries."""
    shown = islice(results, form.limit) if form.limit else results
    if form.as_csv:
        _print_csv(listing, shown)
    elif form.as_json:
        entries = [listing.as_json(each) for each in shown]
        has_more = _has_more(results, form)
        print_json({listing.plural.replace(" ", "_"): entries, "has_more": has_more})
        return
    else:
        _print_table(listing, list(shown))
    if _has_more(results, form):
        say(f"trackrelay: there are more; --limit {form.limit * 10} shows more", err=True)


def _has_more(results: Iterator[T], form: ListFormat) -> bool:
    return bool(form.limit) and next(results, None) is not None


def _print_table(listing: Listing[T], entries: Sequence[T]) -> None:
    if not entries:
        click.echo(f"No {listing.noun} matches.")
        return
    table = list_table(*listing.columns, left=listing.columns)
    table.columns[0].no_wrap = True
    for each in entries:
        table.add_row(
            *(Text(short(visible(cell_text(cell)), MAX_CELL)) for cell in listing.row(each))
        )
    show(table)
    say(f"\n{count(len(entries), listing.noun, listing.plural)}.")


def _print_csv(listing: Listing[T], entries: Iterator[T]) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(listing.columns)
    for each in entries:
        writer.writerow([_csv_text(cell) for cell in listing.row(each)])
        # Line by line: a long list is not collected first.
        click.echo(visible_lines(buffer.getvalue()), nl=False)
        buffer.seek(0)
        buffer.truncate()
    click.echo(visible_lines(buffer.getvalue()), nl=False)


def cell_text(value: Any) -> str:
    """Return a value as a cell has it."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return str(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def _csv_text(value: Any) -> str:
    text = cell_text(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
