"""Operate: change the queue's number of shards."""

from __future__ import annotations

import time

import click

from trackrelay.queue.redis_keys import MOVING
from trackrelay.worker.queue import queue_config
from trackrelay.worker.queue.queue_config import QueueConfig
from trackrelay.worker.queue.shard_migration import Resharder, ReshardError
from trackrelay.worker.settings import Settings

from .common.command_errors import CommandError
from .common.command_options import confirm, yes_option
from .common.command_stores import Stores, open_stores
from .common.humanize import count, duration
from .common.output import say, stderr


@click.command()
@click.argument("shards", type=click.IntRange(1, 1024))
@yes_option
def reshard(shards: int, yes: bool) -> None:
    """Change the queue's number of SHARDS while applications keep enqueueing.

    One worker process at a time delivers a shard, so more shards let more workers help. Waiting
    jobs are moved in order for each person. Callers wait for a moment at most.

    Applications and workers that set TRACKRELAY_SHARDS refuse to work with another number: remove
    the setting everywhere first. After an interruption, run the command again to complete it.
    """
    with open_stores() as stores:
        before = queue_config.check_queue(stores.redis, None)
        _refuse_setting(stores.settings, shards)
        if before.shards == shards and not stores.redis.exists(MOVING):
            say(f"The queue already has {count(shards, 'shard')}.")
            return
        if not yes:
            say(
                f"The queue has {count(before.shards, 'shard')}; it will have {shards}. "
                "Delivery pauses while waiting jobs are moved.\n"
                "Applications that set TRACKRELAY_SHARDS will refuse to enqueue: "
                "remove it everywhere first.",
                err=True,
            )
            confirm("Continue?")
        started = time.monotonic()
        after = _reshard(stores, shards)
        took = duration(time.monotonic() - started)
        say(f"The queue has {count(after.shards, 'shard')}; it had {before.shards}. Took {took}.")


def _refuse_setting(configured: Settings, shards: int) -> None:
    if configured.shards is not None and configured.shards != shards:
        raise CommandError(
            f"TRACKRELAY_SHARDS is {configured.shards} here, and refuses a queue with {shards} "
            "shards. Remove it (or correct it) here and wherever applications and workers run, "
            "then reshard"
        )


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
            raise CommandError(f"the number of shards was not changed: {why}") from None
        except KeyboardInterrupt:
            raise CommandError(
                "interrupted: run the command again to complete the change"
            ) from None
