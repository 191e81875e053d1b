"""What is found of a person, and the receipt, for a reader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from trackrelay.worker.cli.common.humanize import count, listed
from trackrelay.worker.cli.common.output import fact_table, heading, list_table
from trackrelay.worker.erasure.census import Census
from trackrelay.worker.erasure.receipt import NOT_COVERED, STORES
from trackrelay.worker.telemetry.visible_text import visible_values

#: Other names, and jobs of others, that are shown.
MAX_SHOWN = 5
#: What each store of a receipt holds.
_WHAT = {
    "outbox": "rows of the outbox",
    "refused_calls": "refused calls in Redis",
    "streams": "jobs in the streams",
    "backlog": "jobs in the backlog",
    "dead_letters": "dead letters with content",
    "ledger": "ledger rows that name them",
    "verification": "rows of verification",
    "identities": "links between their names",
    "breakers": "breakers that name them",
    "names": "observed names of events and attributes that name them",
}
_MODES = {
    "erase": "erase here; Customer.io is not told",
    "suppress": "erase here, and suppress at Customer.io",
    "delete": "erase here, and delete at Customer.io",
}


def render_census(names: list[str], mode: str, found: Census) -> RenderableType:
    """Return what is where, and what a request would do."""
    table = list_table("found", "what", left=("what",))
    for store in STORES:
        table.add_row(_number(_found(found, store)), _WHAT[store])
    parts = [*_head(names, mode), Padding(table, (0, 2))]
    parts += _others(found.linked, found.mentions, found.mentioning_jobs)
    return Group(*parts)


def render_receipt(names: list[str], receipt: Mapping[str, Any]) -> RenderableType:
    """Return the receipt. The names are shown here and are not in it."""
    receipt = visible_values(dict(receipt))
    table = list_table("before", "now", "what", left=("what",))
    for store in STORES:
        counts = receipt["stores"][store]
        table.add_row(_number(counts["before"]), _number(counts["after"]), _WHAT[store])
    parts = [*_head(names, receipt["mode"]), Padding(table, (0, 2))]
    mentions = dict(receipt["mentions"])
    jobs = mentions.pop("jobs")
    linked = {each["key"]: each["jobs"] for each in receipt["linked"]}
    parts += _others(linked, mentions, jobs)
    facts = fact_table()
    for each in receipt["customerio"]:
        state = each["state"].replace("_", " ")
        at = f" {each['delivered_at']}" if each["delivered_at"] else ""
        facts.add_row("Customer.io", f"{each['operation']}: {state}{at} ({each['job']})")
    if receipt["outbox"] != "erased":
        facts.add_row("outbox", receipt["outbox"])
    for index, text in enumerate(NOT_COVERED):
        facts.add_row("" if index else "not covered", text)
    facts.add_row("request", receipt["request"])
    facts.add_row("complete", receipt["completed_at"] or Text("no", "bold yellow"))
    return Group(*parts, facts)


def _head(names: list[str], mode: str) -> list[RenderableType]:
    return [heading("Person", listed(visible_values(names))), heading("Request", _MODES[mode])]


def _found(found: Census, store: str) -> int | None:
    number: int | None = getattr(found, "ledger_named" if store == "ledger" else store)
    return number


def _number(number: int | None) -> Text:
    if number is None:
        return Text("not asked", "dim")
    return Text(f"{number:,}", style="" if number else "dim")


def _others(
    linked: Mapping[str, int], mentions: Mapping[str, int], jobs: list[str]
) -> list[RenderableType]:
    facts = fact_table()
    shown = [f"{key} ({count(jobs, 'job')})" for key, jobs in list(linked.items())[:MAX_SHOWN]]
    if shown:
        more = len(linked) - len(shown)
        shown += [f"{more:,} more; --json lists all"] if more else []
        facts.add_row(
            "also known by",
            f"{listed(shown)}. Their own jobs stay: name them with --also if it is the same person",
        )
    if total := sum(mentions.values()):
        facts.add_row(
            "mentions",
            f"{count(total, 'job')} of others with the name in the document; they stay: "
            f"{', '.join(jobs[:MAX_SHOWN])}",
        )
    return [facts] if facts.row_count else []
