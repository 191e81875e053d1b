"""``trackrelay ledger prune``."""

from __future__ import annotations

from datetime import timedelta

import click

from trackrelay.worker.maintenance.retention import prune_ledger
from trackrelay.worker.settings import Settings
from trackrelay.worker.storage.queries.table_sizes import prunable

from .common.command_errors import CommandFailed
from .common.command_stores import open_stores
from .common.humanize import count, duration
from .common.output import say, stderr
from .drain_command import Duration


@click.group()
def ledger() -> None:
    """Look after the idempotency ledger, which remembers what was delivered."""


@ledger.command()
@click.option("--older-than", type=Duration(), help="Default: TRACKRELAY_LEDGER_RETENTION.")
@click.option("--dry-run", is_flag=True, help="Only say how many.")
def prune(older_than: timedelta | None, dry_run: bool) -> None:
    """Delete ledger rows that are older than what is remembered. Beat does so by itself.

    Rows of deletions and suppressions stay until no dead letter can be replayed past them.
    """
    with open_stores() as stores:
        retention = _retention(stores.settings, older_than)
        longer = stores.settings.dead_letter_retention
        words = f"older than {duration(retention.total_seconds())}"
        if dry_run:
            with stores.engine.connect() as connection:
                number = prunable(connection, retention, longer)
            say(f"{count(number, 'ledger row')} {words} would be deleted.")
            return
        with stderr().status("Pruning …"):
            number = prune_ledger(stores.engine, retention, longer)
        say(f"{count(number, 'ledger row')} {words} deleted.")


def _retention(settings: Settings, asked: timedelta | None) -> timedelta:
    if asked is not None and asked <= 2 * settings.max_age:
        least = duration(2 * settings.max_age.total_seconds())
        raise CommandFailed(
            f"--older-than must be more than {least}, twice TRACKRELAY_MAX_AGE: a job that is still on its way must be "
            "recognised when it comes a second time"
        )
    return asked or settings.ledger_retention
