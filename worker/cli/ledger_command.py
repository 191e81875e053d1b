"""Operate: prune the ledger of delivered jobs, and give it partitions by time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import click

from trackrelay.worker.maintenance.retention import prune_ledger
from trackrelay.worker.settings import Settings
from trackrelay.worker.storage import ledger_layout, ledger_partitions
from trackrelay.worker.storage.advisory_lock import ENDED_S, advisory_lock
from trackrelay.worker.storage.ledger_partitions import Partition
from trackrelay.worker.storage.queries.server_facts import prunable

from .common.command_errors import CommandError
from .common.command_options import Duration, confirm, dry_run_option, json_option, yes_option
from .common.command_stores import Stores, open_stores
from .common.humanize import count, duration, sentence, size
from .common.output import list_table, print_json, say, stderr
from .common.output import show as show_table


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


@ledger.command()
@json_option
def show(as_json: bool) -> None:
    """Show the ledger's partitions, with the server's estimate of their rows."""
    with open_stores() as stores, stores.engine.connect() as connection:
        present = ledger_partitions.read(connection)
        problem = ledger_partitions.problem(connection)
        sizes = ledger_partitions.sizes(connection)
    if as_json:
        print_json(
            {
                "partitioned": present.is_partitioned,
                "problem": problem,
                "partitions": [
                    {
                        "name": each.name,
                        "days": _days(each),
                        "rows": each.rows,
                        "bytes": sizes.get(each.name),
                    }
                    for each in present.all
                ],
            }
        )
        return
    if not present.is_partitioned:
        say("The ledger is one table. `trackrelay ledger partition` gives it partitions by time.")
        return
    table = list_table("Partition", "Rows of", "Rows, about", "Size", left=("Partition", "Rows of"))
    for each in sorted(present.all, key=_order):
        table.add_row(each.name, _what(each), f"{each.rows:,}", size(sizes.get(each.name, 0)))
    show_table(table)
    if problem:
        say(sentence(problem))


@ledger.command()
@yes_option
def partition(yes: bool) -> None:
    """Partition the ledger by time, while delivery continues.

    Its present rows become one partition, which is dropped when all of them are old. Workers of a
    version without partitions can then record no deliveries: upgrade all of them first.
    """
    with open_stores() as stores:
        if not yes:
            confirm("Do all workers run this version of trackrelay?")
        with _alone(stores):
            changed = ledger_layout.partition(
                stores.engine, stores.settings.ledger_retention, lambda step: say(step, err=True)
            )
        say("The ledger has partitions now." if changed else "The ledger has partitions already.")


@ledger.command()
@yes_option
def unpartition(yes: bool) -> None:
    """Make the ledger one table again, while delivery continues: all its rows are copied."""
    with open_stores() as stores:
        if not yes:
            confirm("Copy all rows of the ledger into one table?")
        with _alone(stores):
            changed = ledger_layout.unpartition(stores.engine, lambda step: say(step, err=True))
        say("The ledger is one table now." if changed else "The ledger is one table already.")


@contextmanager
def _alone(stores: Stores) -> Iterator[None]:
    with advisory_lock(stores.engine, "migrate", wait_s=ENDED_S) as acquired:
        if not acquired:
            raise CommandError("another command changes the tables just now: try again later")
        try:
            yield
        except (ledger_layout.BusyError, ledger_layout.ForeignPartitionError) as refusal:
            raise CommandError(str(refusal)) from None


def _order(each: Partition) -> tuple[int, int]:
    return (0, each.first) if each.first > 0 else (1, -each.first)


def _days(each: Partition) -> list[str] | None:
    if each.last_day is None:
        return None
    first = each.last_day - (each.last - each.first)
    return [str(ledger_partitions.date_of(day)) for day in (first, each.last_day)]


def _what(each: Partition) -> str:
    days = _days(each)
    if days is None:
        return "before partitions" if each.first else "kept longer"
    # Short: with the name of the partition it fits into 80 columns.
    return days[0] if days[0] == days[1] else f"{days[0]} – {days[1][5:]}"


def _retention(settings: Settings, older_than: timedelta | None) -> timedelta:
    if older_than is not None and older_than <= 2 * settings.max_age:
        limit = duration(2 * settings.max_age.total_seconds())
        raise CommandError(
            f"--older-than is {duration(older_than.total_seconds())}; it must be more than "
            f"{limit}, "
            "twice TRACKRELAY_MAX_AGE: the ledger must recognise a job that arrives a second time"
        )
    return older_than or settings.ledger_retention
