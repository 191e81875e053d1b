"""Set up: create or update the tables in Postgres and the queue in Redis."""

from __future__ import annotations

import click
import redis
import sqlalchemy as sa

from trackrelay.worker.queue import bootstrap, queue_config
from trackrelay.worker.queue.queue_agreement import difference
from trackrelay.worker.queue.queue_config import QueueConfig
from trackrelay.worker.queue.shard_migration import Resharder, ReshardError
from trackrelay.worker.storage import queue_record, schema
from trackrelay.worker.storage.queries.server_facts import totals

from .common.command_errors import CommandError
from .common.command_options import confirm, yes_option
from .common.command_stores import Stores, open_stores
from .common.humanize import count, listed, sentence
from .common.output import say


@click.command()
@click.option(
    "--down",
    metavar="REVISION",
    help="Downgrade the tables to REVISION; `base` removes all of them.",
)
@click.option(
    "--adopt",
    is_flag=True,
    help="Let this database take over the queue in Redis, although it knows another one. "
    "Only if the two belong together.",
)
@yes_option
def migrate(down: str | None, adopt: bool, yes: bool) -> None:
    """Create or update the tables in Postgres and the queue in Redis.

    Can be run again at any time: what is up to date stays as it is.
    """
    if adopt and down is not None:
        raise click.UsageError("--adopt cannot be used together with --down")
    with open_stores() as stores:
        sa.event.listen(stores.engine, "begin", _lift_timeout)
        if adopt:
            _adopt(stores, yes)
        if down is None:
            _up(stores)
        else:
            _down(stores, down, yes)


def _lift_timeout(connection: sa.Connection) -> None:
    # A migration may rewrite a large table; the limit for delivery's statements is too short.
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")


def _up(stores: Stores) -> None:
    before = _revision(stores.engine)
    queue_before = queue_config.read(stores.redis)
    after = bootstrap.migrate(
        stores.engine,
        stores.redis,
        stores.settings.shards,
        request_timeout_s=stores.settings.request_timeout.total_seconds(),
        ledger_retention=stores.settings.ledger_retention,
    )
    say(f"Postgres: {_change_of_tables(before, _revision(stores.engine))}")
    say(f"Redis:    {_change_of_queue(queue_before, after)}")


def _adopt(stores: Stores, yes: bool) -> None:
    bootstrap.upgrade_tables(stores.engine)
    config = queue_config.check_queue(stores.redis, stores.settings.shards)
    with stores.engine.connect() as connection:
        record = queue_record.read(connection)
    problem = difference(config, record)
    if problem is None:
        return
    if not yes:
        click.echo(sentence(problem), err=True)
        confirm("Do the queue and the database belong together?")
    try:
        Resharder(stores.engine, stores.redis, stores.settings, stores.hasher()).adopt()
    except ReshardError as why:
        raise CommandError(f"the queue was not adopted: {why}") from None
    click.echo(
        f"Adopted:  the queue in Redis, {count(config.shards, 'shard')}, "
        "with the jobs that wait in Postgres"
    )


def _revision(engine: sa.Engine) -> str | None:
    with engine.connect() as connection:
        return schema.current(connection)


def _change_of_tables(before: str | None, after: str | None) -> str:
    if before == after and before is not None and not schema.is_known(before):
        return f"tables are at revision {before} of a newer trackrelay, and were not changed"
    if before == after:
        return f"tables are already at revision {after}"
    if before is None:
        return f"tables created, revision {after}"
    return f"tables migrated from revision {before} to {after}"


def _change_of_queue(before: QueueConfig | None, after: QueueConfig) -> str:
    about = f"{count(after.shards, 'shard')}, format {after.format}"
    return f"the queue is already set up: {about}" if before == after else f"queue set up: {about}"


def _down(stores: Stores, revision: str, yes: bool) -> None:
    before = _revision(stores.engine)
    if before is None:
        raise CommandError("the database has no trackrelay tables")
    _refuse_while_in_use(stores.redis)
    if not yes:
        say(f"This downgrades the tables from revision {before} to {revision}.", err=True)
        if rows := _row_counts(stores.engine):
            say(f"They hold {rows}. What revision {revision} cannot store is lost.", err=True)
        confirm("Continue?")
    with stores.engine.connect() as connection:
        try:
            schema.downgrade(connection, revision)
        except schema.UnknownRevisionError as error:
            raise CommandError(str(error)) from None
        connection.commit()
    done = (
        "tables removed"
        if revision == "base"
        else _change_of_tables(before, _revision(stores.engine))
    )
    say(f"Postgres: {done}")


def _refuse_while_in_use(client: redis.Redis) -> None:
    from .status.snapshot_reader import read_workers

    running = [each.hostname for each in read_workers(client) if each.alive]
    if running:
        raise CommandError(
            f"{listed(running)} still running on these tables: stop the workers first"
        )


def _row_counts(engine: sa.Engine) -> str:
    with engine.connect() as connection:
        return listed(
            [count(number, noun) for noun, number in totals(connection).items() if number]
        )
