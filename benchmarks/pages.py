"""``python -m benchmarks.pages``: tables and chart of the documentation, from ``results.json``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import chart
from .documents import between_markers
from .machine import shape
from .tables import COLUMNS, markdown, throughput_rows
from .targets import judged

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("results.json")
PERFORMANCE = ROOT / "docs" / "explanation" / "performance.md"
START = ROOT / "docs" / "index.md"
CHART = ROOT / "docs" / "explanation" / "performance.svg"

Results = dict[str, Any]


def main() -> None:
    """Write the tables and the chart."""
    results = json.loads(RESULTS.read_text())
    for (page, name), make in SECTIONS.items():
        between_markers(page, name, make(results))
    CHART.write_text(picture(results))


def about_the_run(results: Results) -> str:
    """Return when, where and how the run was made, and its noise."""
    quick = " A quick run: small sizes." if results["quick"] else ""
    noise = max((run["spread"] for run in results["throughput"]), default=0) / 2
    runs = (
        f"Medians of {results['repeat']} runs, which differ by up to ±{noise:.0%}"
        if results["repeat"] > 1
        else "One run of each: differences of a few percent are noise"
    )
    again = "".join(
        f" Some figures were measured again on {run['date']} with `{run['command']}`."
        for run in results.get("again", [])
    )
    return (
        f"Measured on {results['date']} with `{results['command']}` on "
        f"{shape(results['machine'])}. "
        f"{runs}; load before the run "
        f"{results['load_before']:.2f}.{quick}{again} The sandbox plays the Track API in a process "
        "of its own "
        f"and answers after 50 ms; it used "
        f"at most {max(run['sandbox_cores'] for run in results['throughput']):.0%} of a core."
    )


def shown(results: Results) -> str:
    """Return the table of targets and figures."""
    rows = [
        (target.says, f"{value:,.3f}".rstrip("0").rstrip("."),
            f"{'≥' if target.at_least else '≤'} {target.limit:g}",
         "yes" if met else "**no**")
        for target, value, met in judged(results)
    ]  # fmt: skip
    return markdown(("figure", "measured", "target", "met"), rows)


def throughput(results: Results) -> str:
    """Return the table of contenders and mixes."""
    headings = ("", *(column.heading for column in COLUMNS))
    tables = [
        f"**{mix}**\n\n{markdown(headings, rows)}"
        for mix, rows in throughput_rows(results["throughput"]).items()
    ]
    return "\n\n".join(tables)


def enqueueing(results: Results) -> str:
    """Return the table of the cost of a call."""
    costs = results["enqueue"]
    rows = [
        (name, *(f"{costs[of][which]:,.0f}" for of in of_each for which in ("p50", "p99")))
        for name, of_each in {
            "`track()`": ("track_us", "track_loaded_us"),
            "Celery's `.delay()`": ("delay_us", "delay_loaded_us"),
            "a `PING`, for comparison": ("ping_us", "ping_loaded_us"),
        }.items()
    ]
    table = markdown(("µs a call", "alone p50", "p99", "under load p50", "p99"), rows)
    return (
        f"{table}\n\n`pipeline()` of a hundred: {costs['pipeline_us_per_call']:,.0f} µs a call. "
        "`enqueue_many()`: "
        f"{costs['enqueue_many_per_s']:,} a second; `.delay()`: {costs['delay_per_s']:,} a second. "
        "Building and "
        f"checking the operation takes {costs['making_us']['p50']:,.0f} µs of a call; `import "
        "trackrelay` takes "
        f"{costs['import_ms']:,.0f} ms."
    )


def latency(results: Results) -> str:
    """Return the table of latencies."""
    rows = [
        (f"{run['rate']:g} a second" if run["rate"] > 5 else "idle", *_milliseconds(run))
        for run in results["latency"]
    ]
    for run in results["beside"]:
        half_anonymous = run["beside"].startswith("half")
        beside = ", half anonymous" if half_anonymous else f" beside {run['beside']}"
        rows.append((f"100 a second{beside}", *_milliseconds(run)))
    return markdown(("call to arrival, ms", "p50", "p99", "max"), rows)


def _milliseconds(run: dict[str, float]) -> list[str]:
    return [f"{run[name]:,.0f}" for name in ("p50", "p99", "max")]


def growing(results: Results) -> str:
    """Return the table of growth."""
    found = results["growth"]
    sizes = found["sizes"]
    names = {
        "empty": "nothing in the stores",
        **{f"ledger_{rows}": f"{rows:,} rows in the ledger" for rows in sizes["ledger"]},
        "ten_times_the_people": "ten times the people",
        "pruning": f"while {sizes['prunable']:,} old ledger rows are pruned",
        "backlog": f"a backlog of {sizes['backlog']:,} draining",
        "backlog_beside_fresh": "the same, with new traffic",
        "backlog_under_a_snapshot": "the same, while a snapshot is held open",
        "memory": f"{sizes['memory_jobs']:,} jobs in one go",
    }
    empty = found["empty"]["delivered_per_s"]
    rows = [
        (
            text,
            f"{found[name]['delivered_per_s']:,.0f}",
            f"{found[name]['delivered_per_s'] / empty:.2f}",
        )
        for name, text in names.items()
    ]
    memory = found["memory"]
    return (
        markdown(("", "delivered a second", "× empty"), rows)
        + f"\n\nMemory of a worker that delivers {memory['jobs']:,} jobs: "
        f"{memory['warm_mb']:,.0f} MB after a fifth of them, "
        f"{memory['end_mb']:,.0f} MB at the end."
    )


def in_short(results: Results) -> str:
    """Return the table of the first page: the best of each contender, 400-byte events."""
    rows = [
        (
            name,
            f"{run['delivered_per_s']:,.0f}",
            f"{run['cpu_s_per_10k']:.1f}",
            f"{run['requests_per_10k']:,.0f}",
        )
        for name, run in _best(results).items()
    ]
    table = markdown(
        ("400-byte events", "delivered a second", "CPU s for 10,000", "requests for 10,000"), rows
    )
    costs = results["enqueue"]
    return (
        f"{table}\n\nUnder load, a call costs the application "
        f"{costs['track_loaded_us']['p50']:,.0f} µs; Celery's `.delay()` costs "
        f"{costs['delay_loaded_us']['p50']:,.0f} µs. An event arrives "
        f"{results['latency_ms']['idle_p50']:,.0f} ms after the "
        f"call; the sandbox takes 50 of them to answer. Measured on {results['date']} on "
        f"{results['machine']['cores']} cores"
        f"{', in a quick run' if results['quick'] else ''}. "
        "[Performance](explanation/performance.md) has all figures and says how they were measured."
    )


def picture(results: Results) -> str:
    """Return the chart of the first page."""
    values = [
        (name.replace("`", ""), run["delivered_per_s"]) for name, run in _best(results).items()
    ]
    return chart.bars("400-byte events delivered a second (logarithmic)", values, ours="trackrelay")


def _best(results: Results) -> dict[str, Any]:
    kinds = {
        "official client in a loop": "official client, loop",
        "a Celery task per call": "Celery task",
        "bare `batch()` loop, 1 connection": "official batch(), 1 ",
        "bare `batch()` loop, 4 connections": "official batch(), 4 ",
        "trackrelay, end to end": "trackrelay",
    }
    return {name: best_run(results["throughput"], prefix) for name, prefix in kinds.items()}


def best_run(runs: list[dict[str, Any]], prefix: str, mix: str = "events") -> dict[str, Any]:
    """Return the fastest contender whose name begins with ``prefix``."""
    found = [run for run in runs if run["name"].startswith(prefix) and run["mix"] == mix]
    return max(found, key=lambda run: float(run["delivered_per_s"]))


SECTIONS: dict[tuple[Path, str], Callable[[Results], str]] = {
    (PERFORMANCE, "how"): about_the_run,
    (PERFORMANCE, "targets"): shown,
    (PERFORMANCE, "throughput"): throughput,
    (PERFORMANCE, "enqueueing"): enqueueing,
    (PERFORMANCE, "latency"): latency,
    (PERFORMANCE, "growth"): growing,
    (START, "in short"): in_short,
}


if __name__ == "__main__":
    main()
