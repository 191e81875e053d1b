"""Look: list Customer.io's segments, those of a person, or the people in one."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich.text import Text

from trackrelay.app_api import AppApi, PersonMatch, Segment
from trackrelay.worker.telemetry.visible_text import visible

from .common.command_options import MAX_NUMBER
from .common.humanize import clock, count
from .common.output import fact_table, print_json, show
from .reads.read_options import checked, list_options, open_app_api, person_named
from .reads.read_output import ListFormat, Listing, print_list

_SEGMENTS: Listing[Segment] = Listing(
    "segment",
    "segments",
    ("id", "name", "type", "state", "description"),
    lambda each: (each.id, each.name, each.type, _state(each), each.description),
    asdict,
)
_MEMBERS: Listing[PersonMatch] = Listing(
    "person",
    "people",
    ("id", "email", "cio_id"),
    lambda each: (each.id, each.email, each.cio_id),
    asdict,
)


@click.command()
@click.argument(
    "segment_id", required=False, type=click.IntRange(1, MAX_NUMBER), metavar="[SEGMENT]"
)
@click.option("--members", "with_members", is_flag=True, help="List the people in SEGMENT.")
@click.option("--person", metavar="WHO", help="List the segments that a person is in.")
@list_options
def segments(
    segment_id: int | None,
    with_members: bool,
    person: str | None,
    limit: int,
    as_json: bool,
    as_csv: bool,
) -> None:
    """List Customer.io's segments, or show one of them.

    SEGMENT is a number: `trackrelay segments 7 --members`. Needs CUSTOMERIO_APP_API_KEY.
    """
    form = ListFormat(limit, as_json, as_csv)
    if segment_id is None and with_members:
        raise click.UsageError("--members needs the number of a segment")
    if segment_id is not None and person is not None:
        raise click.UsageError("give either SEGMENT or --person")
    whose = None if person is None else person_named(person)
    with open_app_api() as api:
        if segment_id is None:
            print_list(_SEGMENTS, iter(checked(lambda: api.segments(whose))), form)
        elif with_members:
            members = api.segment(segment_id).members(limit=form.fetched)
            print_list(_MEMBERS, members, form)
        else:
            _show_one(api, segment_id, form)


def _show_one(api: AppApi, segment_id: int, form: ListFormat) -> None:
    handle = api.segment(segment_id)
    segment, people = handle.get(), handle.count()
    if form.as_csv:
        print_list(_SEGMENTS, iter([segment]), form)
        return
    if form.as_json:
        print_json(asdict(segment) | {"count": people})
        return
    facts = {
        "segment": f"{segment.id}  {segment.name or ''}",
        "people": count(people, "person", "people"),
        "type": segment.type,
        "state": _state(segment),
        "updated": clock(segment.updated_at) if segment.updated_at else None,
        "about": segment.description,
    }
    table = fact_table((name, Text(visible(text))) for name, text in facts.items() if text)
    show(table)


def _state(segment: Segment) -> str:
    done = "" if segment.progress is None else f" ({segment.progress} %)"
    return f"{segment.state or ''}{done}"
