"""``python -m benchmarks.spent``: CPU seconds by process, and microseconds by step of a call."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import click

from trackrelay import Producer, operations
from trackrelay.queue.append import append_command
from trackrelay.queue.connections import Connections
from trackrelay.queue.resp import command, packed

from .stack import Meter, Stack, wait_for

#: How often each step of a call is timed.
CALLS = 2_000
SHARDS = 8


@click.command()
@click.option("--events", default=100_000, show_default=True, help="Events delivered.")
def main(events: int) -> None:
    """Deliver events with eight processes and eight shards; print the CPU time of each."""
    with Stack() as stack:
        stack.fresh(SHARDS)
        for name, seconds in _seconds(stack, events).items():
            click.echo(f"{name:12}{seconds:8.2f} CPU s")
        for name, us in _microseconds(stack).items():
            click.echo(f"{name:12}{us:8.1f} µs a call")


def _seconds(stack: Stack, events: int) -> dict[str, float]:
    with stack.workers(pool="prefork", concurrency=SHARDS) as pids:
        servers: dict[str, Any] = {
            "valkey": stack.valkey,
            "postgres": stack.postgres,
            "sandbox": stack.sandbox,
        }
        meters = {"worker": Meter(pids)} | {
            name: Meter([server.pid or 0]) for name, server in servers.items()
        }
        started = time.perf_counter()
        with stack.process("feed", ["benchmarks.feed", "events", str(events)]) as feed:
            meters["feed"] = Meter([feed.pid])
            wait_for(lambda: stack.effects_count() >= events, 300, meters["feed"], poll_s=0.1)
            wait_for(lambda: stack.ledger_count() >= events, 60)
            elapsed = time.perf_counter() - started
            spent = {name: meter.stop().cpu_s for name, meter in meters.items()}
    click.echo(f"{events / elapsed:,.0f} a second")
    return spent | {"in all": sum(spent.values())}


def _microseconds(stack: Stack) -> dict[str, float]:
    producer = Producer(redis_url=stack.settings["TRACKRELAY_REDIS_URL"])
    connections = Connections(stack.settings["TRACKRELAY_REDIS_URL"], 1.0)
    entries = producer.entries([operations.track("42", "bought", {"text": "x" * 300})])
    append = append_command(entries, "live", shards=stack.shards, max_length=5_000_000)
    producer.track("42", "seen", {})
    return {
        "PING": _median(lambda: connections.exchange(command(1, packed(["PING"])))),
        "append": _median(lambda: connections.exchange(append)),
        "track()": _median(lambda: producer.track("42", "bought", {"text": "x" * 300})),
    }


def _median(call: Callable[[], object]) -> float:
    taken = []
    for _ in range(CALLS):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1e6


if __name__ == "__main__":
    main()
