"""Look: list the jobs that wait in the backlog, and why."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click
from rich.console import Group
from rich.text import Text

from trackrelay.worker.storage.queries.job_search import (
    BacklogFilters,
    WaitingJob,
    waiting_jobs,
)
from trackrelay.worker.telemetry.visible_text import visible_values

from .common.command_options import JOB_FILTERS, MAX_NUMBER, json_option, stored_keys
from .common.command_stores import open_stores
from .common.humanize import ago, count, duration, short
from .common.output import list_table, moment, print_json, runnable, show

#: Characters of an operation, of a key and of an error that the list shows.
MAX_OPERATION, MAX_KEY, MAX_ERROR = 40, 32, 60


def _filter_options(command: Any) -> Any:
    reason = click.option(
        "--reason", "reasons", multiple=True, help="Why the job waits, such as failed. Repeatable."
    )
    for option in (*reversed(JOB_FILTERS.values()), reason):
        command = option(command)
    return command


@click.command()
@_filter_options
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_NUMBER),
    default=50,
    show_default=True,
    metavar="N",
    help="At most N jobs.",
)
@json_option
def backlog(limit: int, as_json: bool, **given: Any) -> None:
    """List the jobs that wait in the backlog, the oldest first, and why they wait.

    The backlog holds jobs that could not be delivered yet. They are tried again by themselves.
    """
    with open_stores() as stores:
        people, keys, emails = (given.pop(name) for name in ("people", "keys", "emails"))
        filters = BacklogFilters(
            keys=stored_keys(people, keys, stores.hasher()) if people or keys else (),
            emails=[each.strip().lower() for each in emails],
            **given,
        )
        with stores.engine.connect() as connection:
            jobs, total = waiting_jobs(connection, filters, limit)
    if as_json:
        print_json({"total": total, "jobs": [_as_json(job) for job in jobs]})
    elif jobs:
        _print(visible_values(jobs), total)
    else:
        click.echo(
            "The backlog is empty."
            if filters == BacklogFilters(reasons=(), emails=[])
            else "No job matches."
        )


def _as_json(job: WaitingJob) -> dict[str, Any]:
    times = {name: moment(getattr(job, name)) for name in ("enqueued_at", "since", "due_at")}
    return asdict(job) | times


def _print(jobs: Sequence[WaitingJob], total: int) -> None:
    now = time.time()
    texts = ("operation", "key", "why")
    table = list_table("enqueued", *texts, left=texts)
    for job in jobs:
        table.add_row(
            ago(now - job.enqueued_at),
            short(f"{job.operation} {job.name or ''}".strip(), MAX_OPERATION),
            short(", ".join(job.keys), MAX_KEY),
            Group(_why(job, now), Text(job.id, style="dim")),
        )
    reasons = Counter(job.reason for job in jobs).most_common()
    summary = f"{count(total, 'job')} in the backlog"
    if total > len(jobs):
        summary += f"; the oldest {len(jobs):,} are shown, --limit shows more"
    else:
        summary += f": {', '.join(f'{number:,} {reason}' for reason, number in reasons)}"
    details = runnable(f"trackrelay find {jobs[0].id}")
    remark = Text(f"Details of one: {details}", style="dim")
    show(Group(table, Text(), Text(f"{summary}."), remark))


def _why(job: WaitingJob, now: float) -> Text:
    if job.due_at is None:
        due = "after an earlier job of its key"
    elif job.due_at > now:
        due = f"next attempt in {duration(job.due_at - now)}"
    else:
        due = "next attempt as soon as delivery is possible"
    error = f": {short(job.error, MAX_ERROR)}" if job.error else ""
    return Text(f"{job.reason}{error}; {due}")
