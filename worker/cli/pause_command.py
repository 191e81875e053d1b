"""Operate: stop delivery; applications can still enqueue."""

from __future__ import annotations

import time
from collections.abc import Sequence

import click
import redis
from redis.exceptions import RedisError

from trackrelay.queue.redis_keys import lease
from trackrelay.worker.delivery.rate_limiter import GRACE_S
from trackrelay.worker.storage.shards import set_paused

from .common.command_errors import CommandError, explain
from .common.command_options import no_wait_option, shard_option
from .common.command_stores import Stores, open_stores
from .common.humanize import duration, listed
from .common.output import say, stderr

_POLL_S = 0.1


@click.command()
@shard_option
@no_wait_option
def pause(shards: tuple[int, ...], no_wait: bool) -> None:
    """Stop delivery. Applications can still enqueue, and no job is lost.

    Returns when no request to Customer.io is in flight any more.
    """
    with open_stores() as stores:
        paused = change_shards(stores, shards, True)
        if not no_wait:
            try:
                _wait_for_holders(stores, paused)
            except (RedisError, KeyboardInterrupt) as error:
                raise CommandError(
                    f"paused {name_shards(paused)}, but a request may still be in flight: "
                    f"{explain(error) or 'interrupted'}; `trackrelay resume` resumes delivery"
                ) from None
        say(f"Paused: {name_shards(paused)}. `trackrelay resume` resumes delivery.")


def change_shards(stores: Stores, wanted: Sequence[int], paused: bool) -> list[int]:
    """Pause or resume shards, and return which; without ``wanted``, all of them.

    Raises:
        CommandError: there is no such shard; nothing was changed.
    """
    with stores.engine.begin() as connection:
        changed = set_paused(connection, list(wanted) or None, paused)
        if missing := [str(number) for number in sorted(set(wanted)) if number not in changed]:
            connection.rollback()
            raise CommandError(
                f"there is no shard {listed(missing, 'or')}: `trackrelay status` lists them"
            )
    if not changed:
        raise CommandError("the database knows no shards: run `trackrelay migrate`")
    return changed


def name_shards(numbers: Sequence[int]) -> str:
    """Return ``shard 3``, ``shards 0, 1 and 2`` or ``shards 0 to 15``."""
    names = (
        listed([str(number) for number in numbers])
        if len(numbers) <= 8
        else f"{numbers[0]} to {numbers[-1]}"
    )
    return f"shard {names}" if len(numbers) == 1 else f"shards {names}"


def _wait_for_holders(stores: Stores, paused: Sequence[int]) -> None:
    longest_s = stores.settings.request_timeout.total_seconds() + 2 * GRACE_S
    until = time.monotonic() + longest_s
    with stderr().status("Waiting for requests in flight …"):
        while held := held_shards(stores.redis, paused):
            if time.monotonic() > until:
                numbers = listed([str(number) for number in held])
                raise CommandError(
                    f"paused, but a worker still holds shard {numbers} after "
                    f"{duration(longest_s)}: it may be stuck; see its log"
                )
            time.sleep(_POLL_S)


def held_shards(client: redis.Redis, numbers: Sequence[int]) -> list[int]:
    """Return which of the shards ``numbers`` a worker holds."""
    with client.pipeline(transaction=False) as pipe:
        for number in numbers:
            pipe.exists(lease(number))
        return [number for number, held in zip(numbers, pipe.execute(), strict=True) if held]
