"""Options of the commands that read Customer.io, and what they make of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import Any, TypeVar

import click

from trackrelay.app_api import AppApi, AppApiCallError, Filter, attr, in_segment, object_attr
from trackrelay.errors import InvalidOperationError
from trackrelay.operations.refs import Person
from trackrelay.worker.cli.common.command_options import MAX_NUMBER, PERSON_KINDS, json_option

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

#: How long a command keeps trying when Customer.io does not answer.
RETRY_FOR_S = 10.0

csv_option = click.option("--csv", "as_csv", is_flag=True, help="Print CSV on stdout.")
limit_option = click.option(
    "--limit",
    default=50,
    show_default=True,
    type=click.IntRange(0, MAX_NUMBER),
    metavar="N",
    help="At most N; 0: all.",
)
_WHERE = click.option(
    "--where",
    "conditions",
    multiple=True,
    metavar="NAME=VALUE",
    help="With this value of an attribute; NAME!=VALUE: without it. Repeatable.",
)
_HAS = click.option(
    "--has", "present", multiple=True, metavar="NAME", help="With this attribute. Repeatable."
)
_WITHOUT = click.option(
    "--without", "absent", multiple=True, metavar="NAME", help="Without this attribute. Repeatable."
)
_SEGMENT = click.option(
    "--in-segment",
    "segments",
    multiple=True,
    type=click.IntRange(1, MAX_NUMBER),
    metavar="ID",
    help="In this segment. Repeatable.",
)
_FILTER = click.option(
    "--filter",
    "document",
    metavar="JSON",
    help="The App API's own filter, instead of the options above.",
)


def list_options(command: F) -> F:
    """Add ``--limit``, ``--json`` and ``--csv``."""
    return limit_option(json_option(csv_option(command)))


def people_filter_options(command: F) -> F:
    """Add the options that select people."""
    return _WHERE(_HAS(_WITHOUT(_SEGMENT(_FILTER(command)))))


def object_filter_options(command: F) -> F:
    """Add the options that select objects."""
    return _WHERE(_HAS(_WITHOUT(_FILTER(command))))


@dataclass(frozen=True, slots=True)
class Selection:
    """What the options select. All of it must match."""

    conditions: tuple[str, ...]
    present: tuple[str, ...]
    absent: tuple[str, ...]
    document: str | None
    segments: tuple[int, ...] = ()

    def where(self, *, of_objects: bool = False) -> Filter | Mapping[str, Any] | None:
        """Return the filter; None if nothing was given.

        Raises:
            click.UsageError: an option is wrong.
        """
        attribute = object_attr if of_objects else attr
        try:
            parts = [
                *(_condition(text, of_objects) for text in self.conditions),
                *(attribute(name).exists() for name in self.present),
                *(~attribute(name).exists() for name in self.absent),
                *map(in_segment, self.segments),
            ]
        except AppApiCallError as error:
            raise click.UsageError(str(error)) from None
        if self.document is not None:
            if parts:
                raise click.UsageError("--filter stands instead of the other conditions")
            return _json_filter(self.document)
        return reduce(and_, parts) if parts else None


def _condition(text: str, of_objects: bool) -> Filter:
    name, equals, value = text.partition("=")
    negated = name.endswith("!")
    name = name.removesuffix("!").strip()
    if not equals or not name:
        raise click.UsageError(f"--where needs NAME=VALUE, such as plan=pro; it is {text!r}")
    attribute = (object_attr if of_objects else attr)(name)
    return attribute != value if negated else attribute == value


def _json_filter(text: str) -> Mapping[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"--filter is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise click.UsageError('--filter needs an object, such as {"and": […]}')
    return document


def person_named(text: str, option: str = "--person") -> Person:
    """Return the person that an argument names: 42, email:ada@example.com, phone:+1…, cio_id:….

    Raises:
        click.UsageError: it names nobody, or an anonymous visitor.
    """
    kind, separator, value = text.partition(":")
    try:
        if separator and kind in PERSON_KINDS:
            return Person(**{PERSON_KINDS[kind]: value})
        return Person.of(text)
    except InvalidOperationError as error:
        raise click.UsageError(
            f"{option}: {error}. On the command line: id:…, email:…, phone:…, cio_id:…"
        ) from None


def open_app_api() -> AppApi:
    """Return the client that the settings configure.

    Raises:
        ConfigurationError: with one line for each setting that is missing or wrong.
    """
    return AppApi(retry_for=RETRY_FOR_S)


def checked(call: Callable[[], T]) -> T:
    """Return what ``call`` returns; what a user asked wrongly is an error of usage.

    Raises:
        click.UsageError: the App API cannot be asked that.
    """
    try:
        return call()
    except AppApiCallError as error:
        raise click.UsageError(str(error)) from None
