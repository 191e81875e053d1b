"""The cost of a call to the application, compared with Celery's ``.delay()``."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from trackrelay import Producer, operations
from trackrelay.queue.connections import Connections
from trackrelay.queue.resp import command, packed

from .end_to_end import CONCURRENCY, POOL
from .measured import percentiles
from .mixes import event_attributes, events
from .stack import ROOT, Stack, wait_for

DATA = event_attributes(1)


#: Other callers during a measurement: number of processes, and calls per second of each.
CALLERS, CALLS_A_SECOND = 3, 100


@dataclass
class Taken:
    """Microseconds of each call, and of a minimal Valkey command on the same connection."""

    track: list[float] = field(default_factory=list)
    delay: list[float] = field(default_factory=list)
    ping: list[float] = field(default_factory=list)

    def as_json(self, how: str = "") -> dict[str, dict[str, float]]:
        """Return percentiles by names such as ``track_us`` and ``track_loaded_us``."""
        return {f"{name}{how}_us": percentiles(us) for name, us in vars(self).items()}


def call_costs(stack: Stack, calls: int) -> dict[str, Any]:
    """Measure a call alone, and while other processes call and a worker delivers."""
    stack.fresh()
    producer = Producer(redis_url=stack.valkey.url, max_queue_length=10_000_000)
    taken = _side_by_side(stack, producer, calls)
    delay_per_s = 1e6 / (sum(taken.delay) / calls)
    costs = taken.as_json() | {
        "pipeline_us_per_call": _pipeline_us(producer),
        "enqueue_many_per_s": _many_per_s(producer, calls * 10),
        "delay_per_s": round(delay_per_s),
        "making_us": percentiles(
            [_timed(lambda: operations.track("42", "order_completed", DATA)) for _ in range(calls)]
        ),
        "import_ms": round(_import_ms("import trackrelay") - _import_ms("pass"), 1),
    }
    producer.close()
    return costs | _under_load(stack, calls)


def _under_load(stack: Stack, calls: int) -> dict[str, Any]:
    stack.fresh()
    producer = Producer(redis_url=stack.valkey.url, max_queue_length=10_000_000)
    with stack.workers(1, pool=POOL, concurrency=CONCURRENCY), ExitStack() as others:
        for number in range(CALLERS):
            others.enter_context(
                stack.process(f"caller{number}", ["benchmarks.caller", str(CALLS_A_SECOND)])
            )
        wait_for(lambda: stack.effects_count() > CALLERS * CALLS_A_SECOND, 30)
        taken = _side_by_side(stack, producer, calls)
        delivered = stack.effects_count()
    producer.close()
    return taken.as_json("_loaded") | {"delivered": delivered}


def _side_by_side(stack: Stack, producer: Producer, calls: int) -> Taken:
    from .celery_task import track

    track.app.conf.broker_url = stack.valkey.url
    ping, connections = command(1, packed(["PING"])), Connections(stack.valkey.url, 1.0)
    taken = Taken()
    # Alternate, so that a noisy moment affects all alike.
    for _ in range(calls):
        taken.track.append(_timed(lambda: producer.track("42", "order_completed", DATA)))
        taken.delay.append(_timed(lambda: track.delay("42", "order_completed", DATA, "01")))
        taken.ping.append(_timed(lambda: connections.exchange(ping)))
    connections.close()
    return taken


def _pipeline_us(producer: Producer) -> float:
    def once() -> None:
        with producer.pipeline() as pipeline:
            for _ in range(100):
                pipeline.track("42", "order_completed", DATA)

    return round(percentiles([_timed(once) for _ in range(20)])["p50"] / 100, 1)


def _many_per_s(producer: Producer, count: int) -> int:
    started = time.perf_counter()
    producer.enqueue_many(events(count))
    return round(count / (time.perf_counter() - started))


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
