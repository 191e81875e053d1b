"""``trackrelay migrate``: what Postgres and Redis need, made or brought up to date."""

from __future__ import annotations

import click
import redis
import sqlalchemy as sa

from trackrelay.worker.queue import bootstrap, queue_config
from trackrelay.worker.queue.queue_agreement import difference
from trackrelay.worker.queue.queue_config import QueueConfig
from trackrelay.worker.queue.shard_migration import Resharder, ReshardError
from trackrelay.worker.storage import queue_record, schema
from trackrelay.worker.storage.queries.table_sizes import totals

from .common.command_errors import CommandFailed
from .common.command_stores import Stores, open_stores
from .common.humanize import count, listed
from .common.output import say


@click.command()
@click.option(
    "--down", metavar="REVISION", help="Take the tables back to REVISION; `base` removes them all."
)
@click.option(
    "--adopt",
    is_flag=True,
    help="If Redis and Postgres know different queues: make the one in Redis this database's. Only if they belong together.",
)
@click.option("--yes", is_flag=True, help="With --down or --adopt: do not ask.")
def migrate(down: str | None, adopt: bool, yes: bool) -> None:
    """Make the tables in Postgres and the queue in Redis, or bring them up to date. Can be run again at any time."""
    if adopt and down is not None:
        raise click.UsageError("--adopt and --down exclude each other")
    with open_stores() as stores:
        sa.event.listen(stores.engine, "begin", _take_your_time)
        if adopt:
            _adopt(stores, yes)
        if down is None:
            _up(stores)
        else:
            _down(stores, down, yes)


def _take_your_time(connection: sa.Connection) -> None:
    # A migration may rewrite a large table; delivery's bound on a statement's time is not meant for it.
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")


def _up(stores: Stores) -> None:
    before = _revision(stores.engine)
    queue_before = queue_config.read(stores.redis)
    after = bootstrap.migrate(
        stores.engine,
        stores.redis,
        stores.settings.shards,
        request_timeout_s=stores.settings.request_timeout.total_seconds(),
    )
    say(f"Postgres: {_moved(before, _revision(stores.engine))}")
    say(f"Redis:    {_queue(queue_before, after)}")


def _adopt(stores: Stores, yes: bool) -> None:
    bootstrap.upgrade_tables(stores.engine)
    config = queue_config.check_queue(stores.redis, stores.settings.shards)
    with stores.engine.connect() as connection:
        record = queue_record.read(connection)
    problem = difference(config, record)
    if problem is None:
        return
    if not yes:
        click.echo(f"{problem[:1].upper()}{problem[1:]}.", err=True)
        click.confirm("Do they belong together?", abort=True, err=True)
    try:
        Resharder(stores.engine, stores.redis, stores.settings, stores.hasher()).adopt()
    except ReshardError as why:
        raise CommandFailed(f"the queue was not adopted: {why}") from None
    click.echo(
        f"Adopted:  the queue in Redis, {count(config.shards, 'shard')}, with what waits in Postgres"
    )


def _revision(engine: sa.Engine) -> str | None:
    with engine.connect() as connection:
        return schema.current(connection)


def _moved(before: str | None, after: str | None) -> str:
    if before == after and before is not None and not schema.is_known(before):
        return f"tables are at revision {before}, made by a newer version of trackrelay: left as they are"
    if before == after:
        return f"tables are at revision {after} already"
    if before is None:
        return f"tables made, revision {after}"
    return f"tables brought from revision {before} to {after}"


def _queue(before: QueueConfig | None, after: QueueConfig) -> str:
    about = f"{count(after.shards, 'shard')}, format {after.format}"
    return f"the queue is set up already: {about}" if before == after else f"queue set up: {about}"


def _down(stores: Stores, revision: str, yes: bool) -> None:
    before = _revision(stores.engine)
    if before is None:
        raise CommandFailed("the database has no trackrelay tables")
    _refuse_while_in_use(stores.redis)
    if not yes:
        say(f"This takes the tables from revision {before} back to {revision}.", err=True)
        if kept := _at_stake(stores.engine):
            say(
                f"They hold {kept}. What the older revision has no place for is lost for good.",
                err=True,
            )
        click.confirm("Go on?", abort=True, err=True)
    with stores.engine.connect() as connection:
        try:
            schema.downgrade(connection, revision)
        except schema.UnknownRevisionError as error:
            raise CommandFailed(str(error)) from None
        connection.commit()
    say(
        f"Postgres: {_moved(before, _revision(stores.engine)) if revision != 'base' else 'tables removed'}"
    )


def _refuse_while_in_use(client: redis.Redis) -> None:
    from .status.redis_snapshot import workers

    running = [each.hostname for each in workers(client) if each.alive]
    if running:
        raise CommandFailed(
            f"{listed(running)} still running on these tables: stop the workers first"
        )


def _at_stake(engine: sa.Engine) -> str:
    with engine.connect() as connection:
        return listed(
            [count(number, noun) for noun, number in totals(connection).items() if number]
        )
