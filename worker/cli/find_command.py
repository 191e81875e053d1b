"""Look: show where a job or a person's jobs are, and what happened to them."""

from __future__ import annotations

import time
from typing import Any

import click

from trackrelay.worker.telemetry.visible_text import visible, visible_values

from .common.command_errors import CommandError
from .common.command_options import MAX_NUMBER, json_option
from .common.command_stores import open_stores
from .common.output import print_json, say, show
from .find.job_document import job_document
from .find.job_finder import JobFinder
from .find.job_query import FoundJob, group_by_job, limited, parse_query
from .find.job_render import render_jobs
from .verification.verdict_items import verdict_document

#: Entries that are read by default; they take a second or two.
MAX_ENTRIES = 100_000


@click.command()
@click.argument("job_id", required=False, metavar="[JOB_ID]")
@click.option("--idempotency-key", metavar="KEY", help="Find the jobs of this call.")
@click.option(
    "--person",
    metavar="PERSON",
    help="Find a person's jobs: 42, email:ada@example.com, phone:+1…, anonymous:…",
)
@click.option(
    "--key",
    metavar="KEY",
    help="Find a key's jobs: object:1:acme, or a key as logs show it, email:#…",
)
@click.option(
    "--limit",
    default=20,
    show_default=True,
    type=click.IntRange(1, MAX_NUMBER - 1),
    help="How many jobs to show.",
)
@click.option(
    "--scan",
    "max_entries",
    default=MAX_ENTRIES,
    show_default=True,
    type=click.IntRange(0, MAX_NUMBER),
    help="How many entries of the streams, and of the outbox, to read; 0: all.",
)
@json_option
def find(
    job_id: str | None,
    idempotency_key: str | None,
    person: str | None,
    key: str | None,
    limit: int,
    max_entries: int,
    as_json: bool,
) -> None:
    """Show where a job, or a person's jobs, are now, and what happened to them.

    Looks in the streams, the backlog, the dead letters and the ledger of delivered jobs; with
    TRACKRELAY_OUTBOX_URL also in the outbox. The exit status is 1 if nothing is found.
    """
    query = parse_query(job_id, idempotency_key, person, key)
    with open_stores() as stores:
        finder = JobFinder(stores, query)
        finder.run(max_entries, limit)
    jobs = group_by_job(finder.matches)
    if as_json:
        print_json(_document(limited(jobs, limit), finder))
    elif jobs:
        title, shown = visible(query.text), visible_values(jobs)
        show(
            render_jobs(
                title,
                shown,
                finder.totals(),
                time.time(),
                limit=limit,
                verdicts=visible_values(finder.verdicts),
            )
        )
    for remark in finder.remarks():
        say(f"trackrelay: {remark}", err=True)
    if finder.problems or not jobs:
        raise CommandError("\n".join(finder.problems or [finder.nothing_found()]))


def _document(jobs: list[FoundJob], finder: JobFinder) -> dict[str, Any]:
    return {
        "asked": finder.query.text,
        "jobs": [_job(job, finder) for job in jobs],
        "totals": finder.totals(),
        "streams": {"entries": finder.entries, "looked_at": finder.entries_read},
        "problems": finder.problems,
    }


def _job(job: FoundJob, finder: JobFinder) -> dict[str, Any]:
    verdicts = [verdict_document(each) for each in finder.verdicts.get(job.id, [])]
    return {**job_document(job), "verdicts": verdicts}
