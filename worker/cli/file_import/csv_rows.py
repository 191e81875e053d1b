"""CSV: a row is an identify or an event of a person; its cells are attributes."""

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

from .import_source import Line, as_text

#: Longer than any cell that Customer.io would accept.
MAX_CELL = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What the columns mean. Names are those of the header."""

    kind: Literal["identify", "event"]
    #: The column that names the person.
    id: str
    #: The identifier in that column: ``id``, ``email``, ``phone``, ``cio_id`` or, for events,
    #: ``anonymous_id``. None: an id; cells that look like something else are refused.
    id_type: str | None = None
    #: The events' name, or the column that holds it.
    name: str | None = None
    name_column: str | None = None
    timestamp: str | None = None
    idempotency_key: str | None = None
    #: Attributes: these columns; empty: all columns without another meaning …
    only: tuple[str, ...] = ()
    #: … except these.
    skip: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    booleans: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    #: The zone of a time that names none; None: TRACKRELAY_NAIVE_TIMEZONE.
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
        """Every column that the header must have."""
        return self.special | {*self.only, *self.skip, *self.numbers, *self.booleans, *self.times}


class _CellError(Exception):
    """A cell does not hold what its column promises."""


def read_csv(file: BinaryIO, name: str, columns: Columns, delimiter: str) -> Iterator[Line]:
    """Yield the rows of ``file`` below its header.

    Raises:
        click.UsageError: the header lacks a column that an option names.
    """
    csv.field_size_limit(MAX_CELL)
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
        raise click.UsageError(f"{name} has two columns named {doubled[0]!r}")
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
    except _CellError as error:
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
            return {"id": cell}  # the checks explain what is wrong
    meant = "email" if "@" in cell else "cio_id"
    raise _CellError(
        f"column {columns.id!r} holds what looks like a person's {meant}: add --id-type {meant}, "
        "or --id-type id if it is your id for the person"
    )


def _attributes(row: dict[str, str], columns: Columns) -> dict[str, Any]:
    wanted = columns.only or tuple(
        name for name in row if name not in columns.special and name not in columns.skip
    )
    # An empty cell is left out: sent as a value, it would remove the attribute.
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
        raise _CellError(f"column {name!r}: {error}") from None


def _number(cell: str) -> int | float:
    try:
        return int(cell)
    except ValueError:
        pass
    try:
        number = float(cell)
    except ValueError:
        raise ValueError(f"{cell[:50]!r} is not a number") from None
    if number != number or number in (float("inf"), float("-inf")):
        raise ValueError(f"{cell[:50]!r} is not a number")
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
            f"{cell[:50]!r} is not a time such as 1767225600 or 2026-01-31T12:00:00Z"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=naive_timezone)
    # Without a zone, the checks apply TRACKRELAY_NAIVE_TIMEZONE or refuse it.
    return moment if moment.tzinfo is None else int(moment.timestamp())
