"""``python -m benchmarks.scale_simulation``: what larger installations need, and what a loss does.

Calculates with the costs that ``python -m benchmarks.capacity`` measured. With ``--pages`` it
writes the tables and the chart of ``docs/explanation/scale.md``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import msgspec

from . import capacity, chart, pages
from .capacity import FULL_BATCH, Costs
from .documents import between_markers
from .fleet_model import Fleet, Model, Outcome, Scenario
from .fleet_sizes import MAX_LAG_S, Shares, events_at, fleet_for, limit
from .stack import LATENCY_S
from .tables import Row, markdown

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "explanation" / "scale.md"
CHART = ROOT / "docs" / "explanation" / "scale.svg"
RATES = (500, 5_000, 20_000, 100_000)
DAY_S = 86_400


def measured_table(costs: Costs, runs: dict[str, Any]) -> str:
    """Return what one job costs in each part, measured."""
    rows: list[Row] = []
    for name, text in (
        ("append", "`track()` alone, no worker"),
        ("enqueue_many", "`enqueue_many()` alone"),
        ("drain", "delivery of waiting jobs"),
        ("50/s", "all, at 50 a second"),
        ("500/s", "all, at 500 a second"),
        ("2000/s", "all, at 2,000 a second"),
        ("defer", "into the backlog"),
        ("backlog", "out of the backlog"),
    ):
        run = runs[name]
        jobs = run["jobs"]
        per = [f"{run[f'{part}_s'] * 1e6 / jobs:,.0f}" for part in _PARTS]
        if not run["producer_s"]:
            per[0] = "–"
        batch = f"{jobs / run['cycles']:,.0f}" if run["cycles"] > 3 and name != "defer" else "–"
        rows.append((text, batch, *per, f"{run['wal_bytes'] / jobs:,.0f}"))
    heading = ("CPU µs a job", "jobs a request", *_HEADINGS, "WAL bytes")
    idle = (
        f"While nothing happens, Redis uses {costs.idle_redis:.1%} of a core, one worker "
        f"{costs.idle_worker:.1%} and PostgreSQL {costs.idle_postgres:.1%}."
    )
    return f"{markdown(heading, rows)}\n\n{idle}"


_PARTS = ("producer", "redis", "worker", "postgres")
_HEADINGS = ("caller", "Redis", "worker", "PostgreSQL")


def costs_table(costs: Costs) -> str:
    """Return the figures with which the simulation calculates."""
    rows: list[Row] = [
        ("a call, in the application", f"{costs.producer_job:,.1f}", "–"),
        ("Redis: append", f"{costs.append_job:,.1f}", "–"),
        ("Redis: read, acknowledge", f"{costs.redis_job:,.1f}", f"{costs.redis_cycle:,.0f}"),
        ("worker", f"{costs.worker_job:,.1f}", f"{costs.worker_cycle:,.0f}"),
        ("PostgreSQL", f"{costs.postgres_job:,.1f}", f"{costs.postgres_cycle:,.0f}"),
        ("worker: into the backlog", f"{costs.defer_worker_job:,.1f}", "–"),
        ("PostgreSQL: into the backlog", f"{costs.defer_postgres_job:,.1f}", "–"),
        ("worker: out of the backlog", f"{costs.undefer_worker_job:,.1f}", "–"),
        ("PostgreSQL: out of the backlog", f"{costs.undefer_postgres_job:,.1f}", "–"),
    ]
    return markdown(("CPU µs", "a job", "a cycle besides"), rows)


def bytes_table(costs: Costs) -> str:
    """Return the bytes that each rate writes and keeps."""
    rows: list[Row] = []
    for rate in RATES:
        batch = min(FULL_BATCH / 4, max(5.0, rate / 40))
        wal = rate * Shares.of(costs, batch).wal
        rows.append(
            (
                f"{rate:,}",
                f"{wal / 1e6:,.1f} MB/s",
                _size(wal * DAY_S),
                _size(rate * DAY_S * costs.ledger_row_bytes),
                _size(rate * 30 * DAY_S * costs.ledger_row_bytes),
                _size(rate * 60 * costs.stream_job_bytes),
                _size(rate * 3_600 * costs.backlog_row_bytes),
            )
        )
    heading = (
        "events a second",
        "WAL",
        "WAL a day",
        "ledger a day",
        "ledger of 30 days",
        "Redis, a minute without workers",
        "backlog, an hour's outage",
    )
    return markdown(heading, rows)


def fleet_table(fleets: dict[int, Fleet], steady: dict[int, Outcome]) -> str:
    """Return what each rate needs, and how it does."""
    rows: list[Row] = []
    for rate, fleet in fleets.items():
        run = steady[rate]
        load = run.load
        rows.append(
            (
                f"{rate:,}",
                f"{fleet.redis}",
                f"{fleet.shards}",
                f"{fleet.worker_hosts} × {fleet.cores_of_host} cores, "
                f"{fleet.worker_hosts * fleet.slots_of_host} processes",
                f"{fleet.postgres_cores} cores",
                f"{run.requests / run.scenario.seconds:,.0f} of {fleet.requests_per_s:,.0f}",
                f"{load['Redis']:.0%} / {load['workers']:.0%} / {load['PostgreSQL']:.0%}",
                f"{run.lag_s(0.5, 5, 40) * 1000:,.0f} / {run.lag_s(0.99, 5, 40) * 1000:,.0f}",
            )
        )
    heading = (
        "events a second",
        "Redis servers",
        "shards",
        "workers",
        "PostgreSQL",
        "requests a second",
        "load of Redis / workers / PostgreSQL",
        "lag p50 / p99, ms",
    )
    return markdown(heading, rows)


def limits_table(costs: Costs) -> str:
    """Return what saturates first in fleets of several shapes."""
    base = Fleet(
        redis=1,
        shards=4,
        worker_hosts=1,
        cores_of_host=2,
        slots_of_host=4,
        postgres_cores=4,
        requests_per_s=100,
    )
    large = replace(base, shards=32, worker_hosts=4, cores_of_host=4, slots_of_host=8)
    large = replace(large, requests_per_s=1_000)
    many = replace(costs, append_job=costs.append_of_many)
    shapes = (
        ("1 Redis, 4 shards, 2 cores for workers", costs, base),
        ("1 Redis, 32 shards, 16 cores", costs, large),
        ("2 Redis servers, 32 shards, 16 cores", costs, replace(large, redis=2)),
        ("4 Redis servers, 32 shards, 16 cores", costs, replace(large, redis=4)),
        ("1 Redis, 4 shards, `enqueue_many()`", many, base),
        ("1 Redis, 32 shards, `enqueue_many()`", many, large),
    )
    rows: list[Row] = []
    for name, of_shape, fleet in shapes:
        rate, run = limit(of_shape, fleet)
        highest = sorted(run.load.items(), key=lambda item: -item[1])
        waits = "the shards: each waits for its answers"
        first = highest[0][0] if highest[0][1] >= 0.85 else waits
        load = ", ".join(f"{part} {share:.0%}" for part, share in highest[:3])
        rows.append((name, f"{rate:,.0f}", first, load))
    return markdown(("with one PostgreSQL", "events a second", "saturates first", "load"), rows)


def check_table(costs: Costs) -> str:
    """Return how the simulation does on the installation that ``make bench`` measures."""
    fleet = Fleet(
        redis=1,
        shards=4,
        worker_hosts=1,
        cores_of_host=2,
        slots_of_host=4,
        postgres_cores=2,
        requests_per_s=1_000,
        api_s=LATENCY_S,
        api_spread=(1.0, 1.0),
    )
    rows: list[Row] = []
    for measured in json.loads(pages.RESULTS.read_text())["latency"]:
        rate = measured["rate"]
        scenario = Scenario(name="check", rate=rate, seconds=60)
        run = Model(costs, fleet, scenario).run()
        simulated = [f"{run.lag_s(share, 2, 58) * 1000:,.0f}" for share in (0.5, 0.99)]
        rows.append(
            (f"{rate:,}", f"{measured['p50']:,.0f}", simulated[0], f"{measured['p99']:,.0f}",
             simulated[1])
        )  # fmt: skip
    heading = ("events a second", "p50, ms, measured", "simulated", "p99, measured", "simulated")
    return markdown(heading, rows)


def events_table(found: dict[int, list[Outcome]]) -> str:
    """Return what each event does at each rate."""
    rows: list[Row] = []
    for rate, outcomes in found.items():
        for run in outcomes:
            recovery = run.recovery_s(MAX_LAG_S)
            rows.append(
                (
                    f"{rate:,}: {run.scenario.name}",
                    f"{run.max_oldest_s():,.1f} s",
                    "not within 2 min" if math.isinf(recovery) else f"{recovery:,.0f} s",
                    f"{run.to_outbox:,}",
                    f"{run.max_waiting:,}",
                    f"{run.max_backlog:,}",
                )
            )
    heading = (
        "events a second: what happens",
        "oldest job waited",
        "over after",
        "calls to the outbox",
        "most jobs in the streams",
        "in the backlog",
    )
    return markdown(heading, rows)


def picture(outcomes: Sequence[Outcome]) -> str:
    """Return a chart of how long the oldest job waited."""
    series = {run.scenario.name: run.oldest_s for run in outcomes}
    title = (
        f"Seconds that the oldest job waits, at {outcomes[0].scenario.rate:,.0f} events a second"
    )
    return chart.lines(title, series)


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1_000:
            return f"{size:,.0f} {unit}" if size >= 10 else f"{size:,.1f} {unit}"
        size /= 1_000
    return f"{size:,.1f} PB"


@click.command()
@click.option("--rate", "rates", type=int, multiple=True, help="Only these rates.")
@click.option("--costs", "path", type=click.Path(path_type=Path), default=capacity.RESULTS)
@click.option(
    "--pages", "write", is_flag=True, help="Write the tables of docs/explanation/scale.md."
)
def main(rates: tuple[int, ...], path: Path, write: bool) -> None:
    """Simulate installations of several sizes."""
    measured = json.loads(path.read_text())
    costs = msgspec.convert(measured["costs"], Costs)
    fleets = {rate: fleet_for(rate, costs) for rate in rates or RATES}
    steady = {
        rate: Model(costs, fleet, Scenario(name="steady", rate=rate, seconds=60)).run()
        for rate, fleet in fleets.items()
    }
    sections = {
        "how": measured["how"] + ".",
        "a job": measured_table(costs, measured["runs"]),
        "costs": costs_table(costs),
        "bytes": bytes_table(costs),
        "check": check_table(costs),
        "limits": limits_table(costs),
        "fleets": fleet_table(fleets, steady),
    }
    found = {rate: events_at(costs, rate, fleet) for rate, fleet in fleets.items()}
    sections["events"] = events_table(found)
    for name, text in sections.items():
        click.echo(f"\n-- {name}\n{text}")
    if write:
        for name, text in sections.items():
            between_markers(PAGE, name, text)
        CHART.write_text(picture(found[20_000]))


if __name__ == "__main__":
    main()
