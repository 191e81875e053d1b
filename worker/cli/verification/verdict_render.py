"""Verdicts and the results of a check: as a table, as CSV, as JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from trackrelay.worker.cli.common.humanize import ago, count, listed
from trackrelay.worker.cli.common.output import list_table
from trackrelay.worker.storage.verdicts import Verdict

from .subject_check import CheckReport, ItemResult
from .verdict_items import item_text, verdict_document

_COLOURS = {
    "ignored": "red",
    "missing": "red",
    "different": "yellow",
    "unknown": "dim",
    "pending": "cyan",
}
#: The columns of CSV.
COLUMNS = (
    "id", "checked_at", "verdict", "key", "item", "reason", "job_id", "operation", "activity_id",
    "state", "resolved_by",
)  # fmt: skip


def render_verdicts(verdicts: Sequence[Verdict], total: int, now: float) -> RenderableType:
    """Return verdicts as a table.

    Args:
        verdicts: the latest first.
        total: how many there are.
        now: unix seconds.
    """
    texts = ("verdict", "of", "item", "reason")
    table = list_table("id", "when", *texts, left=texts)
    for column in table.columns[:3]:
        column.no_wrap = True
    for each in verdicts:
        resolved = f" (resolved: {each.resolved_by})" if each.state != "open" else ""
        table.add_row(
            str(each.id),
            ago(now - each.checked_at),
            Text(each.verdict, style=_COLOURS.get(each.verdict, "")),
            each.key,
            item_text(each.item),
            Text(each.reason + resolved, style="dim"),
        )
    if total > len(verdicts):
        note = f"The latest {len(verdicts):,} of {total:,} are shown; --limit shows more."
        return Group(table, Text(note, style="dim"))
    return table


def render_report(report: CheckReport, limit: int) -> RenderableType:
    """Return what a check found."""
    parts: list[RenderableType] = [_summary(report)]
    if report.results:
        texts = ("verdict", "of", "item", "reason")
        table = list_table(*texts, left=texts)
        table.columns[0].no_wrap = True
        for each in report.results[:limit]:
            table.add_row(
                Text(each.verdict, style=_COLOURS.get(each.verdict, "")),
                each.key,
                item_text(each.item),
                Text(each.reason, style="dim"),
            )
        parts += [Text(), table]
    hidden = len(report.results) - limit
    if hidden > 0:
        parts.append(Text(f"{hidden:,} more; --limit shows them.", style="dim"))
    if report.counts["pending"]:
        parts += [
            Text(),
            Text(
                "Pending: it was sent a short time ago, or jobs of it wait. Ask again later.",
                style="dim",
            ),
        ]
    return Group(*parts)


def _summary(report: CheckReport) -> Text:
    names = ("verified", "ignored", "missing", "different", "unknown", "pending")
    found = [f"{report.counts[name]:,} {name}" for name in names if report.counts[name]]
    things = count(report.subjects, "person or object", "people and objects")
    style = "bold green" if report.is_right else "bold red"
    items = listed(found) if found else "nothing to compare"
    return Text.assemble((f"{things}: {items}.", style))


def report_document(report: CheckReport, asked: dict[str, Any]) -> dict[str, Any]:
    """Return what a check found as one document."""
    return {
        "asked": asked,
        "subjects": report.subjects,
        "counts": dict(report.counts),
        "results": [_result_document(each) for each in report.results],
        "problem": report.problem or None,
    }


def _result_document(result: ItemResult) -> dict[str, Any]:
    return asdict(result)


def verdicts_csv(verdicts: Sequence[Verdict]) -> str:
    """Return verdicts as CSV with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_safe(verdict_document(each)) for each in verdicts)
    return text.getvalue().rstrip("\n")


def _safe(document: dict[str, Any]) -> dict[str, Any]:
    # Spreadsheets run what begins like a formula.
    return {
        name: f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value
        for name, value in document.items()
    }
