"""Call ``track()`` at a steady rate: ``python -m benchmarks.steady_feed RATE COUNT``.

A rate of 0 calls as fast as one process can. Prints the CPU seconds that the calls took.
"""

from __future__ import annotations

import sys
import time

from trackrelay import Producer

from .mixes import events


def main() -> None:
    """Call so many times, each call due at a fixed moment, and print the CPU seconds."""
    rate, count = float(sys.argv[1]), int(sys.argv[2])
    producer = Producer()
    for operation in events(50):
        producer.enqueue(operation)
    began, cpu = time.monotonic(), time.process_time()
    for number, operation in enumerate(events(count)):
        if rate:
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
        producer.enqueue(operation)
    print(f"cpu {time.process_time() - cpu:.4f}", flush=True)


if __name__ == "__main__":
    main()
