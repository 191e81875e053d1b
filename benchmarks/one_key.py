"""Throughput of one person's jobs, which are delivered in order, never in parallel."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any

from trackrelay import Person, Producer, operations

from .end_to_end import CONCURRENCY, POOL
from .stack import Stack

#: One job in this many is a form (v1), one in this many an event over 32 kB; number of merges.
FORM_EVERY, LARGE_EVERY, MERGES = 20, 200, 2
#: The delay of a merge after the delivery before it. The default of five seconds would be idle
#: time.
MERGE_DELAY = "0.2s"


def one_key(stack: Stack, jobs: int, *, mixed: bool) -> dict[str, Any]:
    """Return jobs per second for one person with ``jobs`` waiting when the workers start.

    Args:
        mixed: v1 operations and merges are among them.
    """
    stack.fresh(TRACKRELAY_MERGE_DELAY=MERGE_DELAY)
    with closing(Producer(redis_url=stack.settings["TRACKRELAY_REDIS_URL"])) as producer:
        for first in range(0, jobs, 500):
            producer.enqueue_many(
                [_operation(number, jobs, mixed) for number in range(first, min(jobs, first + 500))]
            )
    with stack.workers(1, pool=POOL, concurrency=CONCURRENCY):
        deadline = time.monotonic() + 120 + jobs / 5
        began, first = 0.0, 0
        while (delivered := stack.ledger_count()) < jobs:
            if delivered and not first:
                began, first = time.monotonic(), delivered
            if time.monotonic() > deadline:
                raise TimeoutError(f"{delivered:,} of {jobs:,} jobs of one person were delivered")
            time.sleep(0.02)
        elapsed = time.monotonic() - began
    return {
        "jobs": jobs,
        "delivered_per_s": round((jobs - first) / elapsed, 1),
        "requests": stack.sandbox.client.summary()["requests"],
    }


def _operation(number: int, jobs: int, mixed: bool) -> Any:
    person = Person(id="42")
    if mixed and number % (jobs // (MERGES + 1)) == 1 and number > 1:
        return operations.merge(primary=person, secondary=f"duplicate-{number}")
    if mixed and number % FORM_EVERY == 0:
        return operations.submit_form("newsletter", person, {"step": str(number)})
    if mixed and number % LARGE_EVERY == 7:
        return operations.track(person, "large", {f"text_{part}": "x" * 900 for part in range(40)})
    return operations.track(person, "step", {"number": number})
