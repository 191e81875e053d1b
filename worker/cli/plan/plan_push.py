"""Write the plan's descriptions and privacy into Customer.io's Data Index."""

from __future__ import annotations

from typing import Any

import click

from trackrelay.app_api import AppApi
from trackrelay.app_api.workspace_reader import MAX_METADATA
from trackrelay.errors import TrackRelayError
from trackrelay.plan.data_index import DataIndexEntries, data_index_entries, in_chunks
from trackrelay.worker.cli.common.command_errors import CommandError
from trackrelay.worker.cli.common.command_options import (
    confirm,
    dry_run_option,
    json_option,
    require_answer,
    yes_option,
)
from trackrelay.worker.cli.common.humanize import count
from trackrelay.worker.cli.common.output import list_table, print_json, say, show
from trackrelay.worker.cli.common.plan_options import opened, plan_file_argument
from trackrelay.worker.cli.reads.read_options import open_app_api
from trackrelay.worker.telemetry.visible_text import visible

#: Characters of a description that a line shows.
MAX_SHOWN = 60


@click.command()
@plan_file_argument
@click.option("--no-privacy", is_flag=True, help="Write descriptions alone.")
@dry_run_option
@yes_option
@json_option
def push(file: str, no_privacy: bool, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Write descriptions and privacy into Customer.io's Data Index.

    People who write campaigns then see there what an event or an attribute means. The privacy of
    attributes needs a Premium plan of Customer.io; --no-privacy leaves it out. Needs
    CUSTOMERIO_APP_API_KEY.
    """
    require_answer(as_json, yes, dry_run)
    entries = data_index_entries(opened(file), with_privacy=not no_privacy)
    total = len(entries.events) + len(entries.attributes)
    if not as_json:
        _print(entries)
    if total and not dry_run:
        if not yes:
            confirm(f"Write {count(total, 'entry', 'entries')} into the Data Index?")
        with open_app_api() as api:
            _write(api, entries)
    if as_json:
        print_json(_document(entries, written=total if not dry_run else 0))
    elif not total:
        say("The plan has no descriptions.")
    elif dry_run:
        say(f"Would write {count(total, 'entry', 'entries')}.")
    else:
        say(f"Wrote {count(total, 'entry', 'entries')}.")


def _write(api: AppApi, entries: DataIndexEntries) -> None:
    written = 0
    try:
        for events in in_chunks(entries.events, MAX_METADATA):
            api.write_event_metadata(events)
            written += len(events)
        for attributes in in_chunks(entries.attributes, MAX_METADATA):
            api.write_attribute_metadata(attributes)
            written += len(attributes)
    except TrackRelayError as error:
        raise CommandError(
            f"{error}\n{count(written, 'entry was', 'entries were')} written before"
        ) from None


def _print(entries: DataIndexEntries) -> None:
    table = list_table(*_COLUMNS, left=_COLUMNS)
    for event in entries.events:
        table.add_row("event", visible(event.name), "", _cut(event.description))
    for attribute in entries.attributes:
        level = {0: "not sensitive", 1: "sensitive"}.get(attribute.privacy_level or 0, "")
        privacy = "" if attribute.privacy_level is None else level
        table.add_row("attribute", visible(attribute.name), privacy, _cut(attribute.description))
    if entries.events or entries.attributes:
        show(table)
    for name in entries.shortened:
        say(f"The description of {name} is cut: Customer.io takes 255 characters.", err=True)


_COLUMNS = ("kind", "name", "privacy", "description")


def _cut(description: str | None) -> str:
    text = description or ""
    return visible(text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…")


def _document(entries: DataIndexEntries, *, written: int) -> dict[str, Any]:
    return {
        "events": [{"name": each.name, "description": each.description} for each in entries.events],
        "attributes": [
            {
                "name": each.name,
                "description": each.description,
                "privacy_level": each.privacy_level,
            }
            for each in entries.attributes
        ],
        "shortened": list(entries.shortened),
        "written": written,
    }
