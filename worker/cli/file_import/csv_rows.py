"""CSV: a row is somebody's identify or event, its cells are attributes."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import partial
from typing import Any, BinaryIO, Literal

import click

from trackrelay.errors import InvalidOperationError
from trackrelay.operations.refs import plain_id

from .line import Line
from .source import as_text

#: More than the longest cell Customer.io would take.
CELL_CHARACTERS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What the columns mean."""

    kind: Literal["identify", "event"]
    #: Names the person.
    id: str
    #: Which identifier that is: ``id``, ``email``, ``phone``, ``cio_id`` or, for events, ``anonymous_id``. None: an id,
    #: unless it looks like something else.
    id_type: str | None = None
    #: The events' name, or the column that has it.
    name: str | None = None
    name_column: str | None = None
    timestamp: str | None = None
    idempotency_key: str | None = None
    #: Attributes: these columns, or else all that mean nothing else …
    only: tuple[str, ...] = ()
    #: … but for these.
    skip: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    booleans: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    #: What a time without a zone means; None: what TRACKRELAY_NAIVE_TIMEZONE says, or nothing.
    naive_timezone: tzinfo | None = None

    @property
    def special(self) -> set[str]:
        """The columns that are not attributes."""
        return {
            name
            for name in (self.id, self.name_column, self.timestamp, self.idempotency_key)
            if name
        }

    @property
    def mentioned(self) -> set[str]:
        """Every column that must be there."""
        return self.special | {*self.only, *self.skip, *self.numbers, *self.booleans, *self.times}


class _BadCell(Exception):
    """A cell that is not what its column should be."""


def read(file: BinaryIO, name: str, columns: Columns, delimiter: str) -> Iterator[Line]:
    """The rows of ``file`` below its header.

    Raises:
        click.UsageError: a column that was named is not there.
    """
    csv.field_size_limit(CELL_CHARACTERS)
    rows = csv.reader(as_text(file), delimiter=delimiter, strict=True)
    header = _header(rows, name, columns)
    number = rows.line_num + 1
    while True:
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield Line(number, text="", problem=f"not CSV: {error}")
        else:
            if cells:
                yield _line(number, header, cells, columns)
        number = rows.line_num + 1


def _header(rows: Any, name: str, columns: Columns) -> list[str]:
    try:
        header = [cell.strip() for cell in next(rows)]
    except (StopIteration, csv.Error):
        raise click.UsageError(
            f"{name} has no header: its first line must name the columns"
        ) from None
    if missing := sorted(columns.mentioned - set(header)):
        raise click.UsageError(f"{name} has no column {missing[0]!r}; it has {', '.join(header)}")
    if doubled := [column for index, column in enumerate(header) if column in header[:index]]:
        raise click.UsageError(f"{name} has two columns {doubled[0]!r}")
    return header


def _line(number: int, header: list[str], cells: list[str], columns: Columns) -> Line:
    text = ",".join(cells)
    if not text.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in text):
        return Line(number, text=text.encode(errors="replace").decode(), problem="not UTF-8")
    if len(cells) != len(header):
        return Line(
            number, text=text, problem=f"has {len(cells)} cells; the header has {len(header)}"
        )
    try:
        return Line(number, _document(dict(zip(header, cells, strict=True)), columns))
    except _BadCell as error:
        return Line(number, text=text, problem=str(error))


def _document(row: dict[str, str], columns: Columns) -> dict[str, Any]:
    document: dict[str, Any] = {
        "type": "anonymous" if columns.id_type == "anonymous_id" else "person",
        "action": columns.kind,
        "identifiers": _identifiers(row[columns.id].strip(), columns),
        "attributes": _attributes(row, columns),
    }
    if columns.kind == "event":
        document["name"] = row[columns.name_column] if columns.name_column else columns.name
    if columns.timestamp and row[columns.timestamp].strip():
        document["timestamp"] = _converted(
            row, columns.timestamp, partial(_time, columns.naive_timezone)
        )
    if columns.idempotency_key and row[columns.idempotency_key].strip():
        document["idempotency_key"] = row[columns.idempotency_key].strip()
    return document


def _identifiers(cell: str, columns: Columns) -> dict[str, str]:
    if columns.id_type is not None:
        return {columns.id_type: cell}
    try:
        return {"id": plain_id(cell)}
    except InvalidOperationError:
        if "@" not in cell and not cell.startswith("cio_"):
            return {"id": cell}  # the checks say what is wrong with it
    meant = "email" if "@" in cell else "cio_id"
    raise _BadCell(
        f"column {columns.id!r} holds what looks like a person's {meant}: say --id-type {meant}, or --id-type id "
        "if it is your id for the person"
    )


def _attributes(row: dict[str, str], columns: Columns) -> dict[str, Any]:
    wanted = columns.only or tuple(
        name for name in row if name not in columns.special and name not in columns.skip
    )
    # An empty cell says nothing. As a value it would take the attribute away.
    return {
        name: _converted(row, name, _kind(name, columns)) for name in wanted if row[name].strip()
    }


def _kind(name: str, columns: Columns) -> Callable[[str], Any]:
    if name in columns.numbers:
        return _number
    if name in columns.booleans:
        return _boolean
    return partial(_time, columns.naive_timezone) if name in columns.times else str


def _converted(row: dict[str, str], name: str, convert: Callable[[str], Any]) -> Any:
    try:
        return convert(row[name].strip())
    except ValueError as error:
        raise _BadCell(f"column {name!r}: {error}") from None


def _number(cell: str) -> int | float:
    try:
        return int(cell)
    except ValueError:
        pass
    try:
        number = float(cell)
    except ValueError:
        raise ValueError(f"{cell[:50]!r} is no number") from None
    if number != number or number in (float("inf"), float("-inf")):
        raise ValueError(f"{cell[:50]!r} is no number")
    return number


def _boolean(cell: str) -> bool:
    known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if cell.lower() not in known:
        raise ValueError(f"{cell[:50]!r} is neither true nor false")
    return known[cell.lower()]


def _time(naive_timezone: tzinfo | None, cell: str) -> int | float | datetime:
    try:
        return _number(cell)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(cell)
    except ValueError:
        raise ValueError(
            f"{cell[:50]!r} is no time: unix seconds, or ISO 8601 such as 2026-01-31T12:00:00Z"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=naive_timezone)
    # One without a zone is left to the checks, which know whether TRACKRELAY_NAIVE_TIMEZONE says what it means.
    return moment if moment.tzinfo is None else int(moment.timestamp())
