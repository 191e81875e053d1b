"""``make bench``: everything side by side on one machine, in one run."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from .contenders import batch_loop, celery_per_call, client_loop
from .enqueueing import call_costs
from .latency import arrival_ms
from .measured import Repeated, Throughput
from .road import whole_road
from .stack import Stack

console = Console()
RESULTS = Path(__file__).with_name("results.json")


@click.command()
@click.option("--quick", is_flag=True, help="Everything small, in under five minutes.")
@click.option("--repeat", default=0, help="Runs of each; the median counts.  [default: 3, quick: 1]")
@click.option("--only", type=click.Choice(["throughput", "latency", "enqueue"]), multiple=True, help="Only this part.")
@click.option(
    "--json", "path", type=click.Path(path_type=Path), help=f"Where the figures go.  [default: {RESULTS.name}]"
)
def main(quick: bool, repeat: int, only: tuple[str, ...], path: Path | None) -> None:
    """Measure trackrelay beside the official client."""
    repeat = repeat or (1 if quick else 3)
    parts = set(only) or {"throughput", "latency", "enqueue"}
    results: dict[str, Any] = {"machine": _machine(), "quick": quick, "repeat": repeat}
    started = time.monotonic()
    with Stack() as stack:
        if "throughput" in parts:
            runs = _throughput(stack, quick, repeat)
            results["throughput"] = [run.as_json() for run in runs]
            results["ratios"] = _ratios(runs)
        if "enqueue" in parts:
            results["enqueue"] = _enqueue(stack, 500 if quick else 3000)
            results.setdefault("ratios", {}).update(_enqueue_ratios(results["enqueue"]))
        if "latency" in parts:
            results["latency_ms"], results["latency"] = _latency(stack, quick)
    results["seconds"] = round(time.monotonic() - started, 1)
    for name, ratio in results.get("ratios", {}).items():
        console.print(f"{name:28} {ratio:8.2f}")
    (path or RESULTS).write_text(json.dumps(results, indent=1) + "\n")


def _throughput(stack: Stack, quick: bool, repeat: int) -> list[Repeated]:
    many = 20_000 if quick else 100_000
    few = 200 if quick else 1_000
    contenders: list[Callable[[], Throughput]] = [
        lambda: client_loop(stack, few // 4),
        lambda: celery_per_call(stack, few, pool="prefork", concurrency=2),
        lambda: celery_per_call(stack, few * 4, pool="prefork", concurrency=16),
        lambda: celery_per_call(stack, few * 4, pool="threads", concurrency=50),
        lambda: batch_loop(stack, "events", many, 1),
        lambda: batch_loop(stack, "events", many, 4),
        lambda: whole_road(stack, "events", many, pool="prefork", concurrency=2),
        lambda: whole_road(stack, "events", many, pool="threads", concurrency=4),
    ]
    if not quick:
        contenders += [
            lambda: whole_road(stack, "events", many, pool="prefork", concurrency=1, shards=1),
            lambda: whole_road(stack, "events", many, pool="prefork", concurrency=2, shards=2),
            lambda: whole_road(stack, "events", many, pool="prefork", concurrency=4, shards=8),
            lambda: whole_road(stack, "events", many, pool="prefork", concurrency=1, workers=2),
            lambda: batch_loop(stack, "identifies", many // 2, 1),
            lambda: whole_road(stack, "identifies", many // 2, pool="prefork", concurrency=2),
            lambda: batch_loop(stack, "mixed", many, 1),
            lambda: whole_road(stack, "mixed", many, pool="prefork", concurrency=2),
            lambda: whole_road(stack, "5% v1", many // 5, pool="prefork", concurrency=2),
        ]
    runs: list[list[Throughput]] = [[] for _ in contenders]
    # Round after round, not contender after contender: a slow minute then hits all alike.
    for _ in range(repeat):
        for collected, contender in zip(runs, contenders, strict=True):
            run = contender()
            console.print(f"  {run.name:45} {run.mix:10} {run.delivered_per_s:10,.0f}/s", highlight=False)
            collected.append(run)
    repeated = [Repeated.of(each) for each in runs]
    console.print(_table(repeated))
    return repeated


def _table(runs: list[Repeated]) -> Table:
    bare = next(run.median.delivered_per_s for run in runs if run.median.name.startswith("official batch(), 1 "))
    table = Table(title="Whole road, Track API answering in 50 ms")
    for column in ("contender", "mix", "delivered/s", "× batch()", "CPU s/10k", "peak MB", "requests/10k", "spread"):
        table.add_column(column, justify="left" if column in ("contender", "mix") else "right")
    for run in runs:
        each = run.median
        table.add_row(
            each.name, each.mix, f"{each.delivered_per_s:,.0f}", f"{each.delivered_per_s / bare:.2f}",
            f"{each.cpu_s_per_10k:.2f}", f"{each.peak_mb:,.0f}", f"{each.requests_per_10k:,.0f}", f"{run.spread:.0%}",
        )  # fmt: skip
    return table


def _ratios(runs: list[Repeated]) -> dict[str, float]:
    def best(prefix: str) -> float:
        found = [run.median for run in runs if run.median.name.startswith(prefix) and run.median.mix == "events"]
        return max(run.delivered_per_s for run in found)

    ours = best("trackrelay")
    return {
        "bare_batch_1": round(ours / best("official batch(), 1 "), 3),
        "bare_batch_4": round(ours / best("official batch(), 4 "), 3),
        "best_celery_per_call": round(ours / best("Celery task"), 1),
    }


def _enqueue(stack: Stack, calls: int) -> dict[str, Any]:
    costs = call_costs(stack, calls)
    console.print("enqueueing:", costs)
    return costs


def _enqueue_ratios(costs: dict[str, Any]) -> dict[str, float]:
    return {
        "enqueue_vs_delay_p50": round(costs["track_us"]["p50"] / costs["delay_us"]["p50"], 3),
        "enqueue_many_vs_delay": round(costs["enqueue_many_per_s"] / costs["delay_per_s"], 1),
    }


def _latency(stack: Stack, quick: bool) -> tuple[dict[str, float], list[dict[str, Any]]]:
    seconds = 5 if quick else 20
    runs = [arrival_ms(stack, rate, seconds if rate > 5 else 2 * seconds) for rate in (4, 50, 200, 500)]
    for run in runs:
        console.print(f"  at {run['rate']:>3}/s: p50 {run['p50']} ms, p99 {run['p99']} ms (API {run['api_ms']:g} ms)")
    return {"idle_p50": runs[0]["p50"], "p99_at_200": runs[2]["p99"]}, runs


def _machine() -> dict[str, Any]:
    return {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()}


if __name__ == "__main__":
    main()
