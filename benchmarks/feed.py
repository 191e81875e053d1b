"""Enqueue a mix from a separate process: ``python -m benchmarks.feed MIX COUNT``."""

from __future__ import annotations

import os
import sys
import time

import redis

from trackrelay import Producer

from .mixes import MIXES

#: Where it writes when it began (unix seconds), so that the start of Python is not measured.
BEGAN = "bench:began"


def main() -> None:
    """Enqueue and print how long it took."""
    mix, count = sys.argv[1], int(sys.argv[2])
    producer = Producer()
    redis.Redis.from_url(os.environ["TRACKRELAY_REDIS_URL"]).set(BEGAN, time.time())
    started = time.perf_counter()
    producer.enqueue_many(MIXES[mix](count))
    print(f"enqueued {count} in {time.perf_counter() - started:.3f} s", flush=True)


if __name__ == "__main__":
    main()
