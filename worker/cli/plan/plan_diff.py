"""Compare a plan with what workers observed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import click
from rich.console import Group
from rich.padding import Padding
from rich.text import Text

from trackrelay.plan.plan_model import Plan
from trackrelay.worker.cli.common.command_errors import CommandError
from trackrelay.worker.cli.common.command_options import json_option
from trackrelay.worker.cli.common.command_stores import open_stores
from trackrelay.worker.cli.common.humanize import count
from trackrelay.worker.cli.common.output import fact_table, print_json, show
from trackrelay.worker.cli.common.plan_options import opened, plan_file_argument
from trackrelay.worker.quality.catalog import catalog_of
from trackrelay.worker.quality.plan_differences import Difference, DifferenceKind, differences
from trackrelay.worker.quality.plan_enforcer import read
from trackrelay.worker.storage import plans
from trackrelay.worker.storage.queries.catalog_query import catalog_rows
from trackrelay.worker.telemetry.visible_text import visible

_STYLES = {
    DifferenceKind.OTHER_TYPE: "red",
    DifferenceKind.SOMETIMES_MISSING: "red",
    DifferenceKind.OTHER_SOURCE: "red",
    DifferenceKind.OTHER_NAME: "yellow",
    DifferenceKind.NOT_PLANNED: "yellow",
    DifferenceKind.NOT_OBSERVED: "dim",
}


@click.command()
@plan_file_argument
@click.option("--applied", is_flag=True, help="Compare the plan that is in force, and no file.")
@click.option("--exit-code", is_flag=True, help="Exit with status 1 if there is a difference.")
@json_option
def diff(file: str, applied: bool, exit_code: bool, as_json: bool) -> None:
    """Show how a tracking plan and what workers observed differ.

    FILE is trackrelay-plan.yaml unless TRACKRELAY_PLAN names another file. The catalog keeps names
    for 90 days, so a name that is not sent any more stays for a while.
    """
    plan = None if applied else opened(file)
    with open_stores() as stores, stores.engine.connect() as connection:
        if plan is None:
            in_force = plans.in_force(connection)
            if not in_force:
                raise CommandError("no plan is in force")
            plan, _ = read(in_force[0])
        catalog = catalog_of(catalog_rows(connection))
    found = differences(plan, catalog)
    if as_json:
        print_json({"plan": plan.name, "differences": [_document(each) for each in found]})
    elif not catalog.subjects:
        click.echo("Nothing was observed yet: `trackrelay catalog` is empty.")
    else:
        show(_report(plan, found))
    if found and exit_code:
        raise click.exceptions.Exit(1)


def _report(plan: Plan, found: Sequence[Difference]) -> Group:
    lines: list[Any] = []
    for subject, same in groupby(found, key=lambda each: each.subject):
        lines.append(Text(visible(subject), style="bold cyan"))
        table = fact_table()
        rows = list(same)
        # What is said of one property stands together.
        places = [each.path for each in rows]
        for each in sorted(rows, key=lambda each: places.index(each.path)):
            table.add_row(
                Text(visible(each.path), style="not dim"),
                Text(each.kind, style=f"not dim {_STYLES[each.kind]}"),
                Text(visible(each.text)),
            )
        lines += [Padding(table, (0, 0, 0, 2)), Text()]
    subjects = len({each.subject for each in found})
    lines.append(
        Text(f"{count(len(found), 'difference')} in {count(subjects, 'name')}.")
        if found
        else Text(f"What was observed keeps to {visible(plan.name)}.")
    )
    return Group(*lines)


def _document(each: Difference) -> dict[str, Any]:
    return {
        "subject": each.subject,
        "path": each.path,
        "kind": each.kind,
        "text": each.text,
        "jobs": each.jobs,
    }
