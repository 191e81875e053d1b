"""Show which versions are in force, and what does not keep to them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import click
from rich.console import Group
from rich.padding import Padding
from rich.text import Text

from trackrelay.worker.cli.common.command_options import Duration, json_option
from trackrelay.worker.cli.common.command_stores import open_stores
from trackrelay.worker.cli.common.humanize import ago, clock, duration
from trackrelay.worker.cli.common.output import (
    fact_table,
    list_table,
    moment,
    print_json,
    runnable,
    show,
)
from trackrelay.worker.quality.plan_enforcer import read
from trackrelay.worker.storage import plan_violations, plans
from trackrelay.worker.storage.plan_violations import NO_ROOM, ViolationCount
from trackrelay.worker.storage.plans import StoredPlan
from trackrelay.worker.storage.queries.plan_overview import UNREADABLE
from trackrelay.worker.telemetry.visible_text import visible

#: Versions that are listed.
MAX_VERSIONS = 5
#: Violations that are listed; --json lists all.
MAX_VIOLATIONS = 20
DONE = {"warn": "delivered", "fix": "fixed", "dead_letter": "dead letter"}
_STYLES = {"warn": "yellow", "fix": "green", "dead_letter": "red"}
_WORDS = {
    "unplanned_event": "not planned",
    "unplanned_property": "not planned",
    "missing": "missing",
}


@click.command()
@click.option(
    "--since",
    type=Duration(),
    default=timedelta(days=7),
    metavar="AGE",
    help="Count violations within this time.  [default: 7d]",
)
@json_option
def status(since: timedelta, as_json: bool) -> None:
    """Show which versions of the tracking plan are in force, and what does not keep to them."""
    now = time.time()
    with open_stores() as stores, stores.engine.connect() as connection:
        known = plans.latest(connection, MAX_VERSIONS)
        in_force = plans.in_force(connection)
        versions = [each.version for each in in_force]
        counts = plan_violations.recent(connection, versions, since)
    problem = plan_problem(in_force)
    if as_json:
        print_json(_document(known, in_force, counts, problem))
    else:
        show(_report(known, in_force, counts, problem, (now, since)))


def plan_problem(in_force: Sequence[StoredPlan]) -> str:
    """Return why the plan in force cannot be read here, or an empty text."""
    if not in_force:
        return ""
    try:
        read(in_force[0])
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _report(
    known: Sequence[StoredPlan],
    in_force: Sequence[StoredPlan],
    counts: Sequence[ViolationCount],
    problem: str,
    times: tuple[float, timedelta],
) -> Group:
    now, since = times
    if not known:
        return Group(
            Text("No plan was ever applied."),
            Text(runnable("trackrelay plan init") + " drafts one from what workers observed."),
        )
    lines: list[Any] = [_versions(known, in_force, now), Text()]
    if not in_force:
        lines.append(Text("No plan is in force: jobs are delivered as they are.", style="yellow"))
        return Group(*lines)
    if problem:
        lines.append(Text(f"It cannot be read here: {visible(problem)}", style="red"))
    for each in counts:
        if each.kind == UNREADABLE:
            where = f"A worker on {visible(each.subject)} cannot read version {each.version}"
            lines.append(Text(f"{where}: {visible(each.actual)}", style="red"))
        elif each.kind == NO_ROOM:
            lines.append(Text(f"{each.count:,} more violations are not counted by name."))
    shown = [each for each in counts if each.kind not in (UNREADABLE, NO_ROOM)]
    if shown:
        lines += _violations(shown[:MAX_VIOLATIONS], now)
        if (more := len(shown) - MAX_VIOLATIONS) > 0:
            lines.append(Text(f"{more:,} more with --json.", style="dim"))
    else:
        within = duration(since.total_seconds())
        lines.append(Text(f"No job has violated it within {within}."))
    return Group(*lines)


def _versions(known: Sequence[StoredPlan], in_force: Sequence[StoredPlan], now: float) -> Any:
    texts = ("plan", "applied", "by", "in force")
    table = list_table("version", *texts, left=texts)
    current = {each.version for each in in_force}
    for each in known:
        if each.version not in current:
            state = Text(f"until {clock(each.in_force_until or 0)}", style="dim")
        elif each.in_force_until is None:
            state = Text("yes", style="green")
        else:
            left = duration(each.in_force_until - now)
            state = Text(f"for {left} beside the latest", style="green")
        table.add_row(
            str(each.version),
            visible(each.name),
            ago(now - each.applied_at),
            visible(each.applied_by),
            state,
        )
    return table


def _violations(shown: Sequence[ViolationCount], now: float) -> Iterator[Any]:
    by_subject: dict[str, list[ViolationCount]] = {}
    for each in shown:
        by_subject.setdefault(each.subject, []).append(each)
    for subject, same in by_subject.items():
        table = fact_table()
        for _ in range(2):
            table.add_column(no_wrap=True)
        for each in same:
            table.add_row(
                Text(visible(each.path), style="not dim"),
                visible(violation_text(each)),
                Text(DONE.get(each.action, each.action), style=_STYLES.get(each.action, "")),
                Text(ago(now - each.last_seen), style="dim"),
            )
        yield Text(visible(subject), style="bold cyan")
        yield Padding(table, (0, 0, 0, 2))


def violation_text(each: ViolationCount) -> str:
    """Return what did not keep to the plan, how often, and from which application."""
    source = f"from {each.source}" if each.source else "from no source"
    if each.kind in _WORDS:
        return f"{each.count:,} × {_WORDS[each.kind]} {source}"
    if each.kind == "not_owner":
        return f"{each.count:,} × {source}; it belongs to {each.expected}"
    return f"{each.count:,} × {each.actual} {source}; expected {each.expected}"


def _document(
    known: Sequence[StoredPlan],
    in_force: Sequence[StoredPlan],
    counts: Sequence[ViolationCount],
    problem: str,
) -> dict[str, Any]:
    current = {each.version for each in in_force}
    return {
        "versions": [
            {
                "version": each.version,
                "name": each.name,
                "digest": each.digest,
                "applied_at": moment(each.applied_at),
                "applied_by": each.applied_by,
                "in_force": each.version in current,
                "in_force_until": moment(each.in_force_until),
            }
            for each in known
        ],
        "problem": problem or None,
        "violations": [
            {
                "version": each.version,
                "source": each.source or None,
                "subject": each.subject,
                "path": each.path,
                "kind": each.kind,
                "action": each.action,
                "expected": each.expected,
                "actual": each.actual,
                "jobs": each.count,
                "such_as": list(each.jobs),
                "last_seen": moment(each.last_seen),
            }
            for each in counts
        ],
    }
