"""``trackrelay probe``: try at once whether delivery is possible again."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

import click
import redis

from trackrelay.queue.redis_keys import PREFIX
from trackrelay.worker.delivery.breaker import Breaker, probe_now
from trackrelay.worker.delivery.rate_limiter import GRACE_S
from trackrelay.worker.delivery.shard_queue import wake_shard
from trackrelay.worker.endpoint_families import DELIVERS, Family
from trackrelay.worker.queue import queue_config
from trackrelay.worker.telemetry.visible_text import visible

from .common.command_stores import open_stores
from .common.humanize import duration
from .common.output import say, stderr

_POLL_S = 0.1
#: A probe that has failed moves the next attempt at least so far ahead, seconds.
_MOVED_S = 0.05


@click.command()
@click.option("--no-wait", is_flag=True, help="Do not wait for what becomes of it.")
def probe(no_wait: bool) -> None:
    """Try at once whether delivery is possible again.

    While Customer.io has a problem, one job is sent now and then to find out whether it is over. This sends it now, however long
    an answer asked to wait.
    """
    with open_stores() as stores:
        breaker = Breaker(stores.redis, probe_s=30)
        # No shorter than what a probe takes: a connection that hangs ends with its time-out.
        longest = stores.settings.request_timeout.total_seconds() + 2 * GRACE_S
        stopped = probe_now(stores.redis)
        if not stopped:
            say("Nothing to try: delivery is not stopped.")
            return
        config = queue_config.read(stores.redis)
        for shard in range(config.shards if config else 0):
            wake_shard(stores.redis, shard)
        if no_wait:
            say(f"The next attempt is due now: {', '.join(_name(family) for family in stopped)}.")
            return
        failed = [
            family
            for family in stopped
            if not _report(stores.redis, breaker, family, stopped, longest)
        ]
    if failed:
        raise SystemExit(1)


def _report(
    client: redis.Redis,
    breaker: Breaker,
    family: Family | None,
    stopped: Collection[Family | None],
    longest: float,
) -> bool:
    until = time.monotonic() + longest
    with stderr().status(f"Waiting for an attempt: {_name(family)} …"):
        while time.monotonic() < until:
            breakers = breaker.read_states(may_probe=None)
            breaker_state = breakers.shared if family is None else breakers.families[family]
            if breaker_state.phase == "closed":
                say(f"{_name(family)}: delivery goes on.")
                return True
            if breaker_state.wait_s > _MOVED_S:
                key = f"{PREFIX}breaker:{family}" if family else f"{PREFIX}breaker"
                said: Any = client.hget(key, "message") or b""
                message = visible(said.decode(errors="replace"))
                say(
                    f"{_name(family)}: still {breaker_state.phase}: {message}; next attempt in {duration(breaker_state.wait_s)}"
                )
                return False
            time.sleep(_POLL_S)
    say(
        f"{_name(family)}: nobody tried within {duration(longest)}: no worker runs, or no job waits for it; the next job is the attempt."
    )
    return False


def _name(family: Family | None) -> str:
    return DELIVERS[family] if family else "credentials"
