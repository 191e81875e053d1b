"""Look: list Customer.io's activities: events, changes, messages, and what failed."""

from __future__ import annotations

from dataclasses import asdict

import click

from trackrelay.app_api import Activity

from .common.output import moment
from .reads.activity_text import activity_details, person_text
from .reads.read_options import checked, list_options, open_app_api, person_named
from .reads.read_output import ListFormat, Listing, print_list

_ACTIVITIES: Listing[Activity] = Listing(
    "activity",
    "activities",
    ("at", "type", "person", "name", "details"),
    lambda each: (
        moment(each.timestamp),
        each.type,
        person_text(each),
        each.name or each.url,
        activity_details(each),
    ),
    lambda each: asdict(each) | {"at": moment(each.timestamp)},
)


@click.command()
@click.option("--person", metavar="WHO", help="Only this person's: 42, email:ada@example.com …")
@click.option(
    "--type", "type_", metavar="TYPE", help="Only these: event, attribute_change, failed_event …"
)
@click.option("--name", metavar="NAME", help="Of this event, or of this attribute.")
@click.option("--deleted", is_flag=True, help="Those of people who were deleted.")
@list_options
def activities(
    person: str | None,
    type_: str | None,
    name: str | None,
    deleted: bool,
    limit: int,
    as_json: bool,
    as_csv: bool,
) -> None:
    """List Customer.io's activities, the latest first.

    Customer.io keeps them for 30 days. `trackrelay activities --type failed_attribute_change` lists
    what Customer.io accepted and then ignored. Needs CUSTOMERIO_APP_API_KEY.
    """
    form = ListFormat(limit, as_json, as_csv)
    whose = None if person is None else person_named(person)
    with open_app_api() as api:
        found = checked(
            lambda: api.activities(
                whose, type=type_, name=name, deleted=deleted, limit=form.fetched
            )
        )
        print_list(_ACTIVITIES, found, form)
