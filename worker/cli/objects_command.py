"""Look: search Customer.io for objects of a type, or list the types."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from trackrelay.app_api import ObjectMatch, ObjectType

from .reads.read_options import (
    Selection,
    checked,
    list_options,
    object_filter_options,
    open_app_api,
)
from .reads.read_output import ListFormat, Listing, print_list

_OBJECTS: Listing[ObjectMatch] = Listing(
    "object",
    "objects",
    ("object_id", "cio_object_id"),
    lambda each: (each.object_id, each.cio_object_id),
    asdict,
)
_TYPES: Listing[ObjectType] = Listing(
    "object type",
    "object types",
    ("id", "name", "singular_name", "enabled"),
    lambda each: (each.id, each.name, each.singular_name, each.enabled),
    asdict,
)


@click.command()
@click.argument("type", required=False, metavar="[TYPE]")
@object_filter_options
@list_options
def objects(type: str | None, limit: int, as_json: bool, as_csv: bool, **selected: Any) -> None:
    """Search Customer.io for objects of a type; without TYPE, list the types.

    TYPE is a number, or a name in TRACKRELAY_OBJECT_TYPES. All conditions must match:
    `trackrelay objects 1 --where name=Acme --has plan`. Needs CUSTOMERIO_APP_API_KEY.
    """
    form = ListFormat(limit, as_json, as_csv)
    where = Selection(**selected).where(of_objects=True)
    if type is None and where is not None:
        raise click.UsageError("conditions need the type of the objects: trackrelay objects TYPE …")
    with open_app_api() as api:
        if type is None:
            print_list(_TYPES, iter(api.object_types()), form)
        else:
            found = checked(lambda: api.objects(type, where=where, limit=form.fetched))
            print_list(_OBJECTS, found, form)
