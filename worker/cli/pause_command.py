"""Operate: stop delivery; applications can still enqueue."""

from __future__ import annotations

import time
from collections.abc import Sequence

import click
from redis.exceptions import RedisError

from trackrelay.worker.delivery.rate_limiter import GRACE_S

from .common.command_errors import CommandError, explain
from .common.command_options import no_wait_option, shard_option
from .common.command_stores import Stores, command_author, open_stores
from .common.humanize import duration, listed
from .common.output import say, stderr
from .common.shard_control import change_shards, held_shards, name_shards

_POLL_S = 0.1


@click.command()
@shard_option
@no_wait_option
def pause(shards: tuple[int, ...], no_wait: bool) -> None:
    """Stop delivery. Applications can still enqueue, and no job is lost.

    Returns when no request to Customer.io is in flight any more.
    """
    with open_stores() as stores:
        paused = change_shards(stores, shards, True, command_author())
        if not no_wait:
            try:
                _wait_for_holders(stores, paused)
            except (RedisError, KeyboardInterrupt) as error:
                raise CommandError(
                    f"paused {name_shards(paused)}, but a request may still be in flight: "
                    f"{explain(error) or 'interrupted'}; `trackrelay resume` resumes delivery"
                ) from None
        say(f"Paused: {name_shards(paused)}. `trackrelay resume` resumes delivery.")


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
