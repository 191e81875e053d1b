"""The options that say what a CSV's columns mean."""

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
        "--as", "kind", type=click.Choice(["identify", "event"]), help="CSV: what a row is."
    ),
    click.option("--id-column", metavar="COLUMN", help="CSV: whose row it is."),
    click.option(
        "--id-type",
        type=click.Choice(["id", "email", "phone", "cio_id", "anonymous_id"]),
        help="CSV: what stands there. Default: an id, and no row whose id looks like an email or a cio_id.",
    ),
    click.option("--name", metavar="NAME", help="CSV: the events' name."),
    click.option("--name-column", metavar="COLUMN", help="CSV: … or the column it stands in."),
    click.option(
        "--timestamp-column",
        metavar="COLUMN",
        help="CSV: when it happened: unix seconds or ISO 8601.",
    ),
    click.option("--idempotency-column", metavar="COLUMN", help="CSV: your own name for the row."),
    click.option(
        "--only",
        multiple=True,
        metavar="COLUMN",
        help="CSV: an attribute; default: all. Repeatable.",
    ),
    click.option(
        "--skip", multiple=True, metavar="COLUMN", help="CSV: not an attribute. Repeatable."
    ),
    click.option(
        "--number",
        multiple=True,
        metavar="COLUMN",
        help="CSV: holds numbers, not text. Repeatable.",
    ),
    click.option(
        "--boolean", multiple=True, metavar="COLUMN", help="CSV: holds true or false. Repeatable."
    ),
    click.option(
        "--time",
        multiple=True,
        metavar="COLUMN",
        help="CSV: holds times, sent as unix seconds. Repeatable.",
    ),
    click.option(
        "--naive-timezone",
        metavar="ZONE",
        callback=lambda _context, _option, given: _zone(given),
        help="CSV: what a time without a zone means, such as Europe/Berlin. Default: TRACKRELAY_NAIVE_TIMEZONE.",
    ),
    click.option("--delimiter", metavar="CHARACTER", help="CSV: default: a comma, in .tsv a tab."),
]


def csv_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options to a command that takes ``columns`` (None: no CSV) and ``delimiter``."""

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
        if lost := [name for name, value in given.items() if value]:
            raise click.UsageError(
                f"--{lost[0].replace('_', '-')} is for CSV: say --as identify or --as event"
            )
        return None
    if given["id_column"] is None:
        raise click.UsageError("CSV needs --id-column: the column that says whose row it is")
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
        raise click.BadParameter(f"{given[:50]!r} is no time zone such as Europe/Berlin") from None


def _check_kind(given: dict[str, Any]) -> None:
    named = [name for name in ("name", "name_column") if given[name]]
    if given["kind"] == "event" and len(named) != 1:
        raise click.UsageError("events need a name: --name or --name-column, one of them")
    if given["kind"] == "identify" and named:
        raise click.UsageError(f"--{named[0].replace('_', '-')} is for --as event")
    if given["kind"] == "identify" and given["id_type"] == "anonymous_id":
        raise click.UsageError(
            "somebody anonymous cannot be identified by a row: --id-type anonymous_id is for --as event"
        )


def delimiter_of(file: str, given: str | None) -> str:
    """The character between cells."""
    delimiter = (
        given.replace("\\t", "\t") if given else "\t" if file.lower().endswith(".tsv") else ","
    )
    if len(delimiter) != 1:
        raise click.UsageError(f"--delimiter must be one character; it is {given!r}")
    return delimiter
