"""trackrelay from end to end: enqueue, stream, delivery, ledger."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from .feed import BEGAN
from .measured import Throughput
from .stack import Meter, Stack, wait_for

#: The settings of most measurements.
POOL, CONCURRENCY, SHARDS = "threads", 4, 4


def end_to_end(
    stack: Stack, mix: str, count: int, *, pool: str = POOL, concurrency: int = CONCURRENCY,
    shards: int = SHARDS,
    workers: int = 1,
) -> Throughput:  # fmt: skip
    """Measure jobs per second from the first enqueue to the last ledger row."""
    stack.fresh(shards)
    several = f"{workers} × " if workers > 1 else ""
    plural = "s" if shards > 1 else ""
    name = f"trackrelay, {several}{pool} {concurrency}, {shards} shard{plural}"
    with stack.workers(workers, pool=pool, concurrency=concurrency) as pids:
        return feed_and_wait(stack, mix, count, pids, name)


def feed_and_wait(
    stack: Stack, mix: str, count: int, pids: Sequence[int], name: str, *,
    ledger_grows: bool = True,
    watch: Callable[[int, float], object] | None = None,
) -> Throughput:  # fmt: skip
    """Enqueue from a separate process, and wait until everything is in the ledger.

    Args:
        pids: the workers.
        ledger_grows: it holds what was there and what was delivered; not so while it is pruned.
        watch: told, every tenth of a second, how many have arrived and the workers' resident memory
            in MB.
    """
    arrived_before, in_ledger_before = stack.effects_count(), stack.ledger_count()
    requests_before = stack.sandbox.client.summary()["requests"]
    stack.redis.delete(BEGAN)
    with stack.process("feed", ["benchmarks.feed", mix, str(count)]) as feed:
        meter, workers, sandbox = (
            Meter([*pids, feed.pid]),
            Meter(pids),
            Meter([stack.sandbox.pid or 0]),
        )
        deadline = time.monotonic() + 60 + count / 300
        while (arrived := stack.effects_count() - arrived_before) < count:
            meter.look()
            if watch:
                watch(arrived, workers.look())
            if time.monotonic() > deadline:
                raise TimeoutError(f"{arrived:,} of {count:,} arrived")
            time.sleep(0.1)
        # Acknowledged means settled: a job in no stream is in the ledger.
        wait_for(lambda: stack.waiting() == 0 and not stack.has_backlog(), 120, poll_s=0.01)
        elapsed = time.time() - float(stack.redis.get(BEGAN) or 0)
        usage, sandbox_usage = meter.stop(), sandbox.stop()
    in_ledger = stack.ledger_count() - in_ledger_before
    if ledger_grows and in_ledger != count:
        raise RuntimeError(f"{count:,} were enqueued, {in_ledger:,} are in the ledger")
    requests = stack.sandbox.client.summary()["requests"] - requests_before
    return Throughput.of(name, mix, count, elapsed, usage, requests, sandbox_usage.cpu_s / elapsed)
