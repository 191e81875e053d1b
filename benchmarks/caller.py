"""Call ``track()`` at a steady rate until killed: ``python -m benchmarks.caller RATE``."""

from __future__ import annotations

import itertools
import sys
import time

from trackrelay import Producer

from .latency import event


def main() -> None:
    """Call at a steady rate."""
    rate = float(sys.argv[1])
    producer = Producer()
    started = time.monotonic()
    for number in itertools.count():
        time.sleep(max(0.0, started + number / rate - time.monotonic()))
        producer.enqueue(event(number))


if __name__ == "__main__":
    main()
