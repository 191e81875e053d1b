"""The options that tell what the columns of a CSV file mean."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import click

from .csv_rows import Columns

_OPTIONS = [
    click.option(
        "--as", "kind", type=click.Choice(["identify", "event"]), help="CSV: what a row becomes."
    ),
    click.option("--id-column", metavar="COLUMN", help="CSV: the column that names the person."),
    click.option(
        "--id-type",
        type=click.Choice(["id", "email", "phone", "cio_id", "anonymous_id"]),
        help="CSV: the identifier in that column. Default: id; rows that hold an email or a cio_id "
        "are "
        "then refused.",
    ),
    click.option("--name", metavar="NAME", help="CSV: the name of all events."),
    click.option(
        "--name-column", metavar="COLUMN", help="CSV: the column that holds the event's name."
    ),
    click.option(
        "--timestamp-column",
        metavar="COLUMN",
        help="CSV: the column with the time it happened: unix seconds or ISO 8601.",
    ),
    click.option(
        "--idempotency-column",
        metavar="COLUMN",
        help="CSV: the column with your own name for the row: rows with the same name are one job.",
    ),
    click.option(
        "--only",
        multiple=True,
        metavar="COLUMN",
        help="CSV: a column that becomes an attribute. Repeatable. Default: all.",
    ),
    click.option(
        "--skip",
        multiple=True,
        metavar="COLUMN",
        help="CSV: a column that does not become an attribute. Repeatable.",
    ),
    click.option(
        "--number",
        multiple=True,
        metavar="COLUMN",
        help="CSV: a column of numbers instead of text. Repeatable.",
    ),
    click.option(
        "--boolean",
        multiple=True,
        metavar="COLUMN",
        help="CSV: a column of true and false. Repeatable.",
    ),
    click.option(
        "--time",
        multiple=True,
        metavar="COLUMN",
        help="CSV: a column of times, sent as unix seconds. Repeatable.",
    ),
    click.option(
        "--naive-timezone",
        metavar="ZONE",
        callback=lambda _context, _option, given: _zone(given),
        help="CSV: the zone of times that name none, such as Europe/Berlin. "
        "Default: TRACKRELAY_NAIVE_TIMEZONE.",
    ),
    click.option(
        "--delimiter",
        metavar="CHARACTER",
        help="CSV: what separates cells. Default: a comma; in .tsv files a tab.",
    ),
]


def csv_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command that takes ``columns`` (None: no CSV) and ``delimiter``."""

    @functools.wraps(command)
    def with_columns(**given: Any) -> Any:
        names = (
            "kind",
            "id_column",
            "id_type",
            "name",
            "name_column",
            "timestamp_column",
            "idempotency_column",
        )
        several = ("only", "skip", "number", "boolean", "time", "naive_timezone")
        taken = {name: given.pop(name) for name in (*names, *several)}
        return command(columns=_columns(taken), **given)

    for option in reversed(_OPTIONS):
        with_columns = option(with_columns)
    return with_columns


def _columns(given: dict[str, Any]) -> Columns | None:
    if given["kind"] is None:
        if unused := [name for name, value in given.items() if value]:
            raise click.UsageError(
                f"--{unused[0].replace('_', '-')} is for CSV: add --as identify or --as event"
            )
        return None
    if given["id_column"] is None:
        raise click.UsageError("CSV needs --id-column: the column that names the person")
    _check_kind(given)
    return Columns(
        kind=given["kind"],
        id=given["id_column"],
        id_type=given["id_type"],
        name=given["name"],
        name_column=given["name_column"],
        timestamp=given["timestamp_column"],
        idempotency_key=given["idempotency_column"],
        only=given["only"],
        skip=given["skip"],
        numbers=given["number"],
        booleans=given["boolean"],
        times=given["time"],
        naive_timezone=given["naive_timezone"],
    )


def _zone(given: str | None) -> tzinfo | None:
    if given is None:
        return None
    try:
        return ZoneInfo(given)
    except (KeyError, ValueError, OSError):
        raise click.BadParameter(
            f"{given[:50]!r} is not a time zone such as Europe/Berlin"
        ) from None


def _check_kind(given: dict[str, Any]) -> None:
    named = [name for name in ("name", "name_column") if given[name]]
    if given["kind"] == "event" and len(named) != 1:
        raise click.UsageError("events need either --name or --name-column")
    if given["kind"] == "identify" and named:
        raise click.UsageError(f"--{named[0].replace('_', '-')} is for --as event")
    if given["kind"] == "identify" and given["id_type"] == "anonymous_id":
        raise click.UsageError(
            "--id-type anonymous_id is for --as event: a row cannot identify an anonymous person"
        )


def delimiter_of(file: str, given: str | None) -> str:
    """Return the character between cells."""
    delimiter = (
        given.replace("\\t", "\t") if given else "\t" if file.lower().endswith(".tsv") else ","
    )
    if len(delimiter) != 1:
        raise click.UsageError(f"--delimiter must be one character, not {given!r}")
    return delimiter
