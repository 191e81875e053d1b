"""Look: search Customer.io for people, by email or by attributes and segments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import islice
from typing import Any

import click

from trackrelay.app_api import AppApi, PersonMatch

from .reads.read_options import (
    Selection,
    checked,
    list_options,
    open_app_api,
    people_filter_options,
)
from .reads.read_output import ListFormat, Listing, print_list

#: Profiles that are read in one request.
CHUNK = 100


@click.command()
@click.option("--email", metavar="ADDRESS", help="With this email address.")
@people_filter_options
@click.option(
    "--show",
    "shown",
    multiple=True,
    metavar="NAME",
    help="Show this attribute as well. Repeatable.",
)
@list_options
def people(
    email: str | None,
    shown: tuple[str, ...],
    limit: int,
    as_json: bool,
    as_csv: bool,
    **selected: Any,
) -> None:
    """Search Customer.io for people.

    All conditions must match: `trackrelay people --where plan=pro --without churned --in-segment
    7`. Customer.io compares attributes as text, for equality alone. Needs CUSTOMERIO_APP_API_KEY.
    """
    form = ListFormat(limit, as_json, as_csv)
    where = Selection(**selected).where()
    if (email is None) == (where is None):
        raise click.UsageError(
            "give either --email, or conditions: --where, --has, --without, --in-segment, --filter"
        )
    with open_app_api() as api:
        found = checked(lambda: api.people(email=email, where=where, limit=form.fetched))
        entries = _with_attributes(api, found, shown)
        print_list(_listing(shown), entries, form)


#: A person, and the attributes that were asked for.
_Entry = tuple[PersonMatch, dict[str, str | None]]


def _with_attributes(
    api: AppApi, found: Iterator[PersonMatch], shown: tuple[str, ...]
) -> Iterator[_Entry]:
    while chunk := list(islice(found, CHUNK)):
        by_cio_id: dict[str, Mapping[str, str]] = {}
        by_id: dict[str, Mapping[str, str]] = {}
        if shown:
            for profile in api.people_by_ids(match.person for match in chunk):
                if profile.cio_id:
                    by_cio_id[profile.cio_id] = profile.attributes
                if profile.id:
                    by_id[profile.id] = profile.attributes
        for match in chunk:
            attributes = by_cio_id.get(match.cio_id) or by_id.get(match.id or "") or {}
            yield match, {name: attributes.get(name) for name in shown}


def _listing(shown: tuple[str, ...]) -> Listing[_Entry]:
    def row(entry: _Entry) -> list[str | None]:
        match, attributes = entry
        return [match.id, match.email, match.cio_id, *attributes.values()]

    def as_json(entry: _Entry) -> dict[str, Any]:
        match, attributes = entry
        return asdict(match) | ({"attributes": attributes} if shown else {})

    return Listing("person", "people", ("id", "email", "cio_id", *shown), row, as_json)
