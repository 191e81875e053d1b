"""Draft a plan from what workers observed."""

from __future__ import annotations

from pathlib import Path

import click

from trackrelay.plan.plan_errors import PlanError
from trackrelay.plan.plan_loader import parse_plan
from trackrelay.plan.plan_text import plan_text
from trackrelay.worker.cli.common.command_errors import CommandError
from trackrelay.worker.cli.common.command_stores import open_stores
from trackrelay.worker.cli.common.humanize import count
from trackrelay.worker.cli.common.output import say
from trackrelay.worker.cli.common.plan_options import STANDARD, plan_file_argument
from trackrelay.worker.quality.catalog import catalog_of
from trackrelay.worker.quality.plan_draft import draft_plan
from trackrelay.worker.storage.queries.catalog_query import catalog_rows


@click.command()
@plan_file_argument
@click.option("--name", metavar="NAME", help="The plan's name.  [default: the folder's name]")
@click.option("--source", help="Only what this application sent.")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
def init(file: str, name: str | None, source: str | None, force: bool) -> None:
    """Write a tracking plan that says what workers observed.

    FILE is trackrelay-plan.yaml unless TRACKRELAY_PLAN names another file; - is stdout. A property
    is required if every observed event had it. An application owns what no other one sends.

    Read the file, add descriptions and what is missing, and apply it: its enforcement is `warn`.
    """
    if file != STANDARD and Path(file).exists() and not force:
        raise CommandError(f"{file} exists; --force replaces it")
    with open_stores() as stores, stores.engine.connect() as connection:
        catalog = catalog_of(catalog_rows(connection, source))
    if not catalog.subjects:
        raise CommandError("nothing was observed yet: `trackrelay catalog` is empty")
    draft = draft_plan(catalog, name or Path.cwd().name or "plan")
    text = plan_text(draft.document)
    if file == STANDARD:
        click.echo(text, nl=False)
    else:
        _write(file, text)
    for remark in draft.remarks:
        say(f"trackrelay: {remark}", err=True)
    try:
        plan = parse_plan(text, file)
    except PlanError as error:
        raise CommandError(f"correct this by hand:\n{error}") from None
    if file != STANDARD:
        attributes = count(len(plan.attributes), "attribute")
        say(f"{file} has {count(len(plan.events), 'event')} and {attributes}.")


def _write(file: str, text: str) -> None:
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror}") from None
