"""Live latency during bulk work: an import, a draining backlog, single v1 requests."""

from __future__ import annotations

from typing import Any

import msgspec

from trackrelay import Operation, Person, operations

from .end_to_end import CONCURRENCY, POOL
from .latency import call_at_a_rate, event, waited_ms, warmed_up
from .measured import percentiles
from .mixes import event_attributes
from .stack import Stack
from .stored_rows import fill_backlog

RATE = 100
#: The default of a worker.
DEFAULT_BUDGET = "100"


def live_beside_an_import(stack: Stack, rows: int, seconds: float) -> dict[str, Any]:
    """Measure 100 live events per second while ``rows`` events are imported."""
    stack.fresh()
    with stack.workers(1, pool=POOL, concurrency=CONCURRENCY), warmed_up(stack) as producer:
        with stack.process("feed", ["benchmarks.feed", "events", str(rows)]):
            called = call_at_a_rate(producer, RATE, seconds)
            still = stack.waiting()
        values = list(waited_ms(stack, called).values())
    return percentiles(values) | {
        "beside": "an import",
        "jobs": rows,
        "still_waiting": still,
        "events": len(values),
    }


def live_beside_a_backlog(stack: Stack, rows: int, seconds: float) -> dict[str, Any]:
    """Measure 100 live events per second while a backlog of ``rows`` drains."""
    stack.fresh()
    fill_backlog(
        stack.engine, rows, msgspec.json.encode(event_attributes(1)).decode(), shards=stack.shards
    )
    with stack.workers(1, pool=POOL, concurrency=CONCURRENCY), warmed_up(stack) as producer:
        called = call_at_a_rate(producer, RATE, seconds)
        still = stack.has_backlog()
        values = list(waited_ms(stack, called).values())
    return percentiles(values) | {
        "beside": "a backlog",
        "jobs": rows,
        "still_waiting": still,
        "events": len(values),
    }


def half_anonymous(stack: Stack, seconds: float) -> dict[str, Any]:
    """Measure 100 live events per second, half of them anonymous: each is a v1 request."""
    stack.fresh(TRACKRELAY_REQUESTS_PER_SECOND=DEFAULT_BUDGET)
    with stack.workers(1, pool=POOL, concurrency=CONCURRENCY), warmed_up(stack) as producer:
        called = call_at_a_rate(producer, RATE, seconds, _every_other_anonymous)
        waited = waited_ms(stack, called)
    in_order = [waited[job] for job in called]
    return percentiles(in_order) | {
        "beside": "half anonymous",
        "known": percentiles(in_order[::2]),
        "anonymous": percentiles(in_order[1::2]),
        "events": len(in_order),
    }


def _every_other_anonymous(number: int) -> Operation:
    if number % 2:
        return operations.track(
            Person(anonymous_id=f"anonymous-{number % 500}"), "page_seen", {"path": "/"}
        )
    return event(number)
