"""What a call costs the application, beside Celery's ``.delay()``."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from producers import Producer, operations

from .measured import percentiles
from .mixes import event_attributes, events
from .stack import ROOT, Stack


def call_costs(stack: Stack, calls: int) -> dict[str, Any]:
    """Microseconds a call, and calls a second."""
    stack.fresh()
    from .celery_task import track

    track.app.conf.broker_url = stack.valkey.url
    producer = Producer(redis_url=stack.valkey.url, max_queue_length=10_000_000)
    data = event_attributes(1)
    # Turn by turn, so that a noisy moment hits both.
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(calls):
        ours.append(_timed(lambda: producer.track("42", "order_completed", data)))
        theirs.append(_timed(lambda: track.delay("42", "order_completed", data, "01")))
    started = time.perf_counter()
    with producer.pipeline() as pipeline:
        for _ in range(100):
            pipeline.track("42", "order_completed", data)
    piped = (time.perf_counter() - started) * 1e6 / 100
    count = calls * 10
    started = time.perf_counter()
    producer.enqueue_many(events(count))
    many = count / (time.perf_counter() - started)
    producer.close()
    delay = percentiles(theirs)
    return {
        "track_us": percentiles(ours),
        "delay_us": delay,
        "pipeline_us_per_call": round(piped, 1),
        "enqueue_many_per_s": round(many),
        "delay_per_s": round(1e6 / (sum(theirs) / len(theirs))),
        "making_us": percentiles(
            [_timed(lambda: operations.track("42", "order_completed", data)) for _ in range(calls)]
        ),
        "import_ms": round(_import_ms("import producers") - _import_ms("pass"), 1),
    }


def _timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1e6


def _import_ms(code: str) -> float:
    def once() -> float:
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
        return (time.perf_counter() - started) * 1000

    return min(once() for _ in range(5))
