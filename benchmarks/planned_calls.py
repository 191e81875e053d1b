"""``python -m benchmarks.planned_calls``: what a tracking plan costs a call.

Blocks of calls without a plan and with a plan of 50 events take turns, so that both meet the same
machine. Redis is a real one. The CPU time of the calls says more than their duration if other
programs use the machine, too.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import click

from trackrelay import Producer
from trackrelay.operations import plan_hook
from trackrelay.operations.plan_hook import CallPlan
from trackrelay.plan.call_check import call_check
from trackrelay.plan.plan_text import plan_text

from .stack import Stack

EVENTS = 50
TYPES = ("string", "number", "integer", "boolean")
#: Calls in a block.
BLOCK = 500
DATA = {"p0": "A-1", "p1": 12.5, "p2": 3, "p3": True, "p4": "some text", "p5": 99.9}


def text_of_plan() -> str:
    """Return a plan with many events, each with several properties, two of them required."""
    properties = {f"p{number}": {"type": TYPES[number % 4]} for number in range(8)}
    event = {"properties": properties, "required": ["p0", "p1"]}
    events = {f"event_{number}": event for number in range(EVENTS)}
    return plan_text({"plan": 1, "name": "benchmark", "events": events})


@click.command()
@click.option("--blocks", default=20, show_default=True, help="Blocks of each kind.")
def main(blocks: int) -> None:
    """Measure a call without a plan and with one."""
    with tempfile.TemporaryDirectory() as folder, Stack() as stack:
        stack.fresh()
        file = Path(folder) / "plan.yaml"
        file.write_text(text_of_plan(), encoding="utf-8")
        producer = Producer(redis_url=stack.valkey.url, max_queue_length=10_000_000)
        plan = call_check(str(file), "benchmark")
        measured: dict[str, list[tuple[float, float]]] = {"without": [], "with": []}
        for number in range(blocks):
            kinds = list(measured) if number % 2 == 0 else list(reversed(measured))
            for kind in kinds:
                measured[kind].append(_block(producer, plan if kind == "with" else None))
        producer.close()
    for number, what in enumerate(("duration", "CPU time")):
        without, with_plan = (
            statistics.median(each[number] for each in figures) for figures in measured.values()
        )
        click.echo(
            f"{what} of a call: {without:.1f} µs without a plan, {with_plan:.1f} µs with one of "
            f"{EVENTS} events, {with_plan / without:.3f} times"
        )


def _block(producer: Producer, plan: CallPlan | None) -> tuple[float, float]:
    """Return the duration of a call and its CPU time, in microseconds."""
    plan_hook.set_call_plan(plan)
    started, started_cpu = time.perf_counter(), time.process_time()
    for _ in range(BLOCK):
        producer.track("42", "event_7", DATA)
    ended, ended_cpu = time.perf_counter(), time.process_time()
    return (ended - started) / BLOCK * 1e6, (ended_cpu - started_cpu) / BLOCK * 1e6


if __name__ == "__main__":
    main()
