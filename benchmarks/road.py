"""trackrelay, the whole road: enqueue, stream, delivery, ledger."""

from __future__ import annotations

import time

from .measured import Throughput
from .stack import Meter, Stack, wait_for


def whole_road(
    stack: Stack, mix: str, count: int, *, pool: str, concurrency: int, shards: int = 4, workers: int = 1
) -> Throughput:
    """Delivered a second, from the first enqueue to the last ledger row."""
    stack.fresh(shards)
    with stack.workers(workers, pool=pool, concurrency=concurrency) as pids:
        requests_before = stack.sandbox.client.summary()["requests"]
        started = time.perf_counter()
        with stack.process("feed", ["benchmarks.feed", mix, str(count)]) as feed:
            meter = Meter([*pids, feed.pid])
            wait_for(lambda: stack.effects_count() >= count, 300, meter, poll_s=0.1)
            wait_for(lambda: stack.ledger_count() >= count, 60, poll_s=0.01)
            elapsed = time.perf_counter() - started
            usage = meter.stop()
        requests = stack.sandbox.client.summary()["requests"] - requests_before
    name = f"trackrelay, {pool} {concurrency}, {shards} shards" + (f", {workers} workers" if workers > 1 else "")
    return Throughput.of(name, mix, count, elapsed, usage, requests)
