"""Operate: resume delivery after a pause."""

from __future__ import annotations

import click
from redis.exceptions import RedisError

from .common.command_errors import explain
from .common.command_options import shard_option
from .common.command_stores import command_author, open_stores
from .common.output import say
from .common.shard_control import change_shards, name_shards, wake_shards


@click.command()
@shard_option
def resume(shards: tuple[int, ...]) -> None:
    """Resume delivery after `trackrelay pause`."""
    with open_stores() as stores:
        resumed = change_shards(stores, shards, False, command_author())
        try:
            wake_shards(stores.redis, resumed)
        except RedisError as error:
            say(f"trackrelay: {explain(error)}", err=True)
        say(f"Resumed: {name_shards(resumed)}.")
