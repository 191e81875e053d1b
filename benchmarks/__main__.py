"""``make bench``: measure everything on one machine, in one run."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from . import pages
from .beside import half_anonymous, live_beside_a_backlog, live_beside_an_import
from .call_cost import call_costs
from .contenders import batch_loop, celery_per_call, client_loop
from .end_to_end import end_to_end
from .growth import FULL, QUICK, growth
from .latency import arrival_ms
from .machine import load, machine
from .measured import Repeated, Throughput
from .pages import RESULTS, best_run
from .stack import Stack
from .tables import for_terminal, throughput_rows
from .targets import judged

PARTS = ("throughput", "enqueue", "latency", "beside", "growth")
Results = dict[str, Any]


@click.command()
@click.option("--quick", is_flag=True, help="Everything small, in under five minutes.")
@click.option(
    "--repeat", default=0, help="Runs of each; the median counts.  [default: 3, quick: 1]"
)
@click.option("--only", type=click.Choice(PARTS), multiple=True, help="Only this part.")
@click.option(
    "--pages", "write_pages", is_flag=True, help="Then write the documentation's tables and chart."
)
@click.option(
    "--json", "path", type=click.Path(path_type=Path), default=RESULTS, help="Where the figures go."
)
def main(quick: bool, repeat: int, only: tuple[str, ...], write_pages: bool, path: Path) -> None:
    """Measure trackrelay and the official client. With --only, keep the other results."""
    repeat = repeat or (1 if quick else 3)
    results = _begin(path, quick, repeat, bool(only))
    started = time.monotonic()
    parts = {
        "throughput": _throughput,
        "enqueue": _enqueue,
        "latency": _latency,
        "beside": _beside,
        "growth": _growth,
    }
    with Stack() as stack:
        for name, run in parts.items():
            if not only or name in only:
                click.echo(f"{name} …")
                run(stack, results, quick, repeat)
                path.write_text(json.dumps(results, indent=1) + "\n")
    if not only:
        results |= {"seconds": round(time.monotonic() - started, 1), "load_after": load()}
    path.write_text(json.dumps(results, indent=1) + "\n")
    for target, value, met in judged(results):
        wanted = f"{'≥' if target.at_least else '≤'} {target.limit:g}"
        click.echo(
            f"{target.name:24} {value:10,.2f}   {wanted:>7}   {'reached' if met else 'NOT REACHED'}"
        )
    if write_pages:
        pages.main()


def _begin(path: Path, quick: bool, repeat: int, goes_on: bool) -> Results:
    arguments = " ".join(argument for argument in sys.argv[1:] if argument != "--pages")
    date, command = (
        time.strftime("%Y-%m-%d", time.gmtime()),
        f"make bench ARGS='{arguments}'" if arguments else "make bench",
    )
    if goes_on and path.exists():
        # The results keep naming the run that made the other parts; this run is named separately.
        results: Results = json.loads(path.read_text())
        results["again"] = [*results.get("again", []), {"date": date, "command": command}]
        return results
    return {
        "ratios": {}, "latency_ms": {}, "growth_checks": {},
        "date": date,
        "command": command,
        "machine": machine(),
        "load_before": load(),
        "quick": quick,
        "repeat": repeat,
    }  # fmt: skip


def _throughput(stack: Stack, results: Results, quick: bool, repeat: int) -> None:
    contenders = _contenders(stack, quick)
    runs: list[list[Throughput]] = [[] for _ in contenders]
    # Alternate between the contenders, so that a slow minute affects all alike.
    for _ in range(repeat):
        for collected, contender in zip(runs, contenders, strict=True):
            run = contender()
            click.echo(f"  {run.name:34} {run.mix:12} {run.delivered_per_s:10,.0f}/s")
            collected.append(run)
    results["throughput"] = [Repeated.of(each).as_json() for each in runs]
    ours = best_run(results["throughput"], "trackrelay")["delivered_per_s"]
    for name, prefix, digits in (
        ("bare_batch_1", "official batch(), 1 ", 3),
        ("bare_batch_4", "official batch(), 4 ", 3),
        ("best_celery_per_call", "Celery task", 1),
    ):
        theirs = best_run(results["throughput"], prefix)["delivered_per_s"]
        results["ratios"][name] = round(ours / theirs, digits)
    click.echo(for_terminal(throughput_rows(results["throughput"])))


def _contenders(stack: Stack, quick: bool) -> list[Callable[[], Throughput]]:
    few, many = (120, 60_000) if quick else (1_000, 150_000)
    mix_jobs = many // (6 if quick else 2)
    contenders: list[Callable[[], Throughput]] = [
        lambda: client_loop(stack, few // 4),
        lambda: celery_per_call(stack, few, pool="prefork", concurrency=2),
        lambda: celery_per_call(stack, few * 4, pool="prefork", concurrency=16),
        lambda: celery_per_call(stack, few * 4, pool="threads", concurrency=50),
        lambda: batch_loop(stack, "events", many, 1),
        lambda: batch_loop(stack, "events", many, 4),
        lambda: end_to_end(stack, "events", many, pool="prefork", concurrency=2),
        lambda: end_to_end(stack, "events", many, pool="prefork", concurrency=4),
        lambda: end_to_end(stack, "events", many, pool="prefork", concurrency=8, shards=8),
        lambda: end_to_end(stack, "events", many, pool="threads", concurrency=4),
    ]

    def add(mix: str, count: int, **options: Any) -> None:
        contenders.append(lambda: end_to_end(stack, mix, count, **options))

    for shards in (1, 8) if quick else (1, 2, 8):
        add(
            "events", mix_jobs if quick else many, pool="threads", concurrency=shards, shards=shards
        )
        if not quick and shards < 8:
            add("events", many, pool="prefork", concurrency=shards, shards=shards)
    add("events", mix_jobs if quick else many, pool="threads", concurrency=2, workers=2)
    if not quick:
        add("events", many, pool="prefork", concurrency=1, workers=2)
    for mix in ("identifies", "mixed"):
        contenders.append(lambda mix=mix: batch_loop(stack, mix, mix_jobs, 1))  # type: ignore[misc]
        add(mix, mix_jobs, pool="threads", concurrency=4)
        if not quick:
            add(mix, mix_jobs, pool="prefork", concurrency=4)
    add("5% v1", mix_jobs // 2, pool="threads", concurrency=4)
    return contenders


def _enqueue(stack: Stack, results: Results, quick: bool, repeat: int) -> None:
    costs = results["enqueue"] = call_costs(stack, 1000 if quick else 5000)
    for name in ("track_us", "delay_us", "track_loaded_us", "delay_loaded_us"):
        click.echo(
            f"  {name:16} p50 {costs[name]['p50']:7,.0f} µs, p99 {costs[name]['p99']:7,.0f} µs"
        )
    click.echo(
        f"  enqueue_many() {costs['enqueue_many_per_s']:,}/s, .delay() {costs['delay_per_s']:,}/s"
    )
    results["ratios"] |= {
        "enqueue_vs_delay_p50": round(
            costs["track_loaded_us"]["p50"] / costs["delay_loaded_us"]["p50"], 3
        ),
        "enqueue_vs_delay_p50_alone": round(costs["track_us"]["p50"] / costs["delay_us"]["p50"], 3),
        "enqueue_many_vs_delay": round(costs["enqueue_many_per_s"] / costs["delay_per_s"], 1),
    }


def _latency(stack: Stack, results: Results, quick: bool, repeat: int) -> None:
    seconds = 3 if quick else 30
    runs = [
        arrival_ms(stack, rate, seconds if rate > 5 else 2 * seconds) for rate in (4, 50, 200, 500)
    ]
    for run in runs:
        click.echo(f"  at {run['rate']:>3}/s: p50 {run['p50']:.0f} ms, p99 {run['p99']:.0f} ms")
    results["latency"] = runs
    results["latency_ms"] |= {
        "idle_p50": runs[0]["p50"],
        **{f"p99_at_{run['rate']}": run["p99"] for run in runs[1:]},
    }


def _beside(stack: Stack, results: Results, quick: bool, repeat: int) -> None:
    rows, seconds = (60_000, 5.0) if quick else (1_000_000, 60.0)
    runs = [
        live_beside_an_import(stack, rows, seconds),
        live_beside_a_backlog(stack, rows, seconds),
        half_anonymous(stack, seconds),
    ]
    for run in runs:
        click.echo(
            f"  100/s beside {run['beside']}: p50 {run['p50']:.0f} ms, p99 {run['p99']:.0f} ms"
        )
    results["beside"] = runs
    names = ("p99_beside_import", "p99_beside_backlog", "p99_half_anonymous")
    results["latency_ms"] |= {name: run["p99"] for name, run in zip(names, runs, strict=True)}


def _growth(stack: Stack, results: Results, quick: bool, repeat: int) -> None:
    found = results["growth"] = growth(
        stack,
        QUICK if quick else FULL,
        repeat,
        lambda name, value: click.echo(f"  {name:26} {value:10,.0f}"),
    )
    empty, sizes = found["empty"]["delivered_per_s"], found["sizes"]
    results["ratios"] |= {
        # A quick run fills the ledger with a tenth of that; `growth.sizes` records it.
        "ledger_10m_vs_empty": round(
            found[f"ledger_{sizes['ledger'][-1]}"]["delivered_per_s"] / empty, 3
        ),
        "backlog_drain_vs_fresh": round(found["backlog"]["delivered_per_s"] / empty, 3),
    }
    memory = found["memory"]
    results["growth_checks"] = {"memory_growth": round(memory["end_mb"] / memory["warm_mb"], 3)}


if __name__ == "__main__":
    main()
