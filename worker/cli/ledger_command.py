"""Operate: prune the ledger of delivered jobs."""

from __future__ import annotations

from datetime import timedelta

import click

from trackrelay.worker.maintenance.retention import prune_ledger
from trackrelay.worker.settings import Settings
from trackrelay.worker.storage.queries.server_facts import prunable

from .common.command_errors import CommandError
from .common.command_options import Duration, dry_run_option
from .common.command_stores import open_stores
from .common.humanize import count, duration
from .common.output import say, stderr


@click.group()
def ledger() -> None:
    """Look after the idempotency ledger, which has a row for each delivered job."""


@ledger.command()
@click.option("--older-than", type=Duration(), help="Default: TRACKRELAY_LEDGER_RETENTION.")
@dry_run_option
def prune(older_than: timedelta | None, dry_run: bool) -> None:
    """Delete the ledger rows that are older than the retention. Beat does this by itself.

    Rows of deletions and suppressions stay as long as a dead letter could be replayed past them.
    """
    with open_stores() as stores:
        retention = _retention(stores.settings, older_than)
        longer = stores.settings.dead_letter_retention
        age = f"older than {duration(retention.total_seconds())}"
        if dry_run:
            with stores.engine.connect() as connection:
                number = prunable(connection, retention, longer)
            say(f"{count(number, 'ledger row')} {age} would be deleted.")
            return
        with stderr().status("Pruning …"):
            number = prune_ledger(stores.engine, retention, longer)
        say(f"{count(number, 'ledger row')} {age} deleted.")


def _retention(settings: Settings, older_than: timedelta | None) -> timedelta:
    if older_than is not None and older_than <= 2 * settings.max_age:
        limit = duration(2 * settings.max_age.total_seconds())
        raise CommandError(
            f"--older-than is {duration(older_than.total_seconds())}; it must be more than "
            f"{limit}, "
            "twice TRACKRELAY_MAX_AGE: the ledger must recognise a job that arrives a second time"
        )
    return older_than or settings.ledger_retention
