"""Look: report what is wrong with the data that applications send."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import click
from rich.console import Group
from rich.padding import Padding
from rich.text import Text

from trackrelay.worker.quality.all_rules import RULES
from trackrelay.worker.quality.finding_check import check_data
from trackrelay.worker.quality.rules import Finding, Severity
from trackrelay.worker.storage import finding_records
from trackrelay.worker.storage.finding_records import FindingRecord
from trackrelay.worker.telemetry.visible_text import visible

from .common.command_errors import CommandError
from .common.command_options import Duration, json_option
from .common.command_stores import open_stores, operator_name
from .common.humanize import ago, clock, count
from .common.output import moment, print_json, show

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.INFO: "dim"}
#: Lines of evidence that a finding shows.
MAX_EVIDENCE = 6
WEEK = timedelta(days=7)


@click.command()
@click.option(
    "--ack",
    metavar="RULE",
    help="Acknowledge the findings of a rule (Q101), or one ('Q101 order_completed.total').",
)
@click.option(
    "--until",
    type=Duration(),
    default=timedelta(days=30),
    metavar="AGE",
    help="How long --ack holds.  [default: 30d]",
)
@click.option("--all", "show_all", is_flag=True, help="Show acknowledged findings and infos too.")
@click.option(
    "--fail-if",
    type=click.Choice(["error", "warning", "info"]),
    help="Exit with status 1 if there is a finding of this severity or worse.",
)
@click.option("--markdown", is_flag=True, help="Print a summary of the last week in Markdown.")
@json_option
def quality(
    ack: str | None,
    until: timedelta,
    show_all: bool,
    fail_if: str | None,
    markdown: bool,
    as_json: bool,
) -> None:
    """Report what is wrong with the data that applications send, and what to do about it.

    Findings come from what workers observe while they deliver: names, types, times and sources,
    never values. A finding closes by itself when it is not found any more.
    """
    now = time.time()
    with open_stores() as stores, stores.engine.begin() as connection:
        check = check_data(connection, stores.redis, now)
        found, records = check.findings, check.records
        if ack:
            _acknowledge(finding_records.acknowledge(connection, ack, until, operator_name()), ack)
            return
        closed = finding_records.closed_since(connection, WEEK)
    reported = found if show_all else check.reported(now)
    if as_json:
        print_json(_document(found, records, closed))
    elif markdown:
        click.echo(_markdown(reported, records, closed))
    else:
        show(_report(reported, found, records, check.has_catalog))
    if fail_if:
        worst = list(Severity)[list(Severity).index(Severity(fail_if)) :]
        failing = [
            each
            for each in found
            if each.severity in worst and not records[each.key].is_acknowledged(now)
        ]
        if failing:
            raise CommandError(f"{count(len(failing), 'finding')}: {failing[0].key} and so on")


def _acknowledge(keys: Sequence[str], ack: str) -> None:
    if not keys:
        raise CommandError(f"there is no open finding {ack!r}")
    click.echo(f"{count(len(keys), 'finding')} acknowledged.")


def _report(
    reported: Sequence[Finding],
    found: Sequence[Finding],
    records: dict[str, FindingRecord],
    has_catalog: bool,
) -> Group:
    now = time.time()
    lines: list[Any] = []
    for each in reported:
        lines += [_heading(each, records[each.key], now), *_body(each), Text()]
    hidden = len(found) - len(reported)
    lines.append(_summary(reported, hidden, has_catalog))
    return Group(*lines)


def _heading(each: Finding, record: FindingRecord, now: float) -> Text:
    since = each.since if each.since is not None else record.opened_at
    text = Text.assemble(
        (f"{each.rule.id} {each.severity}", _STYLES[each.severity]),
        f"  {visible(each.subject)}: {each.rule.title}",
        (f"  {ago(now - since)}", "dim"),
    )
    if record.is_acknowledged(now):
        until = clock(record.acknowledged_until or 0)
        text.append(f"  acknowledged until {until}", style="dim")
    return text


def _body(each: Finding) -> list[Any]:
    lines = [Text(visible(line)) for line in each.evidence[:MAX_EVIDENCE]]
    if (more := len(each.evidence) - MAX_EVIDENCE) > 0:
        lines.append(Text(f"{more:,} more", style="dim"))
    lines.append(Text(each.rule.effect, style="dim"))
    lines.append(Text(each.rule.remedy))
    return [Padding(line, (0, 0, 0, 4)) for line in lines]


def _summary(reported: Sequence[Finding], hidden: int, has_catalog: bool) -> Text:
    if not has_catalog:
        return Text("Nothing was observed yet: `trackrelay catalog` is empty.")
    more = f" {count(hidden, 'more finding')} with --all." if hidden else ""
    if not reported:
        return Text(f"No finding is open.{more}")
    counts = Counter(each.severity for each in reported)
    parts = ", ".join(
        f"{count(counts[each], each.value)}" for each in reversed(Severity) if counts[each]
    )
    return Text(f"{parts}.{more}")


def _document(
    found: Sequence[Finding], records: dict[str, FindingRecord], closed: Sequence[str]
) -> dict[str, Any]:
    return {
        "findings": [
            {
                "id": each.rule.id,
                "key": each.key,
                "severity": each.severity,
                "title": each.rule.title,
                "subject": each.subject,
                "evidence": each.evidence,
                "sources": each.sources,
                "since": moment(each.since),
                "effect": each.rule.effect,
                "remedy": each.rule.remedy,
                "opened_at": moment(records[each.key].opened_at),
                "acknowledged_until": moment(records[each.key].acknowledged_until),
                "acknowledged_by": records[each.key].acknowledged_by,
            }
            for each in found
        ],
        "closed_in_the_last_week": closed,
    }


def _markdown(
    reported: Sequence[Finding], records: dict[str, FindingRecord], closed: Sequence[str]
) -> str:
    now = time.time()
    new = {
        each.key for each in reported if now - records[each.key].opened_at < WEEK.total_seconds()
    }
    lines = ["# Data quality", ""]
    summary = f"{count(len(reported), 'finding')} open" if reported else "No finding is open"
    lines += [f"{summary}; in the last week {len(new):,} opened and {len(closed):,} closed.", ""]
    for severity in reversed(Severity):
        group = [each for each in reported if each.severity == severity]
        if group:
            lines += [f"## {severity.value.title()} ({len(group)})", ""]
        for each in group:
            opened = clock(records[each.key].opened_at) + (" (new)" if each.key in new else "")
            lines.append(f"- **{_escaped(each.subject)}**: {each.rule.title} ({each.rule.id})")
            lines += [f"  - {_escaped(line)}" for line in each.evidence[:MAX_EVIDENCE]]
            lines += [
                f"  - {each.rule.effect}",
                f"  - {each.rule.remedy}",
                f"  - open since {opened}",
            ]
        lines += [""] if group else []
    if closed:
        lines += ["## Closed in the last week", ""]
        lines += [
            f"- {_escaped(key)}: {RULES[key[:4]].title}" for key in closed if key[:4] in RULES
        ]
    return "\n".join(lines).rstrip()


def _escaped(text: str) -> str:
    for char in "\\`*_[]<>|#":
        text = text.replace(char, f"\\{char}")
    return visible(text)
