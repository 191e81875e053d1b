"""``trackrelay reshard``."""

from __future__ import annotations

import time

import click

from trackrelay.queue.redis_keys import MOVING
from trackrelay.worker.queue import queue_config
from trackrelay.worker.queue.queue_config import QueueConfig
from trackrelay.worker.queue.shard_migration import Resharder, ReshardError
from trackrelay.worker.settings import Settings

from .common.command_errors import CommandFailed
from .common.command_stores import Stores, open_stores
from .common.humanize import count, duration
from .common.output import say, stderr


@click.command()
@click.argument("shards", type=click.IntRange(1, 1024))
@click.option("--yes", is_flag=True, help="Do not ask.")
def reshard(shards: int, yes: bool) -> None:
    """Change the queue's number of SHARDS while applications go on enqueueing.

    Each shard is delivered by one worker process at a time, so more shards let more workers help. What waits is moved, in
    order for each person; callers wait for a moment at the most. Applications and workers that set TRACKRELAY_SHARDS refuse
    to work with another number: leave it out first, everywhere. Interrupted, it is completed by running it again.
    """
    with open_stores() as stores:
        before = queue_config.check_queue(stores.redis, None)
        _refuse_setting(stores.settings, shards)
        if before.shards == shards and not stores.redis.exists(MOVING):
            say(f"The queue has {count(shards, 'shard')} already.")
            return
        _ask(before, shards, yes)
        started = time.monotonic()
        after = _reshard(stores, shards)
        took = duration(time.monotonic() - started)
        say(f"The queue has {count(after.shards, 'shard')}; it had {before.shards}. Took {took}.")


def _refuse_setting(configured: Settings, shards: int) -> None:
    if configured.shards is not None and configured.shards != shards:
        raise CommandFailed(
            f"TRACKRELAY_SHARDS is {configured.shards} here: whoever has it set refuses to work with {shards} shards. Leave "
            "it out (or correct it) here and wherever applications and workers run, then reshard"
        )


def _ask(before: QueueConfig, shards: int, yes: bool) -> None:
    if yes:
        return
    say(
        f"The queue has {count(before.shards, 'shard')}; it will have {shards}. Delivery pauses while what waits is moved.\n"
        "Applications that set TRACKRELAY_SHARDS will refuse to enqueue: is it left out everywhere?",
        err=True,
    )
    click.confirm("Go on?", abort=True, err=True)


def _reshard(stores: Stores, shards: int) -> QueueConfig:
    console = stderr()
    with console.status("resharding") as status:

        def report(what: str) -> None:
            status.update(what)
            if not console.is_terminal:
                say(f"trackrelay: {what}", err=True)

        try:
            return Resharder(
                stores.engine, stores.redis, stores.settings, stores.hasher(), report
            ).run(shards)
        except ReshardError as why:
            raise CommandFailed(f"the number of shards was not changed: {why}") from None
        except KeyboardInterrupt:
            raise CommandFailed(
                "interrupted; run it again: what was begun is completed, or begun anew"
            ) from None
