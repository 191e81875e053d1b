"""Operate: try at once whether delivery is possible again."""

from __future__ import annotations

import time
from typing import Any

import click
import redis

from trackrelay.queue.redis_keys import PREFIX
from trackrelay.worker.delivery.breaker import Breaker
from trackrelay.worker.delivery.rate_limiter import GRACE_S
from trackrelay.worker.endpoint_families import DELIVERS, Family
from trackrelay.worker.telemetry.visible_text import visible

from .common.command_options import no_wait_option
from .common.command_stores import command_author, open_stores
from .common.humanize import duration
from .common.output import say, stderr
from .common.shard_control import request_probe

_POLL_S = 0.1
#: A failed probe moves the next attempt at least this far into the future.
_MOVED_S = 0.05


@click.command()
@no_wait_option
def probe(no_wait: bool) -> None:
    """Try at once whether delivery is possible again.

    While Customer.io has a problem, workers send one job from time to time to see whether it is
    over. This command sends that job now, even if Customer.io asked to wait longer.

    Waits for the answer. The exit status is 1 if delivery is still not possible.
    """
    with open_stores() as stores:
        breaker = Breaker(stores.redis, probe_s=30)
        # A probe ends with its timeout at the latest.
        longest_s = stores.settings.request_timeout.total_seconds() + 2 * GRACE_S
        stopped = request_probe(stores, command_author())
        if not stopped:
            say("Nothing to try: delivery is not stopped.")
            return
        if no_wait:
            say(f"The next attempt is due now: {', '.join(_name(family) for family in stopped)}.")
            return
        results = [_wait(stores.redis, breaker, family, longest_s) for family in stopped]
    if not all(results):
        raise SystemExit(1)


def _wait(client: redis.Redis, breaker: Breaker, family: Family | None, longest_s: float) -> bool:
    """Print the result of the attempt, and return whether delivery is possible."""
    until = time.monotonic() + longest_s
    with stderr().status(f"Waiting for an attempt: {_name(family)} …"):
        while time.monotonic() < until:
            states = breaker.read_states(may_probe=None)
            state = states.shared if family is None else states.families[family]
            if state.phase == "closed":
                say(f"{_name(family)}: delivery resumed.")
                return True
            if state.wait_s > _MOVED_S:
                key = f"{PREFIX}breaker:{family}" if family else f"{PREFIX}breaker"
                answer: Any = client.hget(key, "message") or b""
                message = visible(answer.decode(errors="replace"))
                say(
                    f"{_name(family)}: still {state.phase}: {message}; "
                    f"next attempt in {duration(state.wait_s)}"
                )
                return False
            time.sleep(_POLL_S)
    say(
        f"{_name(family)}: no worker tried within {duration(longest_s)}: no worker runs, or no job "
        "waits for it. The next job is the attempt."
    )
    return False


def _name(family: Family | None) -> str:
    return DELIVERS[family] if family else "credentials"
