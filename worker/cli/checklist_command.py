"""Look: go through the checklist of a retention program: what is proved, and what is open."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import redis
import sqlalchemy as sa
from rich.console import Group
from rich.text import Text

from trackrelay.errors import ConfigurationError
from trackrelay.plan import PlanError, parse_plan
from trackrelay.worker.quality.catalog import catalog_of
from trackrelay.worker.quality.checklist import TITLES, Facts, Item, ItemState
from trackrelay.worker.quality.checklist import checklist as judged
from trackrelay.worker.quality.finding_check import check_data
from trackrelay.worker.quality.rehearsal_report import ReportError, read_report
from trackrelay.worker.storage import checklist_records, plans
from trackrelay.worker.storage.checklist_records import RehearsalProof
from trackrelay.worker.storage.queries import checklist_query
from trackrelay.worker.storage.queries.catalog_query import catalog_rows
from trackrelay.worker.storage.queries.verification_overview import verification_overview
from trackrelay.worker.telemetry.visible_text import visible

from .common.command_errors import CommandError
from .common.command_options import Duration, json_option
from .common.command_stores import open_stores, operator_name
from .common.humanize import count
from .common.output import marked_table, print_json, show

_MARKS = {
    ItemState.PROVED: ("✓", "green"),
    ItemState.OPEN: ("✗", "bold red"),
    ItemState.NOT_APPLICABLE: ("–", "dim"),
}
_CONDITION = re.compile(r"\s*open\s*(>=|>)\s*(\d{1,3})\s*")
_ITEM = click.Choice(list(TITLES))


class OpenLimit(click.ParamType[int]):
    """``open>0``: the number of open items from which the command fails."""

    name = "condition"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return that number."""
        if isinstance(value, int):
            return value
        match = _CONDITION.fullmatch(value)
        if match is None:
            self.fail(f"{value!r} is not a condition such as open>0", param, ctx)
        return int(match[2]) + (match[1] == ">")


@click.command()
@click.option(
    "--confirm",
    type=_ITEM,
    metavar="ITEM",
    help="Say that an item is done, if no data can prove it.",
)
@click.option(
    "--not-applicable",
    type=_ITEM,
    metavar="ITEM",
    help="Say that an item does not concern your program.",
)
@click.option(
    "--withdraw",
    type=_ITEM,
    metavar="ITEM",
    help="Take back what --confirm or --not-applicable said.",
)
@click.option("--note", default="", help="How it was checked, or why it does not apply.")
@click.option(
    "--until",
    type=Duration(),
    default=timedelta(days=90),
    metavar="AGE",
    help="How long a confirmation or a rehearsal counts.  [default: 90d]",
)
@click.option(
    "--rehearsal",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read the report of a test run: DeliveringSandbox(report=FILE).",
)
@click.option(
    "--fail-if",
    type=OpenLimit(),
    metavar="CONDITION",
    help="Exit with status 1 if so many items are open: open>0.",
)
@json_option
def checklist(
    confirm: str | None,
    not_applicable: str | None,
    withdraw: str | None,
    note: str,
    until: timedelta,
    rehearsal: Path | None,
    fail_if: int | None,
    as_json: bool,
) -> None:
    """Go through the checklist of a retention program: what is proved, by what, and what is open.

    Proof comes from what workers observe, verify and deliver, from rehearsals in your tests, and
    from people who confirm what no data can prove.

    ITEM is canonical_id, attribute_map, taxonomy, server_side, merge_plan, cart_recovery, segments
    or monitoring.
    """
    now = time.time()
    with open_stores() as stores, stores.engine.begin() as connection:
        who = operator_name()
        if confirm:
            _confirm(connection, confirm, ItemState.PROVED, note, until)
        if not_applicable:
            _confirm(connection, not_applicable, ItemState.NOT_APPLICABLE, note, until)
        if withdraw and not checklist_records.withdraw(connection, withdraw):
            raise CommandError(f"nobody has confirmed {withdraw}")
        if rehearsal:
            proof = _proof(rehearsal, who, now, until)
            checklist_records.put_rehearsal(connection, proof)
        items = judged(_facts(connection, stores.redis, now))
    if as_json:
        print_json(_document(items))
    else:
        show(_screen(items))
    still_open = [each for each in items if each.state is ItemState.OPEN]
    if fail_if is not None and len(still_open) >= fail_if:
        names = ", ".join(each.name for each in still_open)
        raise CommandError(f"{count(len(still_open), 'item')} open: {names}")


def _confirm(
    connection: sa.Connection, item: str, meaning: ItemState, note: str, until: timedelta
) -> None:
    if not note.strip():
        raise click.UsageError("say with --note how it was checked, or why it does not apply")
    checklist_records.confirm(connection, item, meaning, note.strip(), operator_name(), until)


def _proof(report: Path, who: str, now: float, until: timedelta) -> RehearsalProof:
    try:
        with report.open(encoding="utf-8") as lines:
            campaigns, segments = read_report(lines)
    except (ReportError, UnicodeDecodeError) as error:
        raise CommandError(f"{report}: {error}") from None
    if not campaigns and not segments:
        raise CommandError(f"{report}: it has no assertion that held")
    return RehearsalProof(who, now, now + until.total_seconds(), campaigns, segments)


def _facts(connection: sa.Connection, client: redis.Redis, now: float) -> Facts:
    check = check_data(connection, client, now)
    acknowledged = {
        key for key, each in check.records.items() if (each.acknowledged_until or 0) > now
    }
    facts = Facts(
        now=now,
        catalog=catalog_of(catalog_rows(connection)),
        findings=[each for each in check.findings if each.key not in acknowledged],
        named_jobs=checklist_query.named_jobs(connection),
        letters=checklist_query.open_letters(connection),
        verification=verification_overview(connection),
        record=checklist_records.read(connection, now),
    )
    in_force = plans.in_force(connection)
    if not in_force:
        return facts
    try:
        return replace(facts, plan=parse_plan(in_force[0].text, "the plan in force"))
    except (PlanError, ConfigurationError) as error:
        return replace(facts, plan_problem=str(error).partition("\n")[0])


def _screen(items: Sequence[Item]) -> Group:
    table = marked_table(0)
    for each in items:
        mark, style = _MARKS[each.state]
        title = Text.assemble((each.title, "bold"), (f"  {each.name}", "dim"))
        table.add_row(Text(mark, style=style), title)
        for line in each.evidence:
            table.add_row("", Text(visible(line), style="dim"))
        for line in each.objections if each.state is ItemState.OPEN else ():
            table.add_row("", Text(visible(line), style="yellow"))
        if each.remedy:
            table.add_row("", Text(each.remedy))
        table.add_row()
    return Group(table, _summary(items))


def _summary(items: Sequence[Item]) -> Text:
    counts = Counter(each.state for each in items)
    parts = [f"{counts[state]} {state.value}" for state in ItemState if counts[state]]
    style = "bold yellow" if counts[ItemState.OPEN] else "bold green"
    return Text(f"{', '.join(parts)}.", style=style)


def _document(items: Sequence[Item]) -> dict[str, Any]:
    return {
        "open": sum(each.state is ItemState.OPEN for each in items),
        "items": [
            {
                "name": each.name,
                "title": each.title,
                "state": each.state,
                "evidence": each.evidence,
                "objections": each.objections,
                "remedy": each.remedy or None,
            }
            for each in items
        ],
    }
