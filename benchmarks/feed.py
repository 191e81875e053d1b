"""Enqueue a mix from a separate process: ``python -m benchmarks.feed MIX COUNT``."""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Sequence

import redis

from trackrelay import Operation, Producer
from trackrelay.queue.append import Entry

from .mixes import MIXES

#: Where it writes when it began (unix seconds), so that the start of Python is not measured.
BEGAN = "bench:began"
#: Set: every job is in a recorded trace of its own.
TRACES = "BENCH_TRACES"


class TracingProducer(Producer):
    """Enqueues what calls of many requests would, without recording their spans here."""

    numbers = itertools.count(1)

    def entries(self, batch: Sequence[Operation]) -> list[Entry]:
        """Return the stream entries of ``batch``."""
        return [
            Entry.of(each, source=None, trace=f"00-{number:032x}-{number:016x}-01")
            for each, number in zip(batch, self.numbers, strict=False)
        ]


def main() -> None:
    """Enqueue and print how long it took."""
    mix, count = sys.argv[1], int(sys.argv[2])
    producer = TracingProducer() if os.environ.get(TRACES) else Producer()
    redis.Redis.from_url(os.environ["TRACKRELAY_REDIS_URL"]).set(BEGAN, time.time())
    started = time.perf_counter()
    producer.enqueue_many(MIXES[mix](count))
    print(f"enqueued {count} in {time.perf_counter() - started:.3f} s", flush=True)


if __name__ == "__main__":
    main()
