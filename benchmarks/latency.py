"""From the call to the arrival at the Track API: idle, and at a steady rate (open loop)."""

from __future__ import annotations

import time
from typing import Any

from producers import Producer

from .measured import percentiles
from .stack import LATENCY_S, Stack, wait_for


def arrival_ms(
    stack: Stack, rate: float, seconds: float, *, pool: str = "threads", concurrency: int = 4
) -> dict[str, Any]:
    """Milliseconds from before the call until the sandbox accepted the event (its 50 ms of latency included)."""
    stack.fresh()
    with stack.workers(1, pool=pool, concurrency=concurrency):
        producer = Producer(redis_url=stack.valkey.url)
        producer.track("warm", "warm-up", {})
        wait_for(lambda: stack.effects_count() >= 1, 20)
        called = _call_at_a_rate(producer, rate, seconds)
        wait_for(lambda: stack.effects_count() >= len(called) + 1, 60, poll_s=0.2)
        arrived = {effect["id"]: effect["at"] for effect in stack.sandbox.client.effects() if effect["id"]}
        producer.close()
    values = [(arrived[job] - at) * 1000 for job, at in called.items()]
    return percentiles(values) | {"rate": rate, "events": len(values), "api_ms": LATENCY_S * 1000}


def _call_at_a_rate(producer: Producer, rate: float, seconds: float) -> dict[str, float]:
    # Open loop: calls are due at fixed times, and a late one does not delay the next.
    called: dict[str, float] = {}
    started = time.time()
    for number in range(int(rate * seconds)):
        due = started + number / rate
        time.sleep(max(0.0, due - time.time()))
        called[producer.track(str(number % 500), "seen", {"number": number})] = due
    return called
