"""``python -m benchmarks.verification``: what verification costs delivery.

Short runs with verification off and with ``sample`` take turns, so that both meet the same machine.
"""

from __future__ import annotations

import statistics

import click

from .end_to_end import CONCURRENCY, POOL, SHARDS, feed_and_wait
from .mixes import MIXES
from .stack import Stack

MODES = ("off", "sample", "all")


@click.command()
@click.option("--runs", default=5, show_default=True, help="Runs of each mode.")
@click.option("--jobs", default=20_000, show_default=True, help="Jobs in a run.")
@click.option(
    "--mix",
    default="identifies",
    show_default=True,
    type=click.Choice(list(MIXES)),
    help="What is delivered.",
)
@click.option("--mode", "modes", multiple=True, type=click.Choice(MODES), help="Modes to measure.")
def main(runs: int, jobs: int, mix: str, modes: tuple[str, ...]) -> None:
    """Measure how many jobs a second are delivered with verification off and on."""
    modes = modes or ("off", "sample")
    measured: dict[str, list[float]] = {mode: [] for mode in modes}
    with Stack() as stack:
        for number in range(runs):
            for mode in modes if number % 2 == 0 else reversed(modes):
                measured[mode].append(_run(stack, mix, jobs, mode))
                click.echo(f"{mode}: {measured[mode][-1]:,.0f} jobs/s")
    first = statistics.median(measured[modes[0]])
    for mode, figures in measured.items():
        median = statistics.median(figures)
        click.echo(f"{mode}: median {median:,.0f} jobs/s, {median / first:.3f} of {modes[0]}")


def _run(stack: Stack, mix: str, jobs: int, mode: str) -> float:
    stack.fresh(
        SHARDS,
        TRACKRELAY_VERIFY=mode,
        TRACKRELAY_VERIFY_AFTER="1s",
        CUSTOMERIO_APP_URL=stack.sandbox.url,
        CUSTOMERIO_APP_API_KEY=stack.sandbox.app_api_key,
    )
    with stack.workers(1, pool=POOL, concurrency=CONCURRENCY) as pids:
        return feed_and_wait(stack, mix, jobs, pids, f"verification {mode}").delivered_per_s


if __name__ == "__main__":
    main()
