"""Enqueues a mix from a process of its own: ``python -m benchmarks.feed MIX COUNT``."""

from __future__ import annotations

import sys
import time

from producers import Producer

from .mixes import MIXES


def main() -> None:
    """Enqueue and print how long it took."""
    mix, count = sys.argv[1], int(sys.argv[2])
    started = time.perf_counter()
    Producer().enqueue_many(MIXES[mix](count))
    print(f"enqueued {count} in {time.perf_counter() - started:.3f} s", flush=True)


if __name__ == "__main__":
    main()
