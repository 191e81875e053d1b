"""``trackrelay pause`` and ``trackrelay resume``."""

from __future__ import annotations

import time
from collections.abc import Sequence

import click
import redis
from redis.exceptions import RedisError

from trackrelay.queue.redis_keys import lease
from trackrelay.worker.delivery.rate_limiter import GRACE_S
from trackrelay.worker.delivery.shard_queue import wake_shard
from trackrelay.worker.storage import shards

from .common.command_errors import CommandFailed, explain
from .common.command_stores import Stores, open_stores
from .common.humanize import MOST, duration, listed
from .common.output import say, stderr

_POLL_S = 0.1


@click.command()
@click.option(
    "--shard",
    type=click.IntRange(0, MOST),
    multiple=True,
    metavar="N",
    help="Only this one; repeatable.",
)
@click.option("--no-wait", is_flag=True, help="Do not wait for requests that are on their way.")
def pause(shard: tuple[int, ...], no_wait: bool) -> None:
    """Stop delivery; callers go on enqueueing, and nothing is lost.

    Returns when no request is on its way any more.
    """
    with open_stores() as stores:
        paused = _set_paused(stores, shard, True)
        if not no_wait:
            try:
                _wait_for_holders(stores, paused)
            except (RedisError, KeyboardInterrupt) as error:
                raise CommandFailed(
                    f"paused {_named(paused)}, but whether a request is still on its way is not known: "
                    f"{explain(error) or 'interrupted'}; `trackrelay resume` lets delivery go on"
                ) from None
        say(f"Paused: {_named(paused)}. `trackrelay resume` lets delivery go on.")


@click.command()
@click.option(
    "--shard",
    type=click.IntRange(0, MOST),
    multiple=True,
    metavar="N",
    help="Only this one; repeatable.",
)
def resume(shard: tuple[int, ...]) -> None:
    """Let delivery go on."""
    with open_stores() as stores:
        resumed = _set_paused(stores, shard, False)
        try:
            for number in resumed:
                wake_shard(stores.redis, number)
        except RedisError as error:
            say(f"trackrelay: {explain(error)}", err=True)
        say(f"Resumed: {_named(resumed)}.")


def _set_paused(stores: Stores, wanted: Sequence[int], paused: bool) -> list[int]:
    with stores.engine.begin() as connection:
        changed = shards.set_paused(connection, list(wanted) or None, paused)
        if missing := [str(number) for number in sorted(set(wanted)) if number not in changed]:
            connection.rollback()
            raise CommandFailed(
                f"there is no shard {listed(missing, 'or')}: `trackrelay status` lists them"
            )
    if not changed:
        raise CommandFailed("the database knows no shards: run `trackrelay migrate`")
    return changed


def _wait_for_holders(stores: Stores, paused: Sequence[int]) -> None:
    longest = stores.settings.request_timeout.total_seconds() + 2 * GRACE_S
    until = time.monotonic() + longest
    with stderr().status("Waiting for requests that are on their way …"):
        while held := held_shards(stores.redis, paused):
            if time.monotonic() > until:
                numbers = listed([str(number) for number in held])
                raise CommandFailed(
                    f"paused, but a worker still holds shard {numbers} after {duration(longest)}: it may be stuck; "
                    "see its log"
                )
            time.sleep(_POLL_S)


def held_shards(client: redis.Redis, numbers: Sequence[int]) -> list[int]:
    """Those of the shards ``numbers`` that a worker holds."""
    with client.pipeline(transaction=False) as asked:
        for number in numbers:
            asked.exists(lease(number))
        return [number for number, held in zip(numbers, asked.execute(), strict=True) if held]


def _named(numbers: Sequence[int]) -> str:
    shown = (
        listed([str(number) for number in numbers])
        if len(numbers) <= 8
        else f"{numbers[0]} to {numbers[-1]}"
    )
    return f"shard {shown}" if len(numbers) == 1 else f"shards {shown}"
