"""Latency from call to arrival: idle, at a steady rate, and during other work."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from trackrelay import Operation, Producer, operations

from .end_to_end import CONCURRENCY, POOL
from .measured import percentiles
from .stack import LATENCY_S, Stack, wait_for


def arrival_ms(stack: Stack, rate: float, seconds: float) -> dict[str, Any]:
    """Milliseconds from the due time of a call until the sandbox accepted the event.

    They include the sandbox's own latency of 50 ms.
    """
    stack.fresh()
    with stack.workers(1, pool=POOL, concurrency=CONCURRENCY), warmed_up(stack) as producer:
        called = call_at_a_rate(producer, rate, seconds)
        values = list(waited_ms(stack, called).values())
    return percentiles(values) | {"rate": rate, "events": len(values), "api_ms": LATENCY_S * 1000}


class warmed_up:
    """Yield a producer after one warm-up event has arrived."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    def __enter__(self) -> Producer:
        self._producer = Producer(redis_url=self._stack.valkey.url, max_queue_length=5_000_000)
        before = self._stack.effects_count()
        for person in range(40):
            self._producer.track(f"warm-{person}", "warm-up", {})
        wait_for(lambda: self._stack.effects_count() >= before + 40, 30)
        return self._producer

    def __exit__(self, *error: object) -> None:
        self._producer.close()


def event(number: int) -> Operation:
    """Track an event of one of five hundred people."""
    return operations.track(f"live-{number % 500}", "seen", {"number": number})


def call_at_a_rate(
    producer: Producer, rate: float, seconds: float, make: Callable[[int], Operation] = event
) -> dict[str, float]:
    """Return each job's id and due time. A late call does not delay the next (open loop)."""
    called: dict[str, float] = {}
    started = time.time()
    for number in range(int(rate * seconds)):
        due = started + number / rate
        time.sleep(max(0.0, due - time.time()))
        called[producer.enqueue(make(number))] = due
    return called


def waited_ms(stack: Stack, called: dict[str, float], timeout_s: float = 90) -> dict[str, float]:
    """Wait until all jobs have arrived; return how long each took."""
    waited: dict[str, float] = {}
    seen = 0
    deadline = time.monotonic() + timeout_s
    while len(waited) < len(called):
        for effect in stack.sandbox.client.effects(after=seen):
            seen = effect["seq"]
            if effect["id"] in called:
                waited[effect["id"]] = (effect["at"] - called[effect["id"]]) * 1000
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"{len(called) - len(waited):,} of {len(called):,} live events did not arrive"
            )
        time.sleep(0.05)
    return waited
