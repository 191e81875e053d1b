"""``discard``: dead letters that nobody wants to send any more."""

from __future__ import annotations

from collections.abc import Sequence

import click

from trackrelay.worker.cli.common.command_errors import CommandFailed
from trackrelay.worker.cli.common.command_stores import Stores
from trackrelay.worker.cli.common.humanize import count
from trackrelay.worker.cli.common.output import print_json, stderr, stdout
from trackrelay.worker.storage import dead_letter_queries
from trackrelay.worker.storage.dead_letter_queries import Filters

from .dead_letter_render import summary
from .operator import replayer
from .progress import progress
from .selection_options import missed


def discard_letters(
    stores: Stores,
    chosen: Filters,
    *,
    limit: int | None,
    dry_run: bool,
    yes: bool,
    as_document: bool,
    note: str | None,
) -> None:
    """Discard the open letters meant.

    Raises:
        CommandFailed: some were not open, or not there; the others are discarded.
    """
    with stores.engine.connect() as connection:
        ids = dead_letter_queries.ids(connection, chosen, limit)
        counts = dead_letter_queries.counts(connection, Filters(ids=tuple(ids))) if ids else []
    missing = missed(chosen, ids)
    if ids and not dry_run and not yes:
        stderr().print(f"{summary(counts)}: they will not be replayed; their rows stay.")
        click.confirm("Discard them?", abort=True, err=True)
    discarded = 0 if dry_run else discard_all(stores, ids, note)
    if as_document:
        print_json({"dry_run": dry_run, "selected": len(ids), "discarded": discarded})
    elif not ids:
        if not missing:
            stdout().print("No dead letter matches.")
    elif dry_run:
        stdout().print(f"{count(len(ids), 'dead letter')} would be discarded: {summary(counts)}.")
    else:
        stdout().print(f"{count(discarded, 'dead letter')} discarded.")
    problems = [
        f"there is no dead letter {id}: `trackrelay find {id}` says where a job is"
        for id in missing
    ]
    if not dry_run and (left := len(ids) - discarded):
        problems.append(f"{left:,} of {count(len(ids), 'dead letter')} left as before: not open")
    if problems:
        raise CommandFailed("\n".join(problems))


def discard_all(stores: Stores, ids: Sequence[str], note: str | None) -> int:
    """Discard those of the letters that are open; returns how many were."""
    discarded = 0
    with progress(len(ids), "Discarding") as advance:
        for each in replayer(stores, note).discard(ids):
            discarded += len(each)
            advance(len(each))
    return discarded
